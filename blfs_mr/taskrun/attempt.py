"""One attempt in its own process: take the task, run it, and report whatever comes of it.

Every way in which user code can end is turned into a report with the user's own traceback and the record
at fault; what cannot be reported from in here (a signal, ``os._exit``) the worker sees as the process' end.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from blfs_mr.blocking_link import BlockingLink
from blfs_mr.errors import (
    BlfsMrError,
    CorruptData,
    InputError,
    LinkClosed,
    OutputError,
    PoolExhausted,
    UserCodeError,
    VolumeError,
)
from blfs_mr.job import LoadedJob, user_traceback
from blfs_mr.model import AttemptId, Failure, FailureKind, JobSpec
from blfs_mr.taskrun.mapper import run_map
from blfs_mr.taskrun.reducer import run_reduce
from blfs_mr.wire.messages.base import TaskFailed
from blfs_mr.wire.messages.child import ChildToWorker, RunMapTask, RunReduceTask, WorkerToChild

RECORD_SHOWN = 300
"""Characters of an offending record that a report shows; enough to find it, no more than a few lines."""


class Progress:
    """What user code is working on now, so that a failure can name it. Set by mapper and reducer."""

    def __init__(self) -> None:
        self.doing = "task"
        self.culprit: Callable[[], object] | None = None

    def describe(self) -> str:
        """The record or key at hand, shortened; empty when there is none."""
        if self.culprit is None:
            return ""
        try:
            shown = repr(self.culprit())
        except Exception as error:  # noqa: BLE001 - a user's __repr__ may raise anything
            shown = f"(its repr raises {type(error).__name__})"
        return shown if len(shown) <= RECORD_SHOWN else f"{shown[:RECORD_SHOWN]}… ({len(shown)} characters)"


def run_attempt(sock: socket.socket, loaded: LoadedJob, spec: JobSpec) -> int:
    """Run the attempt that the worker at the other end of ``sock`` asks for; the process' exit code."""
    link = BlockingLink(sock, incoming=WorkerToChild, outgoing=ChildToWorker)
    progress = Progress()
    attempt: AttemptId | None = None
    try:
        task = link.receive()
        match task:
            case RunMapTask():
                attempt = task.attempt
                run_map(task, loaded, spec, link, progress)
            case RunReduceTask():
                attempt = task.attempt
                run_reduce(task, loaded, spec, link, progress)
    except LinkClosed:
        return 1  # The worker is gone, or has given this attempt up: nobody to tell.
    except BaseException as error:
        if attempt is None:
            raise
        link.send(TaskFailed(attempt, _failure(error, loaded, progress)))
        return 1
    return 0


def _failure(error: BaseException, loaded: LoadedJob, progress: Progress) -> Failure:
    """Who is to blame, and everything that helps them to mend it."""
    summary = f"{type(error).__name__}: {error}"
    match error:
        case UserCodeError():
            shown = user_traceback(error, loaded.file.path) if loaded.file.path in _files_of(error) else ""
            return Failure(FailureKind.USER_CODE, str(error), shown, progress.describe())
        case PoolExhausted():
            return Failure(FailureKind.POOL, str(error))
        case CorruptData():
            return Failure(FailureKind.DATA, summary)
        case VolumeError() | InputError() | OutputError():
            return Failure(FailureKind.STORAGE, str(error))
        case BlfsMrError():
            return Failure(FailureKind.INTERNAL, summary)
        case SystemExit():
            summary = f"{progress.doing} called sys.exit({error.code!r}); a task ends by returning"
        case MemoryError():
            summary = f"{progress.doing} ran out of memory (budget of the task: see `memory`)"
        case OSError() if loaded.file.path not in _files_of(error):
            return Failure(FailureKind.STORAGE, summary)
        case _:
            summary = f"{progress.doing} raised {summary}"
    return Failure(
        FailureKind.USER_CODE, summary, user_traceback(error, loaded.file.path), progress.describe()
    )


def _files_of(error: BaseException) -> set[str]:
    """The source files of the frames that ``error`` passed through."""
    files, frame = set(), error.__traceback__
    while frame is not None:
        files.add(frame.tb_frame.f_code.co_filename)
        frame = frame.tb_next
    return files
