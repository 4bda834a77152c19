"""A deadline for reads of volumes, which nobody can cancel once they wait for a device.

A thread of its own watches the reads of this process. Where one takes too long it says so to the worker and
ends the process: with it go its buffers, into which the device might still write. The thread that reads stays
until the device answers, and the process with it; the worker counts it until then.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from blfs_mr.blocking_link import BlockingLink
from blfs_mr.errors import LinkClosed
from blfs_mr.model import Failure, FailureKind, PublishedFile
from blfs_mr.spill.buffers import start_reader
from blfs_mr.wire.messages.base import MapOutputLost, Message, TaskFailed
from blfs_mr.wire.messages.child import CannotDrain, RunDrain, RunReduceTask

LOOKS = 4
"""Looks at the reads in the time of one deadline: one is found at most a fourth of that too late."""


class ReadWatch:
    """Calls ``overdue`` once, with what is read and why that failed, when a read takes ``seconds``."""

    def __init__(self, seconds: float, overdue: Callable[[PublishedFile, str], None]) -> None:
        self._seconds, self._overdue = seconds, overdue
        # Changed by many threads: adding and removing a key are atomic.
        self._reads: dict[object, tuple[float, PublishedFile]] = {}
        self._closed = threading.Event()
        self._starting = threading.Lock()
        self._watching = False

    @contextmanager
    def reading(self, published: PublishedFile) -> Iterator[None]:
        """One read, or a few small ones, of ``published``; by the calling thread, or awaited by it."""
        if not self._watching:
            self._start()
        read = object()
        self._reads[read] = time.monotonic() + self._seconds, published
        try:
            yield
        finally:
            del self._reads[read]

    def close(self) -> None:
        """No more reads come."""
        self._closed.set()

    def _start(self) -> None:
        with self._starting:
            if not self._watching:
                self._watching = True
                start_reader(self._watch)

    def _watch(self) -> None:
        while not self._closed.wait(self._seconds / LOOKS):
            now = time.monotonic()
            for due, published in list(self._reads.values()):
                if due <= now:
                    self._overdue(published, self._why(published))
                    return

    def _why(self, published: PublishedFile) -> str:
        file = published.lease.shared_file
        return (
            f"a read of {file.path or 'the extent'} at {file.offset} of volume {file.volume} took longer "
            f"than {self._seconds:g} s: its device does not answer (worker.read_deadline)"
        )


def watch_reads(task: RunReduceTask | RunDrain, link: BlockingLink) -> ReadWatch:
    """A watch over the reads of this process, which it ends when one is overdue."""

    def give_up(published: PublishedFile, why: str) -> None:
        failure = Failure(FailureKind.STORAGE, why)
        reports: tuple[Message, ...] = (CannotDrain(Failure(FailureKind.DATA, why)),)
        if isinstance(task, RunReduceTask):
            lost = MapOutputLost(task.attempt, published.lease.attempt, why, corrupt=False)
            reports = (lost, TaskFailed(task.attempt, failure))
        try:
            for report in reports:
                link.send(report)
        except LinkClosed:
            pass  # The worker is gone, or has given this up by itself.
        finally:
            os._exit(1)

    return ReadWatch(task.read_deadline, give_up)
