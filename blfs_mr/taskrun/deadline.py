"""Deadlines for reads and writes of volumes, which nobody can cancel once they wait for a device.

A thread of its own watches them in each process. Where one takes too long it says so to the worker and ends
the process: with it go its buffers, into which the device might still write. The thread that reads or writes
stays until the device answers, and the process with it; the worker counts it until then, and gives what it
holds to nobody.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, NoReturn, TypeVar

from blfs_mr.blocking_link import BlockingLink
from blfs_mr.errors import LinkClosed
from blfs_mr.model import Failure, FailureKind, PublishedFile, SharedFile
from blfs_mr.spill.buffers import start_reader
from blfs_mr.wire.messages.base import MapOutputLost, Message, TaskFailed
from blfs_mr.wire.messages.child import CannotDrain, RunDrain, RunMapTask, RunReduceTask

LOOKS = 4
"""Looks at what is under way in the time of one deadline: one is found at most a fourth of that too late."""

Subject = TypeVar("Subject")
"""What is read or written."""


class Watch(Generic[Subject]):
    """Calls ``overdue`` once, with what is read or written, when that takes ``seconds``."""

    def __init__(self, seconds: float, overdue: Callable[[Subject], None]) -> None:
        self._seconds, self._overdue = seconds, overdue
        # Changed by many threads: adding and removing a key are atomic.
        self._under_way: dict[object, tuple[float, Subject]] = {}
        self._closed = threading.Event()
        self._starting = threading.Lock()
        self._watching = False

    @contextmanager
    def over(self, subject: Subject) -> Iterator[None]:
        """One read or write, or a few small ones, of ``subject``; by the calling thread, or awaited by it."""
        if not self._watching:
            self._start()
        key = object()
        self._under_way[key] = time.monotonic() + self._seconds, subject
        try:
            yield
        finally:
            del self._under_way[key]

    def close(self) -> None:
        """Nothing more comes."""
        self._closed.set()

    def _start(self) -> None:
        with self._starting:
            if not self._watching:
                self._watching = True
                start_reader(self._watch)

    def _watch(self) -> None:
        while not self._closed.wait(self._seconds / LOOKS):
            now = time.monotonic()
            for due, subject in list(self._under_way.values()):
                if due <= now:
                    self._overdue(subject)
                    return


ReadWatch = Watch[PublishedFile]
WriteWatch = Watch[SharedFile | None]
"""Where there is no file, the device itself is flushed."""


def watch_reads(task: RunReduceTask | RunDrain, link: BlockingLink) -> ReadWatch:
    """A watch over the reads of this process, which it ends when one is overdue."""

    def give_up(published: PublishedFile) -> None:
        file = published.lease.shared_file
        why = _why(f"a read of {_shown(file)}", task.read_deadline, "worker.read_deadline")
        if isinstance(task, RunReduceTask):
            lost = MapOutputLost(task.attempt, published.lease.attempt, why, corrupt=False)
            _end(link, lost, TaskFailed(task.attempt, Failure(FailureKind.STORAGE, why)))
        _end(link, CannotDrain(Failure(FailureKind.DATA, why)))

    return Watch(task.read_deadline, give_up)


def watch_writes(task: RunMapTask, link: BlockingLink) -> WriteWatch:
    """A watch over what this process writes and flushes; it ends the process when that is overdue."""

    def give_up(file: SharedFile | None) -> None:
        what = f"a write to {_shown(file)}" if file else f"the flush of volume {task.own_volume.volume}"
        why = _why(what, task.write_deadline, "worker.write_deadline")
        _end(link, TaskFailed(task.attempt, Failure(FailureKind.STORAGE, why)))

    return Watch(task.write_deadline, give_up)


def _why(what: str, seconds: float, setting: str) -> str:
    return f"{what} took longer than {seconds:g} s: its device does not answer ({setting})"


def _shown(file: SharedFile) -> str:
    return f"{file.path or 'the extent'} at {file.offset} of volume {file.volume}"


def _end(link: BlockingLink, *reports: Message) -> NoReturn:
    try:
        for report in reports:
            link.send(report)
    except LinkClosed:
        pass  # The worker is gone, or has given this up by itself.
    finally:
        os._exit(1)
