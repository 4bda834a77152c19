"""One attempt in its own process: take the task, run it, and report whatever comes of it.

Every way in which user code can end is turned into a report with the user's own traceback and the record
at fault; what cannot be reported from in here (a signal, ``os._exit``) the worker sees as the process' end.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from blfs_mr import linux
from blfs_mr.blocking_link import BlockingLink
from blfs_mr.errors import (
    BlfsMrError,
    CorruptData,
    InputError,
    LinkClosed,
    OutputError,
    PoolExhausted,
    UsageError,
    UserCodeError,
    VolumeError,
)
from blfs_mr.job import LoadedJob, overrides, user_traceback
from blfs_mr.model import AttemptId, Failure, FailureKind, JobSpec
from blfs_mr.taskrun.access import Access
from blfs_mr.taskrun.drainer import run_drain
from blfs_mr.taskrun.mapper import run_map
from blfs_mr.taskrun.reducer import run_reduce
from blfs_mr.units import format_size
from blfs_mr.wire.messages.base import TaskFailed
from blfs_mr.wire.messages.child import ChildToWorker, RunDrain, RunMapTask, RunReduceTask, WorkerToChild

RECORD_SHOWN = 300
"""Characters of an offending record that a report shows; enough to find it, no more than a few lines."""

HARD_STOP = 2
"""A task may grow by its memory budget so many times before allocations fail. What this package holds stays
within the budget; user code may pass it for a moment, but must not push its neighbours out of the node."""


_Run = Callable[[Any, LoadedJob, JobSpec, BlockingLink, "Progress", Access], None]


THREAD_STACKS = 128 << 20
"""Bytes beyond that for the stacks of the threads of user code: the kernel counts 8 MiB for each, touched or
not."""


class Progress:
    """What user code is working on now, so that a failure can name it. Set by mapper and reducer."""

    def __init__(self) -> None:
        self.doing = "task"
        self.culprit: Callable[[], object] | None = None
        self.writes_to = ""

    def describe(self) -> str:
        """The record or key at hand, shortened; empty when there is none."""
        if self.culprit is None:
            return ""
        try:
            shown = repr(self.culprit())
        except Exception as error:  # noqa: BLE001 - a user's __repr__ may raise anything
            shown = f"(its repr raises {type(error).__name__})"
        return shown if len(shown) <= RECORD_SHOWN else f"{shown[:RECORD_SHOWN]}… ({len(shown)} characters)"


def run_attempt(sock: socket.socket, loaded: LoadedJob, spec: JobSpec, lock: int, access: Access) -> int:
    """Run the attempt that the worker at the other end of ``sock`` asks for; the process' exit code.

    ``lock`` is the inherited lock of the worker's own volume, ``access`` leads to volumes and the output.
    """
    link = BlockingLink(sock, incoming=WorkerToChild, outgoing=ChildToWorker)
    progress = Progress()
    attempt: AttemptId | None = None
    linux.limit_memory_growth(HARD_STOP * spec.settings.memory + THREAD_STACKS)
    try:
        task = link.receive()
        if not isinstance(task, RunMapTask):
            # It writes nothing there: should it hang on a peer's device, the volume can have its next owner.
            os.close(lock)
        match task:
            case RunDrain():
                return run_drain(task, link, access)
            case RunMapTask():
                attempt = task.attempt
                progress.writes_to = f"volume {task.own_volume.root}"
                _runner(loaded, "mapper", run_map)(task, loaded, spec, link, progress, access)
            case RunReduceTask():
                attempt = task.attempt
                progress.writes_to = f"output {os.path.dirname(task.final_path)}, scratch {task.scratch}"
                _runner(loaded, "reducer", run_reduce)(task, loaded, spec, link, progress, access)
    except LinkClosed:
        return 1  # The worker is gone, or has given this attempt up: nobody to tell.
    except BaseException as error:
        linux.lift_memory_limit()
        if attempt is None:
            raise
        link.send(TaskFailed(attempt, _failure(error, loaded, spec, progress)))
        return 1
    return 0


def _runner(loaded: LoadedJob, module: str, run_records: _Run) -> _Run:
    """``run_records``, or what stands in its place for a columnar job; by name, for other jobs lack
    pyarrow."""
    if not overrides(loaded.job_class, "map_batch"):
        return run_records
    from importlib import import_module

    run: _Run = getattr(import_module(f"blfs_mr.arrow.{module}"), run_records.__name__)
    return run


def _failure(error: BaseException, loaded: LoadedJob, spec: JobSpec, progress: Progress) -> Failure:
    """Who is to blame, and everything that helps them to mend it."""
    from traceback import format_exception  # on failure only

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
        case UsageError():
            return Failure(FailureKind.USER_CODE, str(error))
        case BlfsMrError():
            return Failure(FailureKind.INTERNAL, summary)
        case SystemExit():
            summary = f"{progress.doing} called sys.exit({error.code!r}); a task ends by returning"
        case MemoryError():
            summary = (
                f"{progress.doing} outgrew its memory: the budget of a task is "
                f"{format_size(spec.settings.memory)}, and this one wanted more than {HARD_STOP} times that; "
                "hold less at a time, or set `memory` higher"
            )
        case OSError() if loaded.file.path not in _files_of(error):
            where = error.filename or progress.writes_to
            return Failure(FailureKind.STORAGE, f"{error.strerror or summary} ({where})")
        case _ if loaded.file.path not in _files_of(error) and not isinstance(error, TypeError):
            # Not the user's, who never had a say; but a TypeError may be about what they return or accept.
            return Failure(FailureKind.INTERNAL, summary, "".join(format_exception(error)))
        case _:
            summary = f"{progress.doing} raised {summary}"
    return Failure(
        FailureKind.USER_CODE, summary, user_traceback(error, loaded.file.path), progress.describe()
    )


def _files_of(error: BaseException) -> set[str]:
    """The source files of the frames that ``error`` passed through."""
    files, trace = set(), error.__traceback__
    while trace is not None:
        files.add(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    return files
