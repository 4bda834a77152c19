"""Shared files in plain temporary files, and the runs that tests put into them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from blfs_mr.model import (
    AttemptId,
    JobId,
    Lease,
    PublishedFile,
    SharedFile,
    TaskId,
    TaskKind,
    VolumeId,
)
from blfs_mr.spill.buffers import BufferPool
from blfs_mr.spill.reader import SegmentReader
from blfs_mr.spill.writer import SharedFileWriter

Appended = tuple[int, bytes, int]
"""Partition, payload, records."""


@dataclass
class Disk:
    """One file that holds shared files, and what is needed to write and read runs in it."""

    path: Path
    fd: int
    pool: BufferPool

    def lease(self, size: int = 8192, *, offset: int = 0, generation: int = 7, attempt: int = 1) -> Lease:
        shared_file = SharedFile(VolumeId(bytes(range(16)).hex()), "shared-00000", offset, size)
        task = TaskId(JobId("a0a1a2a3a4a5a6a7"), TaskKind.MAP, 3)
        return Lease(shared_file, generation, AttemptId(task, attempt))

    def write(self, lease: Lease, blocks: Sequence[Appended], partitions: int = 2) -> PublishedFile:
        needed = lease.shared_file.offset + lease.shared_file.size
        if os.fstat(self.fd).st_size < needed:
            os.ftruncate(self.fd, needed)
        writer = SharedFileWriter(self.fd, lease, partitions)
        for partition, payload, records in blocks:
            assert writer.append(partition, payload, records)
        return writer.finish()

    def read(self, published: PublishedFile, partition: int) -> list[tuple[bytes, int]]:
        reader = SegmentReader(self.fd, published, partition, self.pool)
        blocks = [(bytes(block.payload), block.records) for block in reader]
        assert sum(records for _, records in blocks) == reader.records
        return blocks

    def flip(self, position: int) -> None:
        old = os.pread(self.fd, 1, position)
        os.pwrite(self.fd, bytes([old[0] ^ 0xFF]), position)

    def bytes(self) -> bytes:
        return self.path.read_bytes()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    with BufferPool(read_size=4096, depth=2) as pool:
        yield Disk(path, fd, pool)
    os.close(fd)
