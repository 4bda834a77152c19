"""The shuffle's way to disk and back, beside fio on the same files.

What is measured is what lies between a mapper's sorted blocks and a reducer's verified ones: our side packs
and seals blocks and checks every checksum, fio only moves bytes. Both sides write and read through the same
file system, with the same flushes; the first, uncounted round makes sure that all blocks of it are allocated.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from blfs_mr.linux import align_up, open_direct, supports_direct_io
from blfs_mr.model import AttemptId, JobId, Lease, PublishedFile, SharedFile, TaskId, TaskKind, VolumeId
from blfs_mr.spill.blocks import next_block_position
from blfs_mr.spill.buffers import READ_DEPTH, READ_SIZE, BufferPool
from blfs_mr.spill.format import BLOCK_HEADER_SIZE, DEFAULT_PAYLOAD, PAGE_SIZE
from blfs_mr.spill.reader import SegmentReader
from blfs_mr.spill.writer import WRITE_SIZE, SharedFileWriter
from blfs_mr.taskrun.ahead import ReadAhead, one_ahead
from blfs_mr.taskrun.segments import READERS

from .file_systems import FileSystem, file_system
from .fio import seconds_to_read, seconds_to_write, why_no_fio
from .harness import Comparison
from .processes import CommandFailed

DEFAULT_SIZE = 256 << 20

REDUCERS = 16
BLOCKS_PER_SEGMENT = 15
BLOCKS_PER_FILE = REDUCERS * BLOCKS_PER_SEGMENT

FILE_SIZE = align_up(PAGE_SIZE + BLOCKS_PER_FILE * next_block_position(BLOCK_HEADER_SIZE + DEFAULT_PAYLOAD))
"""About 60 MiB, all of it used, so that both sides move the same bytes."""

RECORDS_PER_BLOCK = 1000
"""Nobody looks into the blocks here, but none may be empty."""

READ_GOAL, WRITE_GOAL = 0.9, 0.85

_VOLUME = VolumeId("b1" * 16)
_TASK = TaskId(JobId("b1" * 8), TaskKind.MAP, 0)


@contextmanager
def comparisons(size: int) -> Iterator[list[Comparison]]:
    """The rows, over files of about ``size`` bytes in all."""
    count = max(1, size // FILE_SIZE)
    total = count * FILE_SIZE
    with file_system(total) as mounted:
        files = Files(mounted, count)
        direct = "" if supports_direct_io(str(mounted.folder)) else f"{mounted.folder} refuses O_DIRECT"
        unavailable = why_no_fio() or direct
        if not unavailable:
            files.write(REDUCERS)
        read = f"fio, direct, libaio, {READ_SIZE >> 10} KiB, depth {READ_DEPTH}"
        written = f"fio, buffered, {WRITE_SIZE >> 10} KiB, the same flushes"
        # Within a round the reading comes before the writing: both ways of reading find what they need.
        yield [
            Comparison(
                case=f"read and verify segments of {described}, {mounted.described}",
                ours=partial(files.read_as_written_for, reducers),
                reference=partial(seconds_to_read, files.paths, total, READ_SIZE, READ_DEPTH),
                reference_name=read,
                goal=READ_GOAL,
                unavailable=unavailable,
                size=total,
            )
            for reducers, described in ((1, "60 MiB"), (REDUCERS, "4 MiB"))
        ] + [
            Comparison(
                case=f"write and flush shared files, {mounted.described}",
                ours=partial(files.write, REDUCERS),
                reference=files.write_with_fio,
                reference_name=written,
                goal=WRITE_GOAL,
                unavailable=unavailable,
                size=total,
            )
        ]


class Files:
    """Shared files in one folder, and the two things that are done with them."""

    def __init__(self, mounted: FileSystem, count: int) -> None:
        self.paths = [mounted.folder / f"shared-{number:05d}" for number in range(count)]
        self._device = mounted.device
        self._total = count * FILE_SIZE
        # A few different blocks, since a disk may treat one that repeats in its own way.
        chance = random.Random(0)
        self._payloads = [chance.randbytes(DEFAULT_PAYLOAD) for _ in range(BLOCKS_PER_SEGMENT)]
        self._published: list[PublishedFile] = []
        self._reducers = 0

    def write(self, reducers: int) -> float:
        """Write every file full as mappers do, for so many ``reducers``, and flush; the seconds."""
        with ExitStack() as opened:
            descriptors = [_opened(opened, path, os.O_RDWR | os.O_CREAT) for path in self.paths]
            started = time.perf_counter()
            self._published = [
                self._write_one(fd, path.name, reducers)
                for fd, path in zip(descriptors, self.paths, strict=True)
            ]
            for descriptor in descriptors:
                os.fsync(descriptor)
            self._flush_device()
            seconds = time.perf_counter() - started
        self._reducers = reducers
        return seconds

    def write_for(self, reducers: int) -> None:
        """Write the files, unless they are written for so many ``reducers`` already."""
        if self._reducers != reducers:
            self.write(reducers)

    def seen_in(self, folder: Path) -> Files:
        """The files as they are seen in another folder, with what was written to them."""
        seen = Files(FileSystem(folder, ""), len(self.paths))
        seen._published, seen._reducers = self._published, self._reducers
        return seen

    def write_with_fio(self) -> float:
        """Write every file full with fio, and flush; the seconds. What was published is gone then."""
        self._reducers = 0
        seconds = seconds_to_write(self.paths, self._total, WRITE_SIZE)
        started = time.perf_counter()
        self._flush_device()
        return seconds + time.perf_counter() - started

    def read_as_written_for(self, reducers: int) -> float:
        """Read and verify all segments, as ``reducers`` do one after the other; the seconds."""
        self.write_for(reducers)
        with ExitStack() as opened:
            descriptors = [open_direct(str(path)) for path in self.paths]
            for descriptor in descriptors:
                opened.callback(os.close, descriptor)
            pool = opened.enter_context(BufferPool())
            pools = [BufferPool(PAGE_SIZE, depth=1) for _ in range(READERS)]
            indexes = ReadAhead([partial(_index_read, own) for own in pools])
            opened.callback(indexes.close)
            started = time.perf_counter()
            records = 0
            segments = (
                (descriptor, published, partition)
                for partition in range(reducers)
                for descriptor, published in zip(descriptors, self._published, strict=True)
            )
            for reader in one_ahead(indexes.map(segments), lambda reader: reader.begin(pool)):
                for block in reader:
                    records += block.records
            seconds = time.perf_counter() - started
        if records != len(self.paths) * BLOCKS_PER_FILE * RECORDS_PER_BLOCK:
            raise CommandFailed(f"{records} records came back")
        return seconds

    def _write_one(self, descriptor: int, name: str, reducers: int) -> PublishedFile:
        lease = Lease(SharedFile(_VOLUME, name, 0, FILE_SIZE), 1, AttemptId(_TASK, 1))
        writer = SharedFileWriter(descriptor, lease, reducers)
        for block in range(BLOCKS_PER_FILE):
            partition = block * reducers // BLOCKS_PER_FILE
            payload = self._payloads[block % BLOCKS_PER_SEGMENT]
            if not writer.append(partition, payload, RECORDS_PER_BLOCK):
                raise CommandFailed(f"a file of {FILE_SIZE} bytes does not hold {BLOCKS_PER_FILE} blocks")
        return writer.finish()

    def _flush_device(self) -> None:
        if self._device:
            with ExitStack() as opened:
                os.fsync(_opened(opened, Path(self._device), os.O_RDONLY))


def _index_read(pool: BufferPool, segment: tuple[int, PublishedFile, int]) -> SegmentReader:
    return SegmentReader(*segment, pool)


def _opened(stack: ExitStack, path: Path, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    stack.callback(os.close, descriptor)
    return descriptor
