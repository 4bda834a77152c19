"""The worker's side of the processes that fork for it: the spawner, and a launcher for each job."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
import types
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiofiles.os

import blfs_mr
from blfs_mr.errors import ConfigError, LinkClosed, ProtocolError
from blfs_mr.model import Failure, FailureKind, JobId, JobSpec
from blfs_mr.values import dataclass
from blfs_mr.wire.codec import Envelope, codec_for
from blfs_mr.wire.frames import FrameDecoder, encode_frame
from blfs_mr.wire.messages.base import Message
from blfs_mr.wire.messages.launcher import (
    ChildExited,
    ChildForked,
    ForkAttempt,
    ForkLauncher,
    ForkLooker,
    ForkOpener,
    ForkRemover,
    JobLoaded,
    JobLoadFailed,
    KillChild,
    LauncherToWorker,
    LoadJob,
    SpawnerToWorker,
    WorkerToLauncher,
    WorkerToSpawner,
)
from daemons.task_user import TaskUser

logger = logging.getLogger("blfs_mr.worker")

TASKS_SOCKET = "/run/blfs-mr-tasks.sock"
"""Where systemd gives the worker a spawner of the tasks' own user: the unit blfs-mr-tasks.socket."""

READ_SIZE = 1 << 16
"""Bytes asked for at once; what fork servers say is small."""

LEAVING_DEADLINE = 5.0
"""Seconds that a spawner gets to end all that it has forked. One that hangs in the kernel is left behind."""


class ForkServerLink:
    """The worker's end of a fork server's socket. Descriptors travel beside requests to fork."""

    def __init__(
        self,
        sock: socket.socket,
        incoming: types.UnionType,
        outgoing: types.UnionType,
        on_message: Callable[[Message], None],
    ) -> None:
        sock.setblocking(False)
        self._sock, self._on_message = sock, on_message
        self._incoming, self._outgoing = codec_for(incoming), codec_for(outgoing)
        self._sending = asyncio.Lock()
        self._forked: dict[str, asyncio.Future[int]] = {}
        self._exited: dict[str, asyncio.Future[ChildExited]] = {}
        self._ended = ""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read())

    async def fork(
        self, child: str, message: Message, *descriptors: int
    ) -> tuple[asyncio.Future[int], asyncio.Future[ChildExited]]:
        """Ask for ``child``: futures of its pid and of its end. Both raise LinkClosed if the server dies."""
        loop = asyncio.get_running_loop()
        forked = self._forked[child] = loop.create_future()
        exited = self._exited[child] = loop.create_future()
        await self.send(message, *descriptors)
        return forked, exited

    async def kill(self, child: str) -> None:
        """Have the child killed, if it still runs. Its end is reported as any other."""
        with contextlib.suppress(LinkClosed):
            await self.send(KillChild(child))

    async def send(self, message: Message, *descriptors: int) -> None:
        """Send ``message`` with ``descriptors`` beside it. Raises LinkClosed."""
        frame = memoryview(encode_frame(self._outgoing.encode(Envelope(message))))
        async with self._sending:
            if self._ended:
                raise LinkClosed(self._ended)
            try:
                if descriptors:
                    frame = frame[await self._send_with_descriptors(frame, descriptors) :]
                await asyncio.get_running_loop().sock_sendall(self._sock, frame)
            except OSError as error:
                raise LinkClosed(f"a process that forks for this worker is gone: {error}") from error

    def close(self) -> None:
        """Let the server go; its children die with it."""
        self._reading.cancel()
        self._end("the worker let it go")
        self._sock.close()

    async def _send_with_descriptors(self, frame: memoryview, descriptors: tuple[int, ...]) -> int:
        """Send the beginning of ``frame`` with ``descriptors`` beside it; the bytes sent, at least one."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return socket.send_fds(self._sock, [frame], descriptors)
            except BlockingIOError:
                writable = loop.create_future()
                loop.add_writer(self._sock, writable.set_result, None)
                try:
                    await writable
                finally:
                    loop.remove_writer(self._sock)

    async def _read(self) -> None:
        loop, frames = asyncio.get_running_loop(), FrameDecoder()
        reason = "it ended"
        try:
            while data := await loop.sock_recv(self._sock, READ_SIZE):
                for body in frames.feed(data):
                    self._receive(self._incoming.decode(body).message)
        except (OSError, ProtocolError) as error:
            reason = str(error)
        self._end(reason)

    def _receive(self, message: Message) -> None:
        match message:
            case ChildForked() if message.child in self._forked:
                self._forked.pop(message.child).set_result(message.pid)
            case ChildExited() if message.child in self._exited:
                self._exited.pop(message.child).set_result(message)
            case ChildForked() | ChildExited():
                # User code runs in launchers, and can speak in their name.
                raise ProtocolError(f"it told of {message.child}, which it was not asked for")
            case _:
                self._on_message(message)

    def _end(self, reason: str) -> None:
        if self._ended:
            return
        self._ended = f"a process that forks for this worker is gone: {reason}"
        waiting: list[asyncio.Future[Any]] = [*self._forked.values(), *self._exited.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(LinkClosed(self._ended))
                future.exception()  # Retrieved: nobody may be left to await it.
        self.closed.set_result(None)


@dataclass(frozen=True, slots=True)
class LogFiles:
    """Where a child's stdout and stderr go; both may be one file."""

    stdout: Path
    stderr: Path

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[tuple[int, int]]:
        """Both, open for writing at their end. Raises OSError."""
        descriptors = await _opened(self.stdout, self.stderr)
        try:
            yield descriptors
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


@aiofiles.os.wrap
def _opened(stdout: Path, stderr: Path) -> tuple[int, int]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    first = os.open(stdout, flags, 0o640)
    try:
        return first, os.open(stderr, flags, 0o640)
    except BaseException:
        os.close(first)
        raise


@contextlib.contextmanager
def socket_to_child(kind: int = socket.SOCK_STREAM) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end of a new socket, and the end that a child is given, which is closed here at the end.

    Where the child cannot be had, or anything else fails meanwhile, so is ours.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    try:
        with theirs:
            yield ours, theirs
    except BaseException:
        ours.close()
        raise


class Spawner:
    """The process that forks launchers: exec'd by the worker, or handed to it by whoever started both."""

    def __init__(self, sock: socket.socket, process: asyncio.subprocess.Process | None = None) -> None:
        self._link = ForkServerLink(sock, SpawnerToWorker, WorkerToSpawner, lambda _: None)
        self._process = process

    @classmethod
    async def start(cls) -> Spawner:
        """Exec a spawner."""
        return await cls._exec([os.getpid()], {})

    @classmethod
    async def start_as(cls, user: TaskUser) -> Spawner:
        """A spawner whose own user is ``user``, so that all that it forks is that user's.

        Root gives its rights away; anybody else is given one by systemd. Raises ConfigError where that has
        none.
        """
        if os.geteuid() == 0:
            environment = {"HOME": user.home, "USER": user.name, "LOGNAME": user.name}
            return await cls._exec([user.uid, user.gid], environment)
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        try:
            # Never waits: where systemd has too many that it has not begun with, it says so at once.
            sock.connect(TASKS_SOCKET)
        except OSError as error:
            sock.close()
            raise ConfigError(
                f"worker.task_user: a worker that is not root gets processes of {user.name} from systemd, by "
                f"{TASKS_SOCKET}: {error.strerror}; start the unit blfs-mr-tasks.socket, or leave it out"
            ) from error
        return cls(sock)

    @classmethod
    async def _exec(cls, numbers: Sequence[int], environment: dict[str, str]) -> Spawner:
        with socket_to_child() as (ours, theirs):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "blfs_mr.taskrun.spawner",
                str(theirs.fileno()),
                *map(str, numbers),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "PYTHONPATH": _python_path(), **environment},
            )
        return cls(ours, process)

    async def launcher(self, job: JobId, lock: int) -> Launcher:
        """A new launcher for ``job``; it and its children hold the descriptor ``lock`` while they live.

        Raises LinkClosed when this spawner is gone.
        """
        with socket_to_child() as (ours, theirs):
            _, exited = await self._link.fork(job, ForkLauncher(job), theirs.fileno(), lock)
        return Launcher(self._link, job, exited, ours)

    async def looker(
        self, name: str, link: socket.socket
    ) -> tuple[asyncio.Future[int], asyncio.Future[ChildExited]]:
        """Have a looker called ``name`` forked that owns ``link``: futures of its pid and of its end.

        Raises LinkClosed when this spawner is gone, as both futures do.
        """
        return await self._link.fork(name, ForkLooker(name), link.fileno())

    async def opener(
        self, name: str, link: socket.socket, requests: socket.socket, group: int
    ) -> tuple[asyncio.Future[int], asyncio.Future[ChildExited]]:
        """Have an opener called ``name`` forked that owns both sockets, as :meth:`looker` does it."""
        message = ForkOpener(name, group)
        return await self._link.fork(name, message, link.fileno(), requests.fileno())

    async def remove_contents(self, folder: str) -> None:
        """Delete what is in ``folder``, as far as this spawner's user may. Raises LinkClosed."""
        name = f"remove {folder}"
        _, exited = await self._link.fork(name, ForkRemover(name, folder))
        await exited

    async def kill(self, name: str) -> None:
        """Kill the looker or opener called ``name``, if it still runs."""
        await self._link.kill(name)

    @property
    def alive(self) -> bool:
        """Whether it can still fork."""
        return not self._link.closed.done()

    async def close(self) -> None:
        """Let it go. One that has a child which hangs in the kernel stays until that ends."""
        self._link.close()
        if self._process is not None:
            try:
                async with asyncio.timeout(LEAVING_DEADLINE):
                    await self._process.wait()
            except TimeoutError:
                logger.error("process %d waits for a child that cannot be ended", self._process.pid)


class Launcher:
    """The launcher of one job."""

    def __init__(
        self,
        spawner: ForkServerLink,
        job: JobId,
        exited: asyncio.Future[ChildExited],
        sock: socket.socket,
    ) -> None:
        self._spawner, self._job, self._exited = spawner, job, exited
        self._link = ForkServerLink(sock, LauncherToWorker, WorkerToLauncher, self._receive)
        self._loaded: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()
        self._link.closed.add_done_callback(lambda _: self._settle(_DIED_LOADING))

    @property
    def alive(self) -> bool:
        """Whether it can still fork."""
        return not self._link.closed.done()

    async def load(self, spec: JobSpec, source_path: str) -> Failure | None:
        """Have the job file imported; why that failed, None when it did not."""
        try:
            await self._link.send(
                LoadJob(self._job, replace(spec, file=replace(spec.file, source=b"")), source_path)
            )
        except LinkClosed:
            return _DIED_LOADING
        return await self._loaded

    async def fork(
        self, name: str, link: socket.socket, logs: LogFiles, opener: socket.socket | None
    ) -> tuple[asyncio.Future[int], asyncio.Future[ChildExited]]:
        """Have a child called ``name`` forked that owns ``link``: futures of its pid and of its end.

        What it prints goes to ``logs``; ``opener`` leads to its opener, where it has one. Both futures raise
        LinkClosed when the launcher dies, and its children with it. Raises OSError for the logs.
        """
        message = ForkAttempt(name, opener is not None)
        last = () if opener is None else (opener.fileno(),)
        async with logs.opened() as (stdout, stderr):
            return await self._link.fork(name, message, link.fileno(), stdout, stderr, *last)

    async def kill(self, name: str) -> None:
        """Kill the child called ``name``, if it still runs."""
        await self._link.kill(name)

    async def close(self) -> None:
        """Kill the launcher, whatever it is at, and its children with it; returns when it is reaped."""
        self._link.close()
        await self._spawner.kill(self._job)
        with contextlib.suppress(LinkClosed):
            await self._exited

    def _receive(self, message: Message) -> None:
        match message:
            case JobLoaded():
                self._settle(None)
            case JobLoadFailed():
                self._settle(message.failure)

    def _settle(self, failure: Failure | None) -> None:
        if not self._loaded.done():
            self._loaded.set_result(failure)


_DIED_LOADING = Failure(FailureKind.PROCESS, "the launcher died while it imported the job file")


def _python_path() -> str:
    """The search path with which a child finds this very package, also where it is not installed."""
    here = str(Path(blfs_mr.__file__).parent.parent)
    return os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
