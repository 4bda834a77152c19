"""Blocks: sealed, accepted one after the other, refused by name."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from xxhash import xxh3_64_intdigest

from blfs_mr import errors
from blfs_mr.model import AttemptId, JobId, TaskId, TaskKind, VolumeId
from blfs_mr.spill.blocks import BlockSealer, SegmentVerifier, chain, next_block_position
from blfs_mr.spill.format import FileIdentity, SegmentEntry

ATTEMPT = AttemptId(TaskId(JobId("a0a1a2a3a4a5a6a7"), TaskKind.MAP, 3), 1)
IDENTITY = FileIdentity(VolumeId("0f" * 16), 99, 7, ATTEMPT)
PAYLOADS = [b"first", b"second and longer", b"third"]


def make_segment(identity: FileIdentity = IDENTITY, partition: int = 1) -> tuple[list[bytes], SegmentEntry]:
    """Blocks of one record each, from offset 4096, and their entry."""
    sealer = BlockSealer(identity)
    blocks, checksum, end = [], 0, 4096
    for sequence, payload in enumerate(PAYLOADS):
        offset = next_block_position(end)
        header, sealed = sealer.seal(
            payload, records=1, partition=partition, sequence=sequence, offset=offset
        )
        blocks.append(header + payload)
        checksum, end = chain(checksum, sealed), offset + len(header) + len(payload)
    return blocks, SegmentEntry(4096, end - 4096, 3, 3, 17, checksum)


def patched(block: bytes, offset: int, value: bytes) -> memoryview:
    """The block with other contents and a checksum that agrees."""
    changed = bytearray(block)
    changed[offset : offset + len(value)] = value
    struct.pack_into("<Q", changed, 0, xxh3_64_intdigest(bytes(changed[8:])))
    return memoryview(changed)


def make_verifier(entry: SegmentEntry | None = None) -> SegmentVerifier:
    return SegmentVerifier(IDENTITY, 1, entry or make_segment()[1])


def test_a_segment_is_accepted_block_by_block() -> None:
    blocks, entry = make_segment()
    verifier = make_verifier(entry)
    accepted = []
    for block in blocks:
        assert not verifier.finished
        assert verifier.block_length(memoryview(block)) == len(block)
        accepted.append(bytes(verifier.accept(memoryview(block)).payload))
    assert verifier.finished
    assert accepted == PAYLOADS


def test_every_flipped_bit_of_a_block_is_found() -> None:
    block = make_segment()[0][0]
    for position in range(len(block) * 8):
        changed = bytearray(block)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(errors.ChecksumMismatch):
            make_verifier().accept(memoryview(changed))


@pytest.mark.parametrize(
    ("identity", "error"),
    [
        (replace(IDENTITY, volume=VolumeId("0e" * 16)), errors.WrongVolume),
        (replace(IDENTITY, place=98), errors.WrongPosition),
        (replace(IDENTITY, generation=6), errors.WrongGeneration),
        (replace(IDENTITY, attempt=replace(ATTEMPT, number=2)), errors.WrongAttempt),
    ],
)
def test_a_block_of_somebody_else_says_what_differs(identity: FileIdentity, error: type[Exception]) -> None:
    blocks, _ = make_segment(identity)
    with pytest.raises(error):
        make_verifier().accept(memoryview(blocks[0]))


def test_a_block_of_another_partition_is_at_a_wrong_position() -> None:
    blocks, _ = make_segment(partition=0)
    with pytest.raises(errors.WrongPosition, match="of partition 0"):
        make_verifier().accept(memoryview(blocks[0]))


def test_a_later_block_of_the_same_segment_is_at_a_wrong_position() -> None:
    blocks, _ = make_segment()
    with pytest.raises(errors.WrongPosition, match="block 2 of partition 1"):
        make_verifier().accept(memoryview(blocks[2]))


@pytest.mark.parametrize("length", [0, 18, 1 << 31])
def test_a_length_out_of_bounds_is_a_bad_block(length: int) -> None:
    with pytest.raises(errors.BadBlock):
        make_verifier().block_length(patched(make_segment()[0][0], 8, struct.pack("<I", length)))


def test_zeros_are_a_bad_block() -> None:
    with pytest.raises(errors.BadBlock):
        make_verifier().block_length(memoryview(bytes(64)))


def test_a_block_that_reaches_beyond_its_segment_is_a_bad_block() -> None:
    blocks, entry = make_segment()
    verifier = make_verifier(entry)
    verifier.accept(memoryview(blocks[0]))
    verifier.accept(memoryview(blocks[1]))
    with pytest.raises(errors.BadBlock, match="beyond"):
        verifier.block_length(patched(blocks[2], 8, struct.pack("<I", 17)))


@pytest.mark.parametrize("records", [0, 4])
def test_more_or_fewer_records_than_possible_are_a_bad_block(records: int) -> None:
    with pytest.raises(errors.BadBlock):
        make_verifier().accept(patched(make_segment()[0][0], 12, struct.pack("<I", records)))


@pytest.mark.parametrize("promise", [{"blocks": 4, "records": 4}, {"blocks": 2}, {"records": 4}])
def test_totals_are_settled_before_the_last_block_is_handed_out(promise: dict[str, int]) -> None:
    blocks, entry = make_segment()
    verifier = make_verifier(replace(entry, **promise))
    verifier.accept(memoryview(blocks[0]))
    verifier.accept(memoryview(blocks[1]))
    with pytest.raises(errors.BadBlock):
        verifier.accept(memoryview(blocks[2]))


def test_sound_blocks_that_the_index_does_not_name_are_a_checksum_mismatch() -> None:
    blocks, entry = make_segment()
    verifier = make_verifier(entry)
    verifier.accept(memoryview(blocks[0]))
    verifier.accept(patched(blocks[1], 64, b"SECOND"))
    with pytest.raises(errors.ChecksumMismatch, match="its index names"):
        verifier.accept(memoryview(blocks[2]))


def test_a_segment_that_ends_between_two_blocks_is_a_bad_block() -> None:
    blocks, entry = make_segment()
    verifier = make_verifier(replace(entry, length=len(blocks[0]) + 64, blocks=1))
    with pytest.raises(errors.BadBlock, match="no block fits"):
        verifier.accept(memoryview(blocks[0]))


def test_a_refused_block_can_be_offered_again() -> None:
    blocks, entry = make_segment()
    verifier = make_verifier(entry)
    with pytest.raises(errors.ChecksumMismatch):
        verifier.accept(memoryview(blocks[0][:-1] + b"?"))
    assert bytes(verifier.accept(memoryview(blocks[0])).payload) == PAYLOADS[0]
