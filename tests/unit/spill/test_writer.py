"""The writer stays inside its shared file, in whole pages, index last."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from blfs_mr import errors
from blfs_mr.spill.format import MAX_PAYLOAD, header_digest
from blfs_mr.spill.writer import WRITE_SIZE, SharedFileWriter

if TYPE_CHECKING:
    from tests.unit.spill.conftest import Disk


class Writes:
    """Stands between the writer and the kernel and remembers where it wrote."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ranges: list[tuple[int, int]] = []
        self._pwrite = os.pwrite
        monkeypatch.setattr(os, "pwrite", self)

    def __call__(self, fd: int, data: memoryview, offset: int) -> int:
        self.ranges.append((offset, len(data)))
        return self._pwrite(fd, data, offset)


def test_the_published_figures_are_those_of_the_file(disk: Disk) -> None:
    lease = disk.lease()
    published = disk.write(lease, [(0, b"ab", 1), (1, b"cd", 2)])
    assert published.lease == lease
    assert published.records == 3
    assert published.length == 4096 + 128 + 64 + 2
    assert published.header_digest == header_digest(disk.bytes()[:4096])


def test_a_payload_of_the_whole_capacity_fits_once(disk: Disk) -> None:
    os.ftruncate(disk.fd, 8192)
    writer = SharedFileWriter(disk.fd, disk.lease(), 1)
    assert writer.append(0, b"x" * writer.payload_capacity, 1)
    assert not writer.append(0, b"y", 1)
    published = writer.finish()
    assert published.length == 8192
    assert disk.read(published, 0) == [(b"x" * (4096 - 64), 1)]


def test_what_does_not_fit_leaves_the_run_as_it_was(disk: Disk) -> None:
    os.ftruncate(disk.fd, 8192)
    writer = SharedFileWriter(disk.fd, disk.lease(), 2)
    assert writer.append(0, b"a", 1)
    assert not writer.append(1, b"b" * 4000, 1)
    assert writer.append(0, b"c", 1)
    assert disk.read(writer.finish(), 0) == [(b"a", 1), (b"c", 1)]


def test_a_payload_above_the_format_s_limit_never_fits(disk: Disk) -> None:
    writer = SharedFileWriter(disk.fd, disk.lease(64 << 20), 1)
    assert writer.payload_capacity == MAX_PAYLOAD
    assert not writer.append(0, bytes(MAX_PAYLOAD + 1), 1)


def test_neither_the_file_s_size_nor_a_neighbour_s_bytes_change(disk: Disk) -> None:
    os.ftruncate(disk.fd, 3 * 8192)
    os.pwrite(disk.fd, b"\xee" * 3 * 8192, 0)
    disk.write(disk.lease(offset=8192), [(0, b"x" * 4000, 1)])
    contents = disk.bytes()
    assert len(contents) == 3 * 8192
    assert set(contents[:8192]) == set(contents[2 * 8192 :]) == {0xEE}


def test_writes_are_whole_pages_in_order_and_the_index_comes_last(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = Writes(monkeypatch)
    disk.write(disk.lease(8 << 20), [(0, bytes(300_001), 1)] * 10)
    *data, index = writes.ranges
    assert index == (0, 4096)
    assert len(data) > 2
    end = 4096
    for offset, length in data:
        assert offset == end
        assert length % 4096 == 0
        assert length < WRITE_SIZE + 300_001 + 64 + 4096
        end += length


def test_a_payload_may_be_changed_once_append_has_returned(disk: Disk) -> None:
    os.ftruncate(disk.fd, 8192)
    writer = SharedFileWriter(disk.fd, disk.lease(), 1)
    payload = bytearray(b"before")
    assert writer.append(0, payload, 1)
    payload[:] = b"after!"
    assert disk.read(writer.finish(), 0) == [(b"before", 1)]


def test_an_index_that_does_not_fit_is_refused_with_figures(disk: Disk) -> None:
    with pytest.raises(errors.PoolExhausted, match=r"8192 bytes .* 100 partitions \(8192 bytes\)"):
        SharedFileWriter(disk.fd, disk.lease(), 100)


@pytest.mark.parametrize(("offset", "size"), [(512, 8192), (0, 8000)])
def test_an_unaligned_shared_file_is_refused(disk: Disk, offset: int, size: int) -> None:
    lease = disk.lease()
    lease = replace(lease, shared_file=replace(lease.shared_file, offset=offset, size=size))
    with pytest.raises(errors.VolumeError, match="aligned"):
        SharedFileWriter(disk.fd, lease, 1)


@pytest.mark.parametrize(
    ("partition", "payload", "records"), [(0, b"x", 1), (2, b"x", 1), (1, b"", 1), (1, b"x", 0)]
)
def test_misuse_is_a_bug_and_not_a_corrupt_file(
    disk: Disk, partition: int, payload: bytes, records: int
) -> None:
    os.ftruncate(disk.fd, 8192)
    writer = SharedFileWriter(disk.fd, disk.lease(), 2)
    assert writer.append(1, b"first", 1)
    with pytest.raises(errors.InternalError):
        writer.append(partition, payload, records)


def test_a_finished_run_takes_nothing_more(disk: Disk) -> None:
    os.ftruncate(disk.fd, 8192)
    writer = SharedFileWriter(disk.fd, disk.lease(), 2)
    writer.finish()
    with pytest.raises(errors.InternalError):
        writer.append(0, b"x", 1)
    with pytest.raises(errors.InternalError):
        writer.finish()
