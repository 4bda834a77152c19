"""The opener: opens for one attempt what the worker has told that attempt of, and nothing else.

It runs as the worker's own user and runs no user code; the attempt runs as another user, who may open neither
volumes nor output folders. The worker tells the opener all that it tells the attempt: the task, each lease,
the map outputs to read, the grant of the commit. What the attempt then asks for is held against that.

It is a process of its own for each attempt: a device that does not answer holds up nobody else, and what was
allowed ends with it.
"""

from __future__ import annotations

import os
import select
import socket

from blfs_mr.errors import BlfsMrError, VolumeError
from blfs_mr.model import SharedFile, VolumeAccess, VolumeId
from blfs_mr.taskrun.access import PACKET_SIZE
from blfs_mr.volume.layout import Volume, open_volume
from blfs_mr.wire.codec import Envelope, codec_for
from blfs_mr.wire.frames import FrameDecoder
from blfs_mr.wire.messages.base import Acknowledged, CommitOutput, Message
from blfs_mr.wire.messages.child import (
    LeaseGranted,
    MapOutputs,
    RunDrain,
    RunMapTask,
    RunReduceTask,
    WorkerToChild,
)
from blfs_mr.wire.messages.opener import (
    CannotOpen,
    ChildToOpener,
    FlushDevice,
    Opened,
    OpenerToChild,
    OpenForRead,
    OpenForWrite,
    OpenOutput,
    RenameOutput,
)

READ_SIZE = 1 << 16
"""Bytes of the worker's words that are taken at once."""

LAG = 5.0
"""Seconds that the worker's word may come later here than to the attempt, which got it on another socket."""


class Told:
    """What the worker has told the attempt, and with it what the attempt may have."""

    def __init__(self) -> None:
        self.map_task: RunMapTask | None = None
        self.reduce_task: RunReduceTask | None = None
        self.committed = False
        self._drain: RunDrain | None = None
        self._leased: set[SharedFile] = set()
        self._published: set[SharedFile] = set()
        self._access: dict[VolumeId, VolumeAccess] = {}
        self._volumes: dict[VolumeId, Volume] = {}

    def note(self, message: Message) -> None:
        """One message of the worker's to the attempt."""
        match message:
            case RunMapTask():
                self.map_task = message
                self._learn(message.own_volume)
            case RunReduceTask():
                self.reduce_task = message
            case RunDrain():
                self._drain = message
                self._learn(message.scratch, *message.volumes)
                self._published.update(file.lease.shared_file for file in message.output.files)
            case LeaseGranted():
                self._leased.add(message.lease.shared_file)
            case MapOutputs():
                self._learn(*message.volumes)
                for output in message.outputs:
                    self._published.update(file.lease.shared_file for file in output.files)
            case CommitOutput():
                self.committed = True

    def allows(self, request: Message) -> bool:
        """Whether the attempt may have what it asks for."""
        match request:
            case OpenForWrite():
                return request.shared_file in self._leased or self._is_copy(request.shared_file)
            case OpenForRead():
                return request.shared_file in self._published
            case FlushDevice():
                return self.map_task is not None
            case OpenOutput():
                return self.reduce_task is not None
            case RenameOutput():
                return self.committed
        return False

    def volume(self, volume: VolumeId) -> Volume:
        """The volume of that id. Raises VolumeError where this host has no way to it."""
        if volume not in self._volumes:
            access = self._access.get(volume)
            if access is None:
                raise VolumeError(f"volume {volume} cannot be reached from this worker")
            self._volumes[volume] = open_volume(access)
        return self._volumes[volume]

    def _learn(self, *volumes: VolumeAccess) -> None:
        for access in volumes:
            self._access[access.volume] = access
            self._volumes.pop(access.volume, None)

    def _is_copy(self, shared_file: SharedFile) -> bool:
        """Whether a drain may make this file on scratch."""
        drain = self._drain
        return (
            drain is not None
            and shared_file.volume == drain.scratch.volume
            and shared_file.path.startswith(drain.copy_prefix)
        )


class Opener:
    """Serves the attempt at the other end of ``requests``, as the worker at that of ``orders`` allows it.

    What it makes for the attempt belongs to the group of number ``group``, which may write to it until it is
    committed.
    """

    def __init__(self, orders: socket.socket, requests: socket.socket, group: int) -> None:
        self._orders, self._requests, self._group = orders, requests, group
        self._frames = FrameDecoder()
        self._of_worker, self._of_child = codec_for(WorkerToChild), codec_for(ChildToOpener)
        self._to_child = codec_for(OpenerToChild)
        self._told = Told()
        self._output = -1

    def serve(self) -> int:
        """Until either of them closes; the process' exit code."""
        poll = select.poll()
        for sock in (self._orders, self._requests):
            poll.register(sock, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in poll.poll()]
            if self._orders.fileno() in ready and not self._hear_worker():
                return 0
            if self._requests.fileno() in ready and not self._hear_child():
                return 0

    def _hear_worker(self) -> bool:
        data = self._orders.recv(READ_SIZE)
        for body in self._frames.feed(data):
            self._told.note(self._of_worker.decode(body).message)
        return bool(data)

    def _hear_child(self) -> bool:
        try:
            packet = self._requests.recv(PACKET_SIZE)
            if not packet:
                return False
            request = self._of_child.decode(packet).message
            answer, descriptor = self._answer(request)
            body = self._to_child.encode(Envelope(answer))
            if descriptor is None:
                self._requests.sendall(body)
            else:
                socket.send_fds(self._requests, [body], [descriptor])
                if descriptor != self._output:
                    os.close(descriptor)
        except (OSError, BlfsMrError):
            return False  # It is gone, or speaks of nothing that we know: nobody is left to serve.
        return True

    def _answer(self, request: Message) -> tuple[Message, int | None]:
        try:
            if not self._becomes_allowed(request):
                raise VolumeError(f"{type(request).__name__} of what this attempt was not given: {request}")
            match request:
                case OpenForWrite():
                    volume = self._told.volume(request.shared_file.volume)
                    return Opened(), volume.open_for_write(request.shared_file)
                case OpenForRead():
                    volume = self._told.volume(request.shared_file.volume)
                    return Opened(), volume.open_for_read(request.shared_file)
                case FlushDevice():
                    assert self._told.map_task is not None, "it is allowed"
                    self._told.volume(self._told.map_task.own_volume.volume).flush_device()
                case OpenOutput():
                    return Opened(), self._open_output()
                case RenameOutput():
                    self._rename_output()
        except OSError as error:
            return CannotOpen(error.errno or 0, error.strerror or str(error), str(error.filename or "")), None
        except BlfsMrError as error:
            return CannotOpen(0, str(error), ""), None
        return Acknowledged(), None

    def _becomes_allowed(self, request: Message) -> bool:
        poll = select.poll()
        poll.register(self._orders, select.POLLIN)
        while not self._told.allows(request):
            if not poll.poll(LAG * 1000) or not self._hear_worker():
                return False
        return True

    def _open_output(self) -> int:
        task = self._told.reduce_task
        assert task is not None, "it is allowed"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._output = os.open(task.output_path, flags, 0o600)
        os.fchown(self._output, -1, self._group)
        os.fchmod(self._output, 0o660)
        return self._output

    def _rename_output(self) -> None:
        task = self._told.reduce_task
        assert task is not None, "it is allowed"
        # It may be the input of a later job, whose tasks read it by themselves.
        os.fchmod(self._output, 0o644 & ~_umask() | 0o040)
        os.rename(task.output_path, task.final_path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
