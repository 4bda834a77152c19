"""What direct reads need and what is dear to make anew: aligned buffers and threads that wait for the device.

One pool serves all segments that a task reads, thousands of which may be smaller than a page. Threads are
the means of having several reads in flight because preadv lets go of the interpreter lock, and because there
is nothing to fall back from: io_uring is switched off on many hosts and Linux AIO needs a library.
They start with the first segment that is longer than one read.

A pool belongs to one thread; only its own readers run beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from types import TracebackType
from typing import Self

from blfs_mr.linux import AlignedBuffer, align_up, read_exactly

READ_SIZE = 1 << 20
"""Bytes of one read: iSCSI sessions carry bursts of 256 KiB and more, and beyond 1 MiB nothing is gained."""

READ_DEPTH = 4
"""Reads in flight for one long segment: hides the round trip of a network disk, bounds memory to 5 MiB."""

MAX_IDLE = 8
"""Buffers kept for the next segment; a merge that closes hundreds of segments at once gives the rest back."""


READER_STACK = 512 << 10
"""Bytes of a reading thread's stack. The usual 8 MiB are address space only, yet the kernel counts them
against the memory limit of a task."""


class PendingRead:
    """One read on its way, or waiting for its turn."""

    __slots__ = ("_cancelled", "_count", "_done", "_error", "_fd", "_offset", "_view")

    def __init__(self, fd: int, view: memoryview, offset: int) -> None:
        self._fd = fd
        self._view = view
        self._offset = offset
        self._count = 0
        self._error: OSError | None = None
        self._cancelled = False
        self._done = Lock()
        self._done.acquire()

    def wait(self) -> int:
        """The bytes read, fewer than asked for only at the end of the file; blocks until they are here.

        Raises OSError as preadv(2) does.
        """
        self._done.acquire()
        if self._error is not None:
            raise self._error
        return self._count

    def cancel(self) -> None:
        """Do not begin it any more. A read that has begun cannot be called back."""
        self._cancelled = True

    def run(self) -> None:
        """Do the read, in the calling thread."""
        try:
            if not self._cancelled:
                self._count = read_exactly(self._fd, self._view, self._offset)
        except OSError as error:
            self._error = error
        finally:
            self._done.release()


class BufferPool:
    """Buffers and reading threads for any number of segments, one after the other or at the same time."""

    def __init__(self, read_size: int = READ_SIZE, depth: int = READ_DEPTH) -> None:
        self.read_size = align_up(read_size)
        self.depth = depth
        self._idle: list[AlignedBuffer] = []
        self._requests: SimpleQueue[PendingRead | None] = SimpleQueue()
        self._threads: list[Thread] = []

    def take(self, length: int) -> AlignedBuffer:
        """A buffer of at least ``length`` bytes with any contents."""
        for index, buffer in enumerate(self._idle):
            if buffer.size >= length:
                return self._idle.pop(index)
        return AlignedBuffer(max(length, self.read_size))

    def give_back(self, buffer: AlignedBuffer) -> None:
        """Let the next segment have it.

        Never give back a buffer that a read may still be writing to: drop it instead, and it goes when the
        last read of it has ended.
        """
        if len(self._idle) < MAX_IDLE:
            self._idle.append(buffer)

    def read_ahead(self, fd: int, view: memoryview, offset: int) -> PendingRead:
        """Begin to fill ``view`` from ``offset``; reads begin in the order asked for, ``depth`` at a time."""
        while len(self._threads) < self.depth:
            self._threads.append(start_reader(_serve, self._requests))
        read = PendingRead(fd, view, offset)
        self._requests.put(read)
        return read

    def close(self) -> None:
        """Dismiss the threads, each after the read it is in, and forget the buffers. Waits for nothing."""
        for _ in self._threads:
            self._requests.put(None)
        self._threads.clear()
        self._idle.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def start_reader(function: Callable[..., None], *arguments: object) -> Thread:
    """A thread that mostly waits for reads: a daemon, since a read from a dead device never returns and must
    not hold up the exit, and with a small stack."""
    usual = threading.stack_size(READER_STACK)
    try:
        thread = Thread(target=function, args=arguments, name="reader", daemon=True)
        thread.start()
    finally:
        threading.stack_size(usual)
    return thread


def _serve(requests: SimpleQueue[PendingRead | None]) -> None:
    while (read := requests.get()) is not None:
        read.run()
        # Else this thread would keep the last buffer alive while it waits for the next request.
        del read
