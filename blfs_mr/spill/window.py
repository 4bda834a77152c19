"""A stretch of a shared file that passes, from first byte to last, through one bounded buffer.

The buffer is a ring of slots of one read each. Reads that follow each other on disk follow each other in
memory, so a block that straddles two reads needs no copy. Only at the end of the ring is the unfinished block
moved, to the room kept just before the first slot, where the next lap continues it. That is one block
copied per lap, and no byte is read twice.
"""

from __future__ import annotations

from collections import deque

from blfs_mr.errors import TruncatedFile
from blfs_mr.linux import PAGE, align_down, align_up, read_exactly
from blfs_mr.spill.buffers import BufferPool, PendingRead


class SlidingWindow:
    """Bytes ``start`` to ``end`` of a descriptor, of which at most ``longest`` are looked at in one piece.

    Positions count from the start of the descriptor. What :meth:`view` gave is valid until the next call of
    :meth:`release`. Errors of the device come as OSError, a file that ends before ``end`` as TruncatedFile.
    """

    def __init__(self, pool: BufferPool, fd: int, start: int, end: int, longest: int) -> None:
        self._pool = pool
        self._fd = fd
        self._needed_to = end
        self._end = align_up(end)
        self._first_lap = self._lap_start = align_down(start)
        self._kept_from = self._asked_to = self.filled = self._first_lap
        self._ahead = self._end - self._lap_start > pool.read_size
        # One slot more than reads in flight: the one whose blocks are being used. The room before them takes
        # the longest unfinished block, and the page before it that a second read of the block begins with.
        self._slots = pool.depth + 1 if self._ahead else 1
        self._lap_length = self._slots * pool.read_size
        self._origin = align_up(longest) + PAGE if self._ahead else 0
        self._buffer = pool.take(self._origin + self._lap_length)
        self._bytes = self._buffer.view()
        self._pending: deque[PendingRead] = deque()
        self._ask()

    def release(self, position: int) -> None:
        """Nothing before ``position`` is needed any more; its room takes further reads."""
        self._kept_from = max(self._kept_from, position)
        self._ask()

    def fill_to(self, position: int, kept_from: int) -> None:
        """Wait until all bytes before ``position`` are here, in one piece with those since ``kept_from``."""
        while self.filled < position:
            if self.filled == self._lap_start + self._lap_length:
                self._begin_lap(kept_from)
            length = min(self._pool.read_size, self._end - self.filled)
            if self._ahead:
                count = self._pending.popleft().wait()
            else:
                count = read_exactly(self._fd, self._slot(self.filled, length), self.filled)
            if self.filled + count < min(self.filled + length, self._needed_to):
                raise TruncatedFile(
                    f"the file ends at {self.filled + count}; its index promises data up to {self._needed_to}"
                )
            self.filled += length

    def view(self, start: int, end: int) -> memoryview:
        """The bytes from ``start`` to ``end``, both between what is kept and what is filled."""
        shift = self._origin - self._lap_start
        return self._bytes[start + shift : end + shift]

    def read_again(self, start: int, end: int) -> None:
        """Fetch the pages of these bytes, which are here already, anew from the device."""
        start, end = align_down(start), min(align_up(end), self.filled)
        read_exactly(self._fd, self.view(start, end), start)

    def close(self) -> None:
        """Let the buffer go: to the pool, or to nobody while reads into it may be under way."""
        self._bytes.release()
        if not self._pending:
            self._pool.give_back(self._buffer)
        for read in self._pending:
            read.cancel()

    def _begin_lap(self, kept_from: int) -> None:
        lap_end = self._lap_start + self._lap_length
        kept = self.view(kept_from, lap_end)
        self._bytes[self._origin - len(kept) : self._origin] = kept
        self._lap_start = lap_end
        self.release(lap_end)

    def _ask(self) -> None:
        if not self._ahead:
            return
        while self._asked_to < self._end:
            length = min(self._pool.read_size, self._end - self._asked_to)
            # The slot is free once the reads that had it one lap ago are used up.
            if self._asked_to + self._pool.read_size - self._lap_length > self._kept_from:
                return
            view = self._slot(self._asked_to, length)
            self._pending.append(self._pool.read_ahead(self._fd, view, self._asked_to))
            self._asked_to += length

    def _slot(self, position: int, length: int) -> memoryview:
        begin = self._origin + (position - self._first_lap) % self._lap_length
        return self._bytes[begin : begin + length]
