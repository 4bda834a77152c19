"""The bytes of an index: packed, parsed, and refused by name."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from blfs_mr import errors
from blfs_mr.model import AttemptId, JobId, Lease, SharedFile, TaskId, TaskKind, VolumeId
from blfs_mr.spill.format import (
    ENTRIES_PER_PAGE,
    MAX_PAYLOAD,
    PAGE_SIZE,
    FileIdentity,
    SegmentEntry,
    check_index_page,
    index_pages,
    pack_index,
    parse_entry,
    parse_index_page,
    payload_capacity,
)

ATTEMPT = AttemptId(TaskId(JobId("a0a1a2a3a4a5a6a7"), TaskKind.MAP, 3), 1)
SHARED_FILE = SharedFile(VolumeId("0f" * 16), "shared-00000", 0, 1 << 20)
IDENTITY = FileIdentity.from_lease(Lease(SHARED_FILE, 7, ATTEMPT))
ENTRY = SegmentEntry(offset=PAGE_SIZE, length=164, records=10, blocks=1, largest=100, checksum=5)


def make_index(partitions: int = 2, identity: FileIdentity = IDENTITY, entry: SegmentEntry = ENTRY) -> bytes:
    return pack_index(
        identity, partitions=partitions, size=1 << 20, length=1 << 19, records=50, entries={0: entry}
    )


def patched(page: bytes, offset: int, value: bytes) -> bytes:
    """The page with other contents and a checksum that agrees."""
    changed = bytearray(page)
    changed[offset : offset + len(value)] = value
    struct.pack_into("<Q", changed, 8, xxh3_64_intdigest(bytes(changed[16:])))
    return bytes(changed)


def test_an_index_page_comes_back_as_it_was_packed() -> None:
    page = parse_index_page(make_index())
    assert page.identity == IDENTITY
    assert (page.number, page.partitions, page.records) == (0, 2, 50)
    assert (page.size, page.length) == (1 << 20, 1 << 19)
    assert parse_entry(page, 0) == ENTRY
    assert parse_entry(page, 1) is None


@settings(max_examples=50, derandomize=True)
@given(st.integers(1, 3 * ENTRIES_PER_PAGE), st.data())
def test_every_entry_stands_in_the_page_of_its_partition(partitions: int, data: st.DataObject) -> None:
    partition = data.draw(st.integers(0, partitions - 1))
    entry = replace(ENTRY, offset=index_pages(partitions) * PAGE_SIZE)
    index = pack_index(
        IDENTITY, partitions=partitions, size=1 << 20, length=1 << 19, records=50, entries={partition: entry}
    )
    assert len(index) == index_pages(partitions) * PAGE_SIZE
    number = partition // ENTRIES_PER_PAGE
    page = parse_index_page(index[number * PAGE_SIZE : (number + 1) * PAGE_SIZE])
    check_index_page(page, number, IDENTITY)
    assert parse_entry(page, partition) == entry


def test_every_flipped_bit_of_a_page_is_found() -> None:
    page = make_index()
    for position in range(PAGE_SIZE):
        changed = bytearray(page)
        changed[position] ^= 1 << position % 8
        with pytest.raises(errors.BadMagic if position < 8 else errors.ChecksumMismatch):
            parse_index_page(bytes(changed))


def test_a_page_of_zeros_has_a_bad_magic() -> None:
    with pytest.raises(errors.BadMagic):
        parse_index_page(bytes(PAGE_SIZE))


def test_a_sound_page_of_a_later_version_is_unsupported() -> None:
    with pytest.raises(errors.UnsupportedVersion, match="version 2"):
        parse_index_page(patched(make_index(), 16, struct.pack("<I", 2)))


@pytest.mark.parametrize(
    ("identity", "error"),
    [
        (replace(IDENTITY, volume=VolumeId("0e" * 16)), errors.WrongVolume),
        (replace(IDENTITY, place=1), errors.WrongPosition),
        (replace(IDENTITY, generation=6), errors.WrongGeneration),
        (replace(IDENTITY, attempt=replace(ATTEMPT, number=2)), errors.WrongAttempt),
        (
            replace(IDENTITY, attempt=AttemptId(replace(ATTEMPT.task, kind=TaskKind.REDUCE), 1)),
            errors.WrongAttempt,
        ),
        (replace(IDENTITY, attempt=AttemptId(replace(ATTEMPT.task, index=4), 1)), errors.WrongAttempt),
        (
            replace(IDENTITY, attempt=AttemptId(replace(ATTEMPT.task, job=JobId("b0" * 8)), 1)),
            errors.WrongAttempt,
        ),
    ],
)
def test_a_page_of_somebody_else_says_what_differs(identity: FileIdentity, error: type[Exception]) -> None:
    with pytest.raises(error):
        check_index_page(parse_index_page(make_index(identity=identity)), 0, IDENTITY)


def test_a_page_that_stands_elsewhere_is_at_a_wrong_position() -> None:
    index = make_index(partitions=200, entry=replace(ENTRY, offset=3 * PAGE_SIZE))
    with pytest.raises(errors.WrongPosition, match="page 1 where page 2"):
        check_index_page(parse_index_page(index[PAGE_SIZE : 2 * PAGE_SIZE]), 2, IDENTITY)


def test_shared_files_of_one_volume_have_places_of_their_own() -> None:
    others = [replace(SHARED_FILE, path="shared-00001"), replace(SHARED_FILE, offset=4096)]
    places = {FileIdentity.from_lease(Lease(f, 7, ATTEMPT)).place for f in [SHARED_FILE, *others]}
    assert len(places) == 3


@pytest.mark.parametrize(
    "entry",
    [
        replace(ENTRY, offset=PAGE_SIZE + 1),
        replace(ENTRY, offset=0),
        replace(ENTRY, length=1 << 19),
        replace(ENTRY, length=163),
        replace(ENTRY, blocks=0),
        replace(ENTRY, blocks=11, length=4096),
        replace(ENTRY, records=51),
        replace(ENTRY, records=0),
        replace(ENTRY, largest=0),
        replace(ENTRY, largest=MAX_PAYLOAD + 1, length=1 << 18),
    ],
)
def test_an_entry_that_contradicts_its_file_is_a_bad_index(entry: SegmentEntry) -> None:
    with pytest.raises(errors.BadIndex):
        parse_entry(parse_index_page(make_index(entry=entry)), 0)


@pytest.mark.parametrize(
    ("offset", "value"),
    [(64, struct.pack("<I", 3)), (88, struct.pack("<Q", (1 << 20) + 1)), (20, struct.pack("<I", 1))],
    ids=["task kind", "bytes in use", "page number"],
)
def test_a_sound_page_without_sense_is_a_bad_index(offset: int, value: bytes) -> None:
    with pytest.raises(errors.BadIndex):
        parse_index_page(patched(make_index(), offset, value))


def test_a_partition_that_the_index_does_not_have_is_a_bad_index() -> None:
    with pytest.raises(errors.BadIndex, match="2 partitions"):
        parse_entry(parse_index_page(make_index()), 2)


def test_an_id_of_the_wrong_length_is_never_padded() -> None:
    with pytest.raises(errors.InternalError, match="16 bytes"):
        make_index(identity=replace(IDENTITY, volume=VolumeId("0f")))


@pytest.mark.parametrize(
    ("size", "partitions", "capacity"),
    [(8192, 99, 4096 - 64), (8192, 100, 0), (1 << 30, 1, MAX_PAYLOAD), (4096, 1, 0)],
)
def test_the_capacity_is_what_index_and_block_header_leave(size: int, partitions: int, capacity: int) -> None:
    assert payload_capacity(size, partitions) == capacity
