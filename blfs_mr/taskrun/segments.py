"""From published map outputs to the runs of one partition: opened, read, verified, and kept in a store.

A map output is taken whole or not at all. Indexes and small segments are read ahead, several at a time. A
larger segment is read with reads of its own in flight, the first of which begin while the one before it is
taken. What its index promises is known by then, so room is made first, and one that is larger than memory
goes to scratch block by block.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Protocol

from blfs_mr.errors import CorruptData, VolumeError
from blfs_mr.model import MapOutput, PublishedFile, VolumeAccess, VolumeId
from blfs_mr.spill.blocks import Block
from blfs_mr.spill.buffers import BufferPool
from blfs_mr.spill.reader import SegmentReader
from blfs_mr.taskrun.access import Access
from blfs_mr.taskrun.ahead import ReadAhead, one_ahead
from blfs_mr.taskrun.deadline import ReadWatch
from blfs_mr.taskrun.runs import HeldRun
from blfs_mr.taskrun.scratch import ScratchRun
from blfs_mr.values import dataclass
from blfs_mr.volume.layout import Volume

READERS = 8
"""Small segments read at the same time: hides a network disk's round trip (see ``blfs_mr.taskrun.ahead``)."""

SMALL_SHARE = 128
"""A segment is small up to one part in so many of what can be held, so that all that are read ahead, two for
each reader, take an eighth of it."""

LARGEST_SMALL = 1 << 20
"""Bytes of a small segment at most; above, the reads of one segment keep a device busy."""


class MapOutputUnreadable(Exception):
    """A map output could not be read, or could not be verified if it is ``corrupt``; its message is why."""

    def __init__(self, reason: str, corrupt: bool) -> None:
        super().__init__(reason)
        self.corrupt = corrupt


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of one map output: the ``records`` its index promises, or why nothing of it was taken.

    It is ``corrupt`` where its bytes were read and are not what was published.
    """

    output: MapOutput
    records: int = 0
    failure: str = ""
    corrupt: bool = False


@dataclass(frozen=True, slots=True)
class _Large:
    """A segment of which the index was read, ready for the rest."""

    published: PublishedFile
    reader: SegmentReader
    descriptor: int

    def close(self) -> None:
        self.reader.close()
        os.close(self.descriptor)


_Segment = HeldRun | _Large | MapOutputUnreadable | None
"""A small one is in memory already. None: the map has nothing for this partition."""


class Store(Protocol):
    """What takes the runs of a partition, within a memory budget: records, or the rows of a columnar job."""

    @property
    def room(self) -> int:
        """Bytes of further runs that can be held in memory now."""

    @property
    def capacity(self) -> int:
        """Bytes of runs that can be held in memory at all."""

    def overflow(self) -> None:
        """Make all of the capacity room."""

    def new_scratch_run(self) -> ScratchRun:
        """A run for a segment that is larger than memory."""

    def add(self, run: HeldRun) -> None:
        """One more run, for which there is room, or which is on scratch and finished."""


class SegmentSource:
    """Reads the segments of ``partition`` into ``store``. ``read_size`` bounds one read, in bytes.

    ``watch`` is told of all that is read, ``access`` leads to the volumes.
    """

    def __init__(
        self, partition: int, store: Store, read_size: int, watch: ReadWatch, access: Access
    ) -> None:
        self.bytes_read = self.records = 0
        self._partition, self._store, self._watch = partition, store, watch
        self._small = min(store.capacity // SMALL_SHARE, LARGEST_SMALL)
        self._access, self._known = access, dict[VolumeId, VolumeAccess]()
        self._volumes: dict[VolumeId, Volume] = {}
        self._buffers = BufferPool(read_size)
        self._ahead = ReadAhead([self._fetcher() for _ in range(READERS)])

    def learn_volumes(self, volumes: Iterable[VolumeAccess]) -> None:
        """How to reach volumes that map outputs lie on."""
        self._known.update((access.volume, access) for access in volumes)

    def take(self, outputs: Sequence[MapOutput]) -> Iterator[Taken]:
        """Take this partition's segments of each of ``outputs``. Raises what merging in the store raises."""
        fetched = self._ahead.map(file for output in outputs for file in output.files)
        segments = one_ahead(fetched, self._begin)
        for output in outputs:
            yield self._take(output, islice(segments, len(output.files)))

    def close(self) -> None:
        """Let buffers and threads go."""
        self._buffers.close()
        self._ahead.close()
        self._watch.close()

    def _begin(self, segment: _Segment) -> None:
        if isinstance(segment, _Large):
            segment.reader.begin(self._buffers)

    def _take(self, output: MapOutput, segments: Iterator[_Segment]) -> Taken:
        runs: list[HeldRun] = []
        try:
            for segment in segments:
                if isinstance(segment, MapOutputUnreadable):
                    raise segment
                pending = sum(run.size for run in runs if run.scratch is None)
                run = self._read_large(segment, pending) if isinstance(segment, _Large) else segment
                if run is not None:
                    runs.append(run)
        except MapOutputUnreadable as error:
            for segment in segments:
                if isinstance(segment, _Large):
                    segment.close()
            for run in runs:
                if run.scratch is not None:
                    run.scratch.discard()
            return Taken(output, failure=str(error), corrupt=error.corrupt)
        records = 0
        for run in runs:
            self.bytes_read += run.size
            records += run.records
            self._store.add(run)
        self.records += records
        return Taken(output, records)

    def _fetcher(self) -> Callable[[PublishedFile], _Segment]:
        # An index page, or a small segment, is one read: one buffer is enough, and no threads of its own.
        buffers = BufferPool(self._small, depth=1)

        def fetch(published: PublishedFile) -> _Segment:
            try:
                with ExitStack() as opened:
                    descriptor = self._open(published)
                    opened.callback(os.close, descriptor)
                    with self._reading(published):
                        reader = SegmentReader(descriptor, published, self._partition, buffers)
                        if reader.length > self._small:
                            opened.pop_all()
                            return _Large(published, reader, descriptor)
                        # Small ones are one read, which the deadline around all of this covers.
                        return _in_memory(reader, reader) if reader.records else None
            except MapOutputUnreadable as error:
                return error

        return fetch

    def _read_large(self, segment: _Large, pending: int) -> HeldRun:
        """One segment; ``pending`` bytes are in memory, and not in the store."""
        reader, published = segment.reader, segment.published
        try:
            if pending + reader.length > self._store.room:
                self._store.overflow()
            if pending + reader.length <= self._store.capacity:
                return _in_memory(reader, self._blocks(reader, published))
            return self._copy_to_scratch(reader, published)
        finally:
            segment.close()

    def _copy_to_scratch(self, reader: SegmentReader, published: PublishedFile) -> HeldRun:
        scratch = self._store.new_scratch_run()
        try:
            for block in self._blocks(reader, published):
                scratch.append(block.payload, block.records)
            scratch.finish()
        except MapOutputUnreadable:
            scratch.discard()
            raise
        return HeldRun.on_scratch(scratch)

    def _blocks(self, reader: SegmentReader, published: PublishedFile) -> Iterator[Block]:
        """The blocks of a segment, each with a deadline of its own."""
        blocks = iter(reader)
        while True:
            with self._reading(published):
                block = next(blocks, None)
            if block is None:
                return
            yield block

    @contextmanager
    def _reading(self, published: PublishedFile) -> Iterator[None]:
        with self._watch.over(published), unreadable():
            yield

    def _open(self, published: PublishedFile) -> int:
        shared_file = published.lease.shared_file
        with self._access.turn, self._reading(published):
            return self._volume(shared_file.volume).open_for_read(shared_file)

    def _volume(self, volume: VolumeId) -> Volume:
        if volume not in self._volumes:
            access = self._known.get(volume)
            if access is None:
                raise VolumeError(f"volume {volume} cannot be reached from this worker")
            self._volumes[volume] = self._access.volume(access)
        return self._volumes[volume]


def _in_memory(reader: SegmentReader, blocks: Iterable[Block]) -> HeldRun:
    return HeldRun.in_memory([bytes(block.payload) for block in blocks], reader.records)


@contextmanager
def unreadable() -> Iterator[None]:
    """What a volume or the data on it raises here is the map output's failure, not this task's."""
    try:
        yield
    except (CorruptData, VolumeError, OSError) as error:
        corrupt = isinstance(error, CorruptData)
        raise MapOutputUnreadable(f"{type(error).__name__}: {error}", corrupt) from error
