"""Reads one segment of a published run: nothing else of the file, nothing twice, nothing unverified.

The first page is compared with the digest that was published, the page with the partition's entry with the
first page, each block with the entry and with its own checksum, and the last block with the totals of the
segment before it is handed out. Bytes that fail are read again a few times, since a transfer or a cache may
have spoiled them on the way; then the failure is raised, for the map has to be run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NoReturn, TypeVar

from blfs_mr.errors import BadIndex, CorruptData, DigestMismatch, TruncatedFile
from blfs_mr.linux import AlignedBuffer, read_exactly
from blfs_mr.model import Lease, PublishedFile, SharedFile
from blfs_mr.spill.blocks import Block, SegmentVerifier
from blfs_mr.spill.buffers import BufferPool
from blfs_mr.spill.format import (
    BLOCK_HEADER_SIZE,
    PAGE_SIZE,
    FileIdentity,
    IndexPage,
    SegmentEntry,
    check_index_page,
    header_digest,
    index_page_of,
    parse_entry,
    parse_index_page,
)
from blfs_mr.spill.window import SlidingWindow

READS_AGAIN = 3
"""How often bytes that fail are fetched anew: spoiled transfers heal at once, and stale data never does."""

_T = TypeVar("_T")


class SegmentReader:
    """The segment of ``partition`` in ``published``, read through ``fd``, opened directly or not.

    Making one reads and verifies the index; ``records`` and ``length`` (bytes, with block headers) are what
    it promises, 0 without a segment. Iterating gives the blocks in order, once; a payload is valid until the
    next block is asked for. The descriptor stays the caller's and must stay open until the iteration has
    ended.

    Raises CorruptData of the kind that fits (after reading again), or OSError with the place of the read. A
    read that never returns is not this class's matter: a deadline has to stand around the process.
    """

    def __init__(self, fd: int, published: PublishedFile, partition: int, pool: BufferPool) -> None:
        self._fd = fd
        self._published = published
        self._partition = partition
        self._pool = pool
        self._identity = FileIdentity.from_lease(published.lease)
        self._window: SlidingWindow | None = None
        try:
            self._entry = self._read_entry()
        except (OSError, CorruptData) as error:
            self._raise_with_place(error)
        self.records = 0 if self._entry is None else self._entry.records
        self.length = 0 if self._entry is None else self._entry.length

    def begin(self, pool: BufferPool | None = None) -> None:
        """Have the first reads of the data on their way, before the iteration that waits for them.

        With ``pool``, they are made with that one: the index may have been read by another thread.
        """
        if self._window is None and self._entry is not None:
            self._window = self._open_window(self._entry, self._pool if pool is None else pool)

    def close(self) -> None:
        """Let go of what was begun and is not wanted; after an iteration there is nothing left to do."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def __iter__(self) -> Iterator[Block]:
        if self._entry is None:
            return
        try:
            yield from self._blocks(self._entry)
        except (OSError, CorruptData) as error:
            self._raise_with_place(error)

    def _blocks(self, entry: SegmentEntry) -> Iterator[Block]:
        base = self._published.lease.shared_file.offset
        verifier = SegmentVerifier(self._identity, self._partition, entry)
        longest = BLOCK_HEADER_SIZE + entry.largest
        self.begin()
        window = self._window
        assert window is not None
        try:
            while not verifier.finished:
                yield _next_block(window, verifier, base, longest)
                if not verifier.finished:
                    window.release(base + verifier.position)
        finally:
            self.close()

    def _open_window(self, entry: SegmentEntry, pool: BufferPool) -> SlidingWindow:
        start = self._published.lease.shared_file.offset + entry.offset
        longest = BLOCK_HEADER_SIZE + entry.largest
        return SlidingWindow(pool, self._fd, start, start + entry.length, longest)

    def _read_entry(self) -> SegmentEntry | None:
        header = self._read_page(0, self._check_header)
        number = index_page_of(self._partition)
        if number == 0 or self._partition >= header.partitions:
            return parse_entry(header, self._partition)

        def check(page: IndexPage, _raw: memoryview) -> IndexPage:
            check_index_page(page, number, self._identity)
            if (page.index_digest, page.partitions) != (header.index_digest, header.partitions):
                raise DigestMismatch(f"index page {number} is of another index than the published header")
            return page

        return parse_entry(self._read_page(number, check), self._partition)

    def _check_header(self, page: IndexPage, raw: memoryview) -> IndexPage:
        check_index_page(page, 0, self._identity)
        published = self._published
        if header_digest(raw) != published.header_digest:
            raise DigestMismatch("the header is sound, but not the one that was published")
        if (page.size, page.length, page.records) != (
            published.lease.shared_file.size,
            published.length,
            published.records,
        ):
            raise BadIndex("the header contradicts what was published with its digest")
        return page

    def _read_page(self, number: int, check: Callable[[IndexPage, memoryview], _T]) -> _T:
        offset = self._published.lease.shared_file.offset + number * PAGE_SIZE
        buffer = self._pool.take(PAGE_SIZE)
        try:
            with buffer.view() as whole, whole[:PAGE_SIZE] as view:
                for left in range(READS_AGAIN, -1, -1):
                    if read_exactly(self._fd, view, offset) < PAGE_SIZE:
                        raise TruncatedFile(f"the file ends before index page {number}")
                    try:
                        return check(parse_index_page(view), view)
                    except CorruptData:
                        if left == 0:
                            raise
                raise AssertionError("unreachable")
        finally:
            self._pool.give_back(buffer)

    def _raise_with_place(self, error: OSError | CorruptData) -> NoReturn:
        lease = self._published.lease
        shared_file = lease.shared_file
        place = (
            f"partition {self._partition} of {lease.attempt} in {shared_file.path or 'extent'} "
            f"at {shared_file.offset} of volume {shared_file.volume}"
        )
        if isinstance(error, OSError):
            raise OSError(error.errno, f"{error.strerror}: cannot read {place}") from error
        raise type(error)(f"{place}: {error}") from error


def read_lease(fd: int, shared_file: SharedFile) -> Lease | None:
    """The lease under which the run in a shared file was written; None where there is no run of this volume.

    For the owner, who leases above it, and may hold it for readers still. Raises OSError.
    """
    with AlignedBuffer(PAGE_SIZE) as buffer, buffer.view() as view:
        if read_exactly(fd, view, shared_file.offset) < PAGE_SIZE:
            return None
        try:
            found = parse_index_page(view).identity
        except CorruptData:
            return None
    lease = Lease(shared_file, found.generation, found.attempt)
    return lease if FileIdentity.from_lease(lease) == found else None


def _next_block(window: SlidingWindow, verifier: SegmentVerifier, base: int, longest: int) -> Block:
    """The block at the verifier's position, fetched anew up to READS_AGAIN times where it fails."""
    start = base + verifier.position
    left = READS_AGAIN
    while True:
        try:
            window.fill_to(start + BLOCK_HEADER_SIZE, start)
            end = start + verifier.block_length(window.view(start, start + BLOCK_HEADER_SIZE))
            window.fill_to(end, start)
            return verifier.accept(window.view(start, end))
        except TruncatedFile:
            raise
        except CorruptData:
            if left == 0:
                raise
            left -= 1
            window.read_again(start, start + longest)
