"""The launcher: one process per job and worker that imports the job file once and forks a child per attempt.

An attempt so costs a fork, about a millisecond, and begins with the job's imports done.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from dataclasses import replace

from blfs_mr.errors import JobFileError
from blfs_mr.job import LoadedJob, load_job_source, place
from blfs_mr.model import Failure, FailureKind, JobSpec
from blfs_mr.taskrun.access import OpenerAccess, OwnAccess
from blfs_mr.taskrun.attempt import run_attempt
from blfs_mr.taskrun.fork_server import ForkServer
from blfs_mr.wire.messages.base import Message
from blfs_mr.wire.messages.launcher import (
    ForkAttempt,
    JobLoaded,
    JobLoadFailed,
    LauncherToWorker,
    LoadJob,
    WorkerToLauncher,
)


class Launcher(ForkServer):
    """Serves one worker, for one job."""

    kills_orphans = False

    def __init__(self, sock: socket.socket, lock: int) -> None:
        """``lock`` is the descriptor of the volume's lock, which every writer inherits."""
        super().__init__(sock, WorkerToLauncher, LauncherToWorker)
        self._lock = lock
        self._job: tuple[LoadedJob, JobSpec] | None = None

    def handle(self, message: Message) -> None:
        """Load the job file, then fork attempts."""
        match message:
            case LoadJob():
                self._load(message)
            case ForkAttempt():
                self._fork(message)

    def _load(self, message: LoadJob) -> None:
        try:
            with open(message.source_path, "rb") as file:
                job_file = replace(message.spec.file, source=file.read())
            place(message.spec.side_files, os.path.dirname(message.source_path))
            loaded = load_job_source(job_file)
        except JobFileError as error:
            failure = Failure(FailureKind.USER_CODE, str(error), traceback=error.traceback or "")
            self.send(JobLoadFailed(message.job, failure))
            return
        except OSError as error:
            failure = Failure(FailureKind.STORAGE, f"the job's files cannot be placed: {error}")
            self.send(JobLoadFailed(message.job, failure))
            return
        self._job = (loaded, replace(message.spec, side_files=()))  # On disk now: tasks need no copy of them.
        gc.collect()
        gc.freeze()
        self.send(JobLoaded(message.job))

    def _fork(self, message: ForkAttempt) -> None:
        assert self._job is not None, "the worker forks only after JobLoaded"
        loaded, spec = self._job
        link, stdout, stderr = (self.take_descriptor() for _ in range(3))
        opener = self.take_descriptor() if message.has_opener else None

        def run() -> int:
            for log, target in ((stdout, 1), (stderr, 2)):
                os.dup2(log, target)
                os.close(log)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            access = OwnAccess() if opener is None else OpenerAccess(socket.socket(fileno=opener))
            try:
                return run_attempt(socket.socket(fileno=link), loaded, spec, self._lock, access)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()

        self.fork(message.name, run)
        for descriptor in (link, stdout, stderr, *(() if opener is None else (opener,))):
            os.close(descriptor)
