"""How a task process gets at volumes and at its output: by itself, or through an opener.

By itself where it runs as the worker's own user. Where tasks have a user of their own, that may open neither
volumes nor output folders, and an opener (``blfs_mr.taskrun.opener``) hands it the descriptors.
"""

from __future__ import annotations

import os
import socket
from contextlib import AbstractContextManager, nullcontext
from threading import RLock
from typing import Protocol

from blfs_mr.errors import LinkClosed, OutputError, ProtocolError, VolumeError
from blfs_mr.model import SharedFile, VolumeAccess
from blfs_mr.volume.layout import Volume, open_volume
from blfs_mr.wire.codec import Envelope, codec_for
from blfs_mr.wire.messages.base import Acknowledged, Message
from blfs_mr.wire.messages.child import RunReduceTask
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

PACKET_SIZE = 1 << 16
"""Bytes of the largest packet that is read: one shared file's place, or an error's text."""


class Access(Protocol):
    """What a task process may open that is not its own. Everything raises OSError."""

    @property
    def turn(self) -> AbstractContextManager[object]:
        """Held while something is opened under a deadline.

        Where one has to wait for another, as for an opener, no deadline runs meanwhile.
        """

    def volume(self, access: VolumeAccess) -> Volume:
        """The volume as a task process sees it. Opens nothing yet; raises nothing."""

    def begin_output(self, task: RunReduceTask) -> str:
        """A path at which the output can be written and read, by this process alone."""

    def commit_output(self, task: RunReduceTask) -> None:
        """Give the output its final name."""


class OwnAccess:
    """All by itself, and any number of files at once."""

    turn = nullcontext()

    def volume(self, access: VolumeAccess) -> Volume:
        return open_volume(access)

    def begin_output(self, task: RunReduceTask) -> str:
        return task.output_path

    def commit_output(self, task: RunReduceTask) -> None:
        os.rename(task.output_path, task.final_path)


class OpenerAccess:
    """Through the opener at the other end of ``sock``, a socket that keeps packets apart."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._outgoing, self._incoming = codec_for(ChildToOpener), codec_for(OpenerToChild)
        # Segments are opened by several threads, and an opener does one thing at a time.
        self.turn = RLock()

    def volume(self, access: VolumeAccess) -> Volume:
        return _VolumeThroughOpener(access, self)

    def begin_output(self, task: RunReduceTask) -> str:
        try:
            return f"/proc/self/fd/{self.opened(OpenOutput())}"
        except OSError as error:
            raise OutputError(f"the output {task.output_path} cannot be written: {error.strerror}") from error

    def commit_output(self, task: RunReduceTask) -> None:
        self.done(RenameOutput())

    def opened(self, request: ChildToOpener) -> int:
        """The descriptor that ``request`` asks for. Raises OSError, VolumeError, LinkClosed."""
        reply, descriptors = self._ask(request)
        if not isinstance(reply, Opened) or len(descriptors) != 1:
            raise ProtocolError(f"{type(request).__name__} was answered with {reply}")
        return descriptors[0]

    def done(self, request: ChildToOpener) -> None:
        """Returns when ``request`` has been met. Raises as :meth:`opened` does."""
        reply, _ = self._ask(request)
        if not isinstance(reply, Acknowledged):
            raise ProtocolError(f"{type(request).__name__} was answered with {reply}")

    def _ask(self, request: ChildToOpener) -> tuple[Message, list[int]]:
        try:
            with self.turn:
                self._sock.sendall(self._outgoing.encode(Envelope(request)))
                packet, descriptors, _, _ = socket.recv_fds(self._sock, PACKET_SIZE, 1)
        except OSError as error:
            raise LinkClosed(f"the opener cannot be reached: {error}") from error
        for descriptor in descriptors:
            # As those that are opened here: no program that user code starts gets it.
            os.set_inheritable(descriptor, False)
        if not packet:
            raise LinkClosed("the opener is gone")
        reply = self._incoming.decode(packet).message
        if isinstance(reply, CannotOpen):
            if reply.number:
                raise OSError(reply.number, reply.reason, reply.path)
            raise VolumeError(reply.reason)
        return reply, descriptors


class _VolumeThroughOpener:
    """A volume whose files an opener opens."""

    def __init__(self, access: VolumeAccess, opener: OpenerAccess) -> None:
        self._access, self._opener = access, opener

    @property
    def access(self) -> VolumeAccess:
        return self._access

    def open_for_write(self, shared_file: SharedFile) -> int:
        return self._opener.opened(OpenForWrite(shared_file))

    def open_for_read(self, shared_file: SharedFile) -> int:
        return self._opener.opened(OpenForRead(shared_file))

    def flush_device(self) -> bool:
        self._opener.done(FlushDevice())
        return bool(self._access.device)

    def close(self) -> None:
        """A task process holds nothing open."""
