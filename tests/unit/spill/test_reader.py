"""The reader yields what was published or raises by name, and reads no more than it must."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr import errors
from blfs_mr.linux import open_direct, supports_direct_io
from blfs_mr.model import AttemptId, JobId, Lease, SharedFile, TaskId, TaskKind, VolumeId
from blfs_mr.spill.buffers import BufferPool, PendingRead
from blfs_mr.spill.format import header_digest
from blfs_mr.spill.reader import READS_AGAIN, SegmentReader, read_lease
from blfs_mr.spill.writer import SharedFileWriter

if TYPE_CHECKING:
    from tests.unit.spill.conftest import Disk


class Reads:
    """Stands between the reader and the kernel: remembers each read, and spoils what it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ranges: list[tuple[int, int]] = []
        self.spoil: Callable[[int, memoryview], None] = lambda offset, view: None
        self._preadv = os.preadv
        monkeypatch.setattr(os, "preadv", self)

    def __call__(self, fd: int, views: Sequence[memoryview], offset: int) -> int:
        (view,) = views
        self.ranges.append((offset, len(view)))
        count = self._preadv(fd, views, offset)
        self.spoil(offset, view)
        return count


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


def numbered(count: int, length: int) -> list[tuple[int, bytes, int]]:
    """Blocks of partition 0 that differ from each other in every byte position."""
    return [(0, bytes((i + j) % 251 for j in range(length)), i + 1) for i in range(count)]


BLOCK = st.tuples(
    st.integers(0, 149),
    st.one_of(st.integers(1, 200), st.integers(3000, 30_000), st.sampled_from([4032, 4096, 8128, 64])),
    st.integers(1, 9),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(BLOCK, max_size=25), st.integers(1, 4), st.sampled_from([4096, 8192, 65536]))
def test_every_partition_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[tuple[int, int, int]], depth: int, read_size: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    direct = supports_direct_io(str(folder))
    path = folder / "round-trip"
    shared_file = SharedFile(VolumeId("0f" * 16), "shared-00000", 4096, 1 << 20)
    lease = Lease(shared_file, 2, AttemptId(TaskId(JobId("a0" * 8), TaskKind.MAP, 0), 1))
    wanted: dict[int, list[tuple[bytes, int]]] = {}
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        os.ftruncate(fd, 4096 + (1 << 20))
        writer = SharedFileWriter(fd, lease, 150)
        for number, (partition, length, records) in enumerate(sorted(blocks)):
            payload = (number.to_bytes(2, "big") * length)[:length]
            assert writer.append(partition, payload, records)
            wanted.setdefault(partition, []).append((payload, records))
        published = writer.finish()
        os.fsync(fd)
        reading = open_direct(str(path)) if direct else os.open(path, os.O_RDONLY)
        with BufferPool(read_size, depth) as pool:
            for partition in {0, 149, *wanted}:
                reader = SegmentReader(reading, published, partition, pool)
                assert reader.records == sum(records for _, records in wanted.get(partition, []))
                assert [(bytes(b.payload), b.records) for b in reader] == wanted.get(partition, [])
        os.close(reading)
    finally:
        os.close(fd)


def test_no_flipped_byte_of_a_file_ever_yields_wrong_data(disk: Disk) -> None:
    published = disk.write(disk.lease(), [(0, b"hello" * 9, 2), (0, b"world!", 3), (1, b"other", 1)])
    wanted = {0: [(b"hello" * 9, 2), (b"world!", 3)], 1: [(b"other", 1)]}
    padding = refused = 0
    for position in range(8192):
        disk.flip(position)
        for partition in (0, 1):
            try:
                assert disk.read(published, partition) == wanted[partition]
                padding += 1
            except errors.CorruptData:
                refused += 1
        disk.flip(position)
    # Both readers refuse any change of the page, each reader any change of its own blocks.
    assert refused == 2 * 4096 + (64 + 45) + (64 + 6) + (64 + 5)
    assert padding == 2 * 8192 - refused


def test_an_absent_segment_is_known_without_touching_data(disk: Disk, reads: Reads) -> None:
    published = disk.write(disk.lease(), [(0, b"x", 1)])
    reader = SegmentReader(disk.fd, published, 1, disk.pool)
    assert reader.records == 0
    assert list(reader) == []
    assert reads.ranges == [(0, 4096)]


def test_a_reader_fetches_page_0_its_own_page_and_its_segment_only(disk: Disk, reads: Reads) -> None:
    lease = disk.lease(1 << 20, offset=4096)
    blocks = [(0, bytes(10_000), 1), (250, bytes(10_000), 1), (299, bytes(10_000), 1)]
    published = disk.write(lease, blocks, partitions=300)
    reader = SegmentReader(disk.fd, published, 250, disk.pool)
    assert reads.ranges == [(4096, 4096), (4096 + 2 * 4096, 4096)]
    reads.ranges.clear()
    assert len(list(reader)) == 1
    # Index of four pages; the segment is bytes 10112 to 20176 of the data, rounded outwards.
    assert sorted(reads.ranges) == [(4096 + 4 * 4096 + page * 4096, 4096) for page in (2, 3, 4)]


@pytest.mark.parametrize("length", [50, 3000, 4032, 9000, 70_000])
@pytest.mark.parametrize("depth", [1, 3])
def test_no_byte_is_read_twice_and_every_read_is_aligned(
    disk: Disk, reads: Reads, length: int, depth: int
) -> None:
    blocks = numbered(20, length)
    published = disk.write(disk.lease(2 << 20), blocks)
    with BufferPool(4096, depth) as pool:
        reader = SegmentReader(disk.fd, published, 0, pool)
        reads.ranges.clear()
        assert [(bytes(b.payload), b.records) for b in reader] == [(p, r) for _, p, r in blocks]
    end = 4096
    for offset, size in sorted(reads.ranges):
        assert (offset, size % 4096) == (end, 0)
        end = offset + size
    assert published.length <= end < published.length + 4096


def test_small_segments_need_no_threads(disk: Disk) -> None:
    published = disk.write(disk.lease(), [(0, b"x" * 1000, 1)])
    before = threading.active_count()
    disk.read(published, 0)
    assert threading.active_count() == before


def test_reads_stay_ahead_of_the_consumer_and_within_the_buffer(disk: Disk) -> None:
    class CountingPool(BufferPool):
        asked = 0

        def read_ahead(self, fd: int, view: memoryview, offset: int) -> PendingRead:
            self.asked += 1
            return super().read_ahead(fd, view, offset)

    published = disk.write(disk.lease(1 << 20), numbered(20, 4096 - 64))
    with CountingPool(4096, depth=2) as pool:
        # One block is one read here: the block in use holds one slot, and two reads are in flight.
        asked = [pool.asked for _ in SegmentReader(disk.fd, published, 0, pool)]
    assert asked == [min(number + 3, 20) for number in range(20)]


def test_payloads_are_aligned_for_columnar_libraries(disk: Disk) -> None:
    import ctypes

    published = disk.write(disk.lease(1 << 20), numbered(40, 1234))
    for block in SegmentReader(disk.fd, published, 0, disk.pool):
        assert ctypes.addressof(ctypes.c_char.from_buffer(block.payload)) % 64 == 0


def test_many_small_segments_share_one_buffer(disk: Disk) -> None:
    published = disk.write(disk.lease(), [(0, b"x", 1), (1, b"y", 1)])
    first = disk.pool.take(1)
    disk.pool.give_back(first)
    for _ in range(20):
        disk.read(published, 0)
        disk.read(published, 1)
    assert disk.pool.take(1) is first


def test_segments_can_be_read_side_by_side(disk: Disk) -> None:
    blocks = numbered(30, 3000) + [(1, payload, records) for _, payload, records in numbered(30, 2000)]
    published = disk.write(disk.lease(1 << 20), blocks)
    left = SegmentReader(disk.fd, published, 0, disk.pool)
    right = SegmentReader(disk.fd, published, 1, disk.pool)
    for number, (a, b) in enumerate(zip(left, right, strict=True)):
        assert bytes(a.payload) == blocks[number][1]
        assert bytes(b.payload) == blocks[number + 30][1]


def test_an_abandoned_segment_s_buffer_is_not_used_again_while_reads_are_under_way(disk: Disk) -> None:
    published = disk.write(disk.lease(1 << 20), numbered(100, 3000))
    blocks = iter(SegmentReader(disk.fd, published, 0, disk.pool))
    abandoned = bytes(next(blocks).payload)
    held = next(blocks).payload
    expected = bytes(held)
    blocks.close()  # type: ignore[attr-defined]
    assert disk.read(published, 0)[0][0] == abandoned
    assert bytes(held) == expected


def test_bytes_spoiled_on_the_way_are_read_again(disk: Disk, reads: Reads) -> None:
    blocks = numbered(20, 3000)
    published = disk.write(disk.lease(1 << 20), blocks)
    seen: set[int] = set()

    def spoil_the_first_time(offset: int, view: memoryview) -> None:
        if offset not in seen:
            seen.add(offset)
            view[len(view) // 2] ^= 1

    reads.spoil = spoil_the_first_time
    assert disk.read(published, 0) == [(payload, records) for _, payload, records in blocks]


def test_bytes_that_stay_bad_are_given_up_after_a_few_reads(disk: Disk, reads: Reads) -> None:
    published = disk.write(disk.lease(), [(0, b"hello", 1)])
    disk.flip(4096 + 64)
    with pytest.raises(errors.ChecksumMismatch, match=r"partition 0 of map-00003\.1 in shared-00000 at 0"):
        disk.read(published, 0)
    assert reads.ranges == [(0, 4096)] + [(4096, 4096)] * (1 + READS_AGAIN)


def test_a_wrong_length_of_a_long_block_is_refused(disk: Disk) -> None:
    published = disk.write(disk.lease(1 << 20), numbered(3, 50_000))
    os.pwrite(disk.fd, (49_000).to_bytes(4, "little"), 4096 + 8)
    with pytest.raises(errors.ChecksumMismatch):
        disk.read(published, 0)


def test_zeros_in_the_place_of_data_are_refused(disk: Disk) -> None:
    published = disk.write(disk.lease(), [(0, b"hello", 1)])
    os.pwrite(disk.fd, bytes(4096), 4096)
    with pytest.raises(errors.BadBlock):
        disk.read(published, 0)


def test_a_file_of_zeros_has_a_bad_magic(disk: Disk) -> None:
    published = disk.write(disk.lease(), [(0, b"hello", 1)])
    os.pwrite(disk.fd, bytes(8192), 0)
    with pytest.raises(errors.BadMagic):
        disk.read(published, 0)


@pytest.mark.parametrize(
    ("generation", "attempt", "error"), [(8, 1, errors.WrongGeneration), (7, 2, errors.WrongAttempt)]
)
def test_a_header_of_another_lease_is_refused(
    disk: Disk, generation: int, attempt: int, error: type[Exception]
) -> None:
    published = disk.write(disk.lease(), [(0, b"hello", 1)])
    disk.write(disk.lease(generation=generation, attempt=attempt), [(0, b"hello", 1)])
    with pytest.raises(error):
        disk.read(published, 0)


@pytest.mark.parametrize(
    ("generation", "attempt", "error"), [(6, 1, errors.WrongGeneration), (7, 2, errors.WrongAttempt)]
)
def test_blocks_of_an_earlier_lease_under_the_published_index_are_refused(
    disk: Disk, generation: int, attempt: int, error: type[Exception]
) -> None:
    disk.write(disk.lease(generation=generation, attempt=attempt), [(0, b"hello", 1)])
    earlier = disk.bytes()
    published = disk.write(disk.lease(), [(0, b"world", 1)])
    os.pwrite(disk.fd, earlier[4096:], 4096)
    with pytest.raises(error):
        disk.read(published, 0)


def test_another_volume_s_file_is_refused(disk: Disk) -> None:
    lease = disk.lease()
    other = replace(lease, shared_file=replace(lease.shared_file, volume=VolumeId("ff" * 16)))
    published = disk.write(lease, [(0, b"hello", 1)])
    disk.write(other, [(0, b"hello", 1)])
    with pytest.raises(errors.WrongVolume):
        disk.read(published, 0)


def test_another_shared_file_s_run_is_at_a_wrong_position(disk: Disk) -> None:
    published = disk.write(disk.lease(offset=8192), [(0, b"hello", 1)])
    disk.write(disk.lease(), [(0, b"hello", 1)])
    os.pwrite(disk.fd, disk.bytes()[:8192], 8192)
    with pytest.raises(errors.WrongPosition):
        disk.read(published, 0)


def test_a_sound_header_that_was_not_published_is_a_digest_mismatch(disk: Disk) -> None:
    published = disk.write(disk.lease(), [(0, b"hello", 1)])
    disk.write(disk.lease(), [(0, b"world", 1)])
    with pytest.raises(errors.DigestMismatch, match="not the one that was published"):
        disk.read(published, 0)


def test_a_later_index_page_that_was_not_published_is_a_digest_mismatch(disk: Disk) -> None:
    disk.write(disk.lease(1 << 16), [(0, b"hello", 1)], partitions=150)
    earlier = disk.bytes()
    published = disk.write(disk.lease(1 << 16), [(0, b"world", 1)], partitions=150)
    os.pwrite(disk.fd, earlier[4096:8192], 4096)
    with pytest.raises(errors.DigestMismatch, match="index page 1"):
        disk.read(published, 149)


def test_published_figures_that_the_header_contradicts_are_a_bad_index(disk: Disk) -> None:
    published = disk.write(disk.lease(), [(0, b"hello", 1)])
    for wrong in (replace(published, length=4097), replace(published, records=2)):
        with pytest.raises(errors.BadIndex, match="contradicts"):
            disk.read(wrong, 0)


@pytest.mark.parametrize("partition", [2, 1000])
def test_a_partition_beyond_the_index_is_a_bad_index(disk: Disk, partition: int) -> None:
    published = disk.write(disk.lease(), [(0, b"hello", 1)])
    with pytest.raises(errors.BadIndex):
        disk.read(published, partition)


@pytest.mark.parametrize("end", [0, 100, 4096, 8192, 30_000])
def test_a_file_that_ends_early_is_truncated(disk: Disk, end: int) -> None:
    published = disk.write(disk.lease(1 << 16), numbered(10, 4000))
    os.ftruncate(disk.fd, end)
    with pytest.raises(errors.TruncatedFile):
        disk.read(published, 0)


@pytest.mark.parametrize("blocks", [1, 20])
def test_an_error_of_the_device_keeps_its_number_and_tells_the_place(
    disk: Disk, reads: Reads, blocks: int
) -> None:
    published = disk.write(disk.lease(1 << 20), numbered(blocks, 3000))
    reader = SegmentReader(disk.fd, published, 0, disk.pool)

    def fail(offset: int, view: memoryview) -> None:
        raise OSError(errno.EIO, "Input/output error")

    reads.spoil = fail
    with pytest.raises(OSError, match=r"partition 0 of map-00003\.1 in shared-00000") as caught:
        list(reader)
    assert caught.value.errno == errno.EIO


def test_the_generation_of_a_file_is_that_of_its_header(disk: Disk) -> None:
    lease = disk.lease(generation=41)
    os.ftruncate(disk.fd, 8192)
    assert read_lease(disk.fd, lease.shared_file) is None
    disk.write(lease, [])
    assert read_lease(disk.fd, lease.shared_file) == lease
    assert read_lease(disk.fd, replace(lease.shared_file, volume=VolumeId("ff" * 16))) is None
    os.ftruncate(disk.fd, 0)
    assert read_lease(disk.fd, lease.shared_file) is None


def hex_dump(data: bytes) -> str:
    """As hexdump -C prints it, without the text column: lines equal to the one before shown as one ``*``."""
    lines: list[str] = []
    before = b""
    for offset in range(0, len(data), 16):
        line = data[offset : offset + 16]
        if line != before:
            lines.append(f"{offset:08x}  {line[:8].hex(' ')}  {line[8:].hex(' ')}")
        elif lines[-1] != "*":
            lines.append("*")
        before = line
    return "\n".join([*lines, f"{len(data):08x}"])


def test_the_specification_s_example_is_what_the_code_writes(disk: Disk) -> None:
    published = disk.write(disk.lease(), [(1, b"hello", 2), (1, b"world!", 3)])
    specification = (Path(__file__).parents[3] / "docs" / "spill_format.md").read_text(encoding="utf-8")
    example = specification.partition("```hex\n")[2].partition("\n```")[0]
    assert example == hex_dump(disk.bytes())
    assert f"digest is `{published.header_digest.hex()}`" in specification
    assert f"bytes in use are {published.length}, the records {published.records}." in specification
    assert published.header_digest == header_digest(disk.bytes()[:4096])


def test_what_was_begun_and_is_not_wanted_is_let_go(disk: Disk) -> None:
    published = disk.write(disk.lease(16384), [(0, b"x" * 9000, 1)])
    reader = SegmentReader(disk.fd, published, 0, disk.pool)
    reader.begin()
    reader.close()
    reader.close()
    assert [bytes(block.payload) for block in reader] == [b"x" * 9000], "it begins anew"
    empty = SegmentReader(disk.fd, published, 1, disk.pool)
    empty.begin()
    assert list(empty) == []
