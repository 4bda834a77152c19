"""The worker's side of a launcher: start it, have it load a job, fork and kill attempts, see them end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import blfs_mr
from blfs_mr.errors import LinkClosed
from blfs_mr.model import AttemptId, Failure, FailureKind, JobId, JobSpec
from blfs_mr.wire.codec import Envelope, codec_for
from blfs_mr.wire.frames import FrameDecoder, encode_frame
from blfs_mr.wire.messages import (
    AttemptExited,
    AttemptForked,
    ForkAttempt,
    JobLoaded,
    JobLoadFailed,
    KillAttempt,
    LauncherToWorker,
    LoadJob,
    WorkerToLauncher,
)

logger = logging.getLogger("blfs_mr.worker")

READ_SIZE = 1 << 16
"""Bytes asked for at once; a launcher's messages are small."""


class LauncherProcess:
    """One launcher, from its start to its end. It serves one job; a spare one waits for its job."""

    def __init__(self, process: asyncio.subprocess.Process, sock: socket.socket) -> None:
        self._process, self._sock = process, sock
        self._incoming, self._outgoing = codec_for(LauncherToWorker), codec_for(WorkerToLauncher)
        self._sending = asyncio.Lock()
        self._loaded: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()
        self._forked: dict[AttemptId, asyncio.Future[int]] = {}
        self._exited: dict[AttemptId, asyncio.Future[AttemptExited]] = {}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, inherited: Sequence[int]) -> LauncherProcess:
        """Exec a launcher. It and its task processes hold the descriptors ``inherited`` while they live."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "blfs_mr.taskrun.launcher",
                str(theirs.fileno()),
                str(os.getpid()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *inherited),
                env={**os.environ, "PYTHONPATH": _python_path()},
            )
        return cls(process, ours)

    async def load(self, job: JobId, spec: JobSpec, source_path: str) -> Failure | None:
        """Have the job file imported; why that failed, None when it did not."""
        spec = replace(spec, file=replace(spec.file, source=b""))
        await self._send(LoadJob(job, spec, source_path))
        return await self._loaded

    async def fork(
        self, attempt: AttemptId, link: socket.socket, stdout_path: str, stderr_path: str
    ) -> tuple[asyncio.Future[int], asyncio.Future[AttemptExited]]:
        """Have a child forked that owns ``link``: futures of its pid and of its end.

        Both raise LinkClosed when the launcher dies, and its children with it.
        """
        loop = asyncio.get_running_loop()
        forked = self._forked[attempt] = loop.create_future()
        exited = self._exited[attempt] = loop.create_future()
        await self._send(ForkAttempt(attempt, stdout_path, stderr_path), link.fileno())
        return forked, exited

    async def kill(self, attempt: AttemptId) -> None:
        """Kill the attempt's child, if it still runs. Its end is reported as any other."""
        with contextlib.suppress(LinkClosed):
            await self._send(KillAttempt(attempt))

    async def close(self) -> None:
        """Let the launcher go, and its children with it; returns when it is reaped."""
        self._reading.cancel()
        self._end("the worker let it go")
        self._sock.close()
        await self._process.wait()

    async def _send(self, message: WorkerToLauncher, descriptor: int | None = None) -> None:
        frame = memoryview(encode_frame(self._outgoing.encode(Envelope(message))))
        async with self._sending:
            try:
                if descriptor is not None:
                    frame = frame[await self._send_with_descriptor(frame, descriptor) :]
                await asyncio.get_running_loop().sock_sendall(self._sock, frame)
            except OSError as error:
                raise LinkClosed(f"the launcher of this job is gone: {error}") from error

    async def _send_with_descriptor(self, frame: memoryview, descriptor: int) -> int:
        """Send the beginning of ``frame`` with ``descriptor`` beside it; the bytes sent, at least one."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return socket.send_fds(self._sock, [frame], [descriptor])
            except BlockingIOError:
                writable = loop.create_future()
                loop.add_writer(self._sock, writable.set_result, None)
                try:
                    await writable
                finally:
                    loop.remove_writer(self._sock)

    async def _read(self) -> None:
        loop, frames = asyncio.get_running_loop(), FrameDecoder()
        try:
            while data := await loop.sock_recv(self._sock, READ_SIZE):
                for body in frames.feed(data):
                    self._receive(self._incoming.decode(body).message)
        except OSError as error:
            logger.warning("reading from launcher %d: %s", self._process.pid, error)
        self._end("it ended")

    def _receive(self, message: object) -> None:
        match message:
            case JobLoaded():
                self._loaded.set_result(None)
            case JobLoadFailed():
                self._loaded.set_result(message.failure)
            case AttemptForked():
                self._forked.pop(message.attempt).set_result(message.pid)
            case AttemptExited():
                self._exited.pop(message.attempt).set_result(message)

    def _end(self, reason: str) -> None:
        if not self._loaded.done():
            why = f"the launcher ended while it imported the job file ({reason})"
            self._loaded.set_result(Failure(FailureKind.PROCESS, why))
        gone = LinkClosed(f"the launcher {self._process.pid} is gone: {reason}")
        waiting: list[asyncio.Future[Any]] = [*self._forked.values(), *self._exited.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(gone)
                future.exception()  # Retrieved: nobody may be left to await it.


def _python_path() -> str:
    """The search path with which a child finds this very package, also where it is not installed."""
    here = str(Path(blfs_mr.__file__).parent.parent)
    return os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
