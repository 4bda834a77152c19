"""The launcher: one small single-threaded process per job and worker that forks a child per attempt.

It imports the job file once, so an attempt costs a fork (about a millisecond) instead of an interpreter's
start. It must stay single-threaded: forking a process with threads copies their locks in whatever state
they are.

    python -m blfs_mr.taskrun.launcher FD PARENT_PID

``FD`` is the inherited end of a stream socket pair to the worker. Its other end closing is the sign to go.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
from collections import deque
from dataclasses import replace
from typing import NoReturn

from blfs_mr import linux
from blfs_mr.errors import JobFileError, LinkClosed
from blfs_mr.job import LoadedJob, load_job_source
from blfs_mr.model import AttemptId, Failure, FailureKind, JobSpec
from blfs_mr.taskrun.attempt import run_attempt
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

READ_SIZE = 1 << 18
"""Bytes asked for at once; a job file comes in a few of these."""

MAX_DESCRIPTORS = 16
"""Descriptors taken from one read. The worker sends one per message and few messages at once."""


class Launcher:
    """Serves one worker, for one job."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._frames = FrameDecoder()
        self._incoming, self._outgoing = codec_for(WorkerToLauncher), codec_for(LauncherToWorker)
        self._descriptors: deque[int] = deque()
        self._children: dict[int, tuple[int, AttemptId]] = {}
        self._job: tuple[LoadedJob, JobSpec] | None = None
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def serve(self) -> None:
        """Until the worker closes its end. Children that still run die with this process."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._children:
                    self._reap(descriptor)
                elif not self._receive():
                    return

    def _receive(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._sock, READ_SIZE, MAX_DESCRIPTORS)
        self._descriptors.extend(descriptors)
        for body in self._frames.feed(data):
            match self._incoming.decode(body).message:
                case LoadJob() as message:
                    self._load(message)
                case ForkAttempt() as message:
                    self._fork(message, self._descriptors.popleft())
                case KillAttempt() as message:
                    self._kill(message.attempt)
        return bool(data)

    def _load(self, message: LoadJob) -> None:
        with open(message.source_path, "rb") as file:
            job_file = replace(message.spec.file, source=file.read())
        try:
            loaded = load_job_source(job_file)
        except JobFileError as error:
            failure = Failure(FailureKind.USER_CODE, str(error), traceback=error.traceback or "")
            self._send(JobLoadFailed(message.job, failure))
            return
        self._job = (loaded, message.spec)
        # What lives now lives as long as this process: keep the collector, and with it copy-on-write
        # of every page it would touch, away from it.
        gc.collect()
        gc.freeze()
        self._send(JobLoaded(message.job))

    def _fork(self, message: ForkAttempt, link: int) -> None:
        assert self._job is not None, "the worker forks only after JobLoaded"
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_child(parent, message, link)
        os.close(link)
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = (pid, message.attempt)
        self._poll.register(pidfd, select.POLLIN)
        self._send(AttemptForked(message.attempt, pid))

    def _become_child(self, parent: int, message: ForkAttempt, link: int) -> NoReturn:
        code = 1
        try:
            die_with_parent(parent)
            os.setpgid(0, 0)
            self._sock.close()
            for pidfd in self._children:
                os.close(pidfd)
            for path, target in ((message.stdout_path, 1), (message.stderr_path, 2)):
                log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
                os.dup2(log, target)
                os.close(log)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            assert self._job is not None
            loaded, spec = self._job
            code = run_attempt(socket.socket(fileno=link), loaded, spec)
        finally:
            # Never return into the launcher's own code, nor run its exit handlers, whatever happened.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _kill(self, attempt: AttemptId) -> None:
        for pid, running in self._children.values():
            if running == attempt:
                kill_group(pid)

    def _reap(self, pidfd: int) -> None:
        pid, attempt = self._children.pop(pidfd)
        # What user code started must not outlive the attempt. The child is a zombie still, so that its
        # process group's number cannot have been given to others.
        kill_group(pid)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, status, usage = os.wait4(pid, 0)
        self._send(
            AttemptExited(
                attempt,
                os.waitstatus_to_exitcode(status),
                usage.ru_maxrss * 1024,
                usage.ru_utime + usage.ru_stime,
            )
        )

    def _send(self, message: LauncherToWorker) -> None:
        self._sock.sendall(encode_frame(self._outgoing.encode(Envelope(message))))


def kill_group(pid: int) -> None:
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


def main() -> None:
    """Serve the worker that started this process."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with_parent(parent)
    linux.set_child_subreaper()
    # A terminal's Ctrl-C is for the submitter; the worker says when it is over.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sock = socket.socket(fileno=descriptor)
    sock.set_inheritable(False)
    try:
        Launcher(sock).serve()
    except (LinkClosed, ConnectionError):
        pass
    # Children are killed by their parent-death signal.
    os._exit(0)


if __name__ == "__main__":
    main()
