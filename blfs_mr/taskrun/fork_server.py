"""A small single-threaded process that forks a child on request, reaps it, and says so.

Two kinds of it exist: the spawner forks a launcher per job, a launcher forks a child per attempt. Both stay
single-threaded, because forking a process with threads copies their locks in whatever state they are. Both
end when the worker's end of their socket closes, and their children die with them.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import types
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import ClassVar, NoReturn

from blfs_mr import linux
from blfs_mr.wire.codec import Envelope, codec_for
from blfs_mr.wire.frames import FrameDecoder, encode_frame
from blfs_mr.wire.messages.base import Message
from blfs_mr.wire.messages.launcher import ChildExited, ChildForked, KillChild

READ_SIZE = 1 << 16
"""Bytes asked for at once; requests to fork are small."""

MAX_DESCRIPTORS = 16
"""Descriptors taken from one read. A request carries four at most, and few come at once."""


class ForkServer(ABC):
    """Serves the worker at the other end of ``sock`` until that end closes."""

    kills_orphans: ClassVar[bool]
    """Whether what a child leaves behind is killed when the child ends, or only when this process does.

    An orphan of user code that left its process group may belong to an attempt that still runs; an orphan
    that has outlived the launcher belongs to nobody.
    """

    def __init__(self, sock: socket.socket, incoming: types.UnionType, outgoing: types.UnionType) -> None:
        self._sock = sock
        self._frames = FrameDecoder()
        self._incoming, self._outgoing = codec_for(incoming), codec_for(outgoing)
        self._descriptors: deque[int] = deque()
        self._children: dict[int, tuple[int, str]] = {}
        self._orphans: dict[int, int] = {}
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def serve(self) -> NoReturn:
        """Until the worker closes its end; then kill what still runs, and exit."""
        try:
            while True:
                for descriptor, _ in self._poll.poll():
                    if descriptor in self._children:
                        self._reap(descriptor)
                    elif descriptor in self._orphans:
                        self._reap_orphan(descriptor)
                    elif not self._receive():
                        self._leave()
        except ConnectionError:
            self._leave()

    @abstractmethod
    def handle(self, message: Message) -> None:
        """Do what the worker asks for."""

    def send(self, message: Message) -> None:
        """Tell the worker."""
        self._sock.sendall(encode_frame(self._outgoing.encode(Envelope(message))))

    def take_descriptor(self) -> int:
        """The next of the descriptors that came beside messages."""
        return self._descriptors.popleft()

    def fork(self, child: str, body: Callable[[], int]) -> None:
        """Fork ``child``; it runs ``body``, exits with what that returns, and dies with this process."""
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_child(parent, body)
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = (pid, child)
        self._poll.register(pidfd, select.POLLIN)
        self.send(ChildForked(child, pid))

    def _become_child(self, parent: int, body: Callable[[], int]) -> NoReturn:
        code = 1
        try:
            die_with_parent(parent)
            os.setpgid(0, 0)
            # Whoever holds these would keep the worker from seeing this process' parent end.
            self._sock.close()
            for pidfd in (*self._children, *self._orphans):
                os.close(pidfd)
            code = body()
        finally:
            # Never return into the server's own code, nor run its exit handlers, whatever happened.
            os._exit(code)

    def _receive(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._sock, READ_SIZE, MAX_DESCRIPTORS)
        self._descriptors.extend(descriptors)
        for body in self._frames.feed(data):
            message = self._incoming.decode(body).message
            if isinstance(message, KillChild):
                self._kill(message.child)
            else:
                self.handle(message)
        return bool(data)

    def _kill(self, child: str) -> None:
        for pid, running in self._children.values():
            if running == child:
                _kill_group(pid)

    def _reap(self, pidfd: int) -> None:
        pid, child = self._children.pop(pidfd)
        # What user code started must not outlive the child. That is a zombie still, so that its process
        # group's number cannot have been given to others.
        _kill_group(pid)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, status, usage = os.wait4(pid, 0)
        self._look_for_orphans()
        code = os.waitstatus_to_exitcode(status)
        self.send(ChildExited(child, code, usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime))

    def _look_for_orphans(self) -> None:
        """Processes whose parents have ended became children of this one, a subreaper."""
        known = {pid for pid, _ in self._children.values()}.union(self._orphans.values())
        for pid in linux.children_of(os.getpid()):
            if pid in known:
                continue
            if self.kills_orphans:
                os.kill(pid, signal.SIGKILL)
                pidfd = os.pidfd_open(pid)
                self._orphans[pidfd] = pid
                self._poll.register(pidfd, select.POLLIN)
            else:
                os.waitpid(pid, os.WNOHANG)

    def _reap_orphan(self, pidfd: int) -> None:
        os.waitpid(self._orphans.pop(pidfd), 0)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        self._look_for_orphans()

    def _leave(self) -> NoReturn:
        while children := linux.children_of(os.getpid()):
            for pid in children:
                os.kill(pid, signal.SIGKILL)
            for pid in children:
                os.waitpid(pid, 0)
        os._exit(0)


def _kill_group(pid: int) -> None:
    """SIGKILL for the child ``pid`` and everything in its process group."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        # The child has not made its group yet.
        os.kill(pid, signal.SIGKILL)


def die_with_parent(parent: int) -> None:
    """Be killed when the process ``parent`` ends; exit at once if it has ended already."""
    linux.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
