"""The blocks of spill format version 1: sealed by a writer, verified one by one by a reader. No I/O.

A block is the unit of verification: nothing of it may be used before all of it is known to be sound, to be
of the lease that was published, and to stand where it was written. ``docs/spill_format.md`` specifies it.
"""

from __future__ import annotations

from struct import Struct

from xxhash import xxh3_64, xxh3_64_intdigest

from blfs_mr.errors import (
    BadBlock,
    ChecksumMismatch,
    WrongAttempt,
    WrongGeneration,
    WrongPosition,
    WrongVolume,
)
from blfs_mr.spill.format import BLOCK_ALIGNMENT, BLOCK_HEADER_SIZE, FileIdentity, SegmentEntry
from blfs_mr.values import dataclass

_HEADER = Struct("<QIIIIQQQQQ")
_CHECKSUM = Struct("<Q")
_CHECKED_FROM = 8
_LENGTH = Struct("<I")
_CHAIN = Struct("<QQ")


@dataclass(frozen=True, slots=True)
class Block:
    """A verified block: an opaque payload that holds ``records`` records."""

    payload: memoryview
    records: int


def next_block_position(end: int) -> int:
    """Where the block after one that ends at ``end`` begins."""
    return (end + BLOCK_ALIGNMENT - 1) & -BLOCK_ALIGNMENT


def chain(segment_checksum: int, block_checksum: int) -> int:
    """The checksum of a segment once one more block joins it; it is 0 before the first."""
    return xxh3_64_intdigest(_CHAIN.pack(segment_checksum, block_checksum))


class BlockSealer:
    """Makes the headers of the blocks of one run."""

    __slots__ = ("_author", "_generation", "_place", "_volume_tag")

    def __init__(self, identity: FileIdentity) -> None:
        self._volume_tag = identity.volume_tag()
        self._place = identity.place
        self._generation = identity.generation
        self._author = identity.author()

    def seal(
        self,
        payload: bytes | bytearray | memoryview,
        *,
        records: int,
        partition: int,
        sequence: int,
        offset: int,
    ) -> tuple[bytes, int]:
        """The header of BLOCK_HEADER_SIZE bytes that goes before ``payload``, and the block's checksum."""
        header = bytearray(BLOCK_HEADER_SIZE)
        _HEADER.pack_into(
            header,
            0,
            0,
            memoryview(payload).nbytes,
            records,
            partition,
            sequence,
            offset,
            self._volume_tag,
            self._place,
            self._generation,
            self._author,
        )
        digest = xxh3_64(header[_CHECKED_FROM:])
        digest.update(payload)
        checksum = digest.intdigest()
        _CHECKSUM.pack_into(header, 0, checksum)
        return bytes(header), checksum


class SegmentVerifier:
    """Follows one segment block by block and accepts only what its entry promised.

    ``position`` is where the next block begins, from the start of the shared file; ``finished`` tells that
    the last block was accepted, and with it the totals of the segment. A refused block changes nothing, so
    the same position can be read again.
    """

    __slots__ = (
        "_author",
        "_blocks",
        "_checksum",
        "_end",
        "_entry",
        "_identity",
        "_partition",
        "_records",
        "_volume_tag",
        "finished",
        "position",
    )

    def __init__(self, identity: FileIdentity, partition: int, entry: SegmentEntry) -> None:
        self._identity = identity
        self._volume_tag = identity.volume_tag()
        self._author = identity.author()
        self._partition = partition
        self._entry = entry
        self._end = entry.offset + entry.length
        self._blocks = self._records = self._checksum = 0
        self.position = entry.offset
        self.finished = False

    def block_length(self, view: memoryview) -> int:
        """Bytes of the block, header included, that begins ``view``. Raises BadBlock.

        The length is not verified yet; it is only bounded, so that it is safe to wait for so many bytes.
        """
        (length,) = _LENGTH.unpack_from(view, _CHECKED_FROM)
        if not 0 < length <= self._entry.largest:
            raise BadBlock(f"a payload of {length} bytes in a segment whose largest is {self._entry.largest}")
        if self.position + BLOCK_HEADER_SIZE + length > self._end:
            raise BadBlock(f"a payload of {length} bytes that reaches beyond its segment")
        return BLOCK_HEADER_SIZE + int(length)

    def accept(self, view: memoryview) -> Block:
        """Verify the block that ``view`` is, all of it, and go on to the next.

        Raises ChecksumMismatch, WrongVolume, WrongPosition, WrongGeneration, WrongAttempt or BadBlock.
        """
        checksum, length, records, partition, sequence, offset, volume_tag, place, generation, author = (
            _HEADER.unpack_from(view)
        )
        if xxh3_64_intdigest(view[_CHECKED_FROM:]) != checksum:
            raise ChecksumMismatch("a block does not match its checksum")
        if volume_tag != self._volume_tag:
            raise WrongVolume("a block of another volume")
        if place != self._identity.place:
            raise WrongPosition("a block of another shared file of the volume")
        if generation != self._identity.generation:
            raise WrongGeneration(f"a block of generation {generation}, not {self._identity.generation}")
        if author != self._author:
            raise WrongAttempt("a block of another attempt")
        if (partition, sequence, offset) != (self._partition, self._blocks, self.position):
            raise WrongPosition(
                f"block {sequence} of partition {partition} written at {offset} stands at {self.position}, "
                f"where block {self._blocks} of partition {self._partition} belongs"
            )
        self._advance(records, length, checksum)
        return Block(view[BLOCK_HEADER_SIZE:], records)

    def _advance(self, records: int, length: int, checksum: int) -> None:
        entry = self._entry
        end = self.position + BLOCK_HEADER_SIZE + length
        blocks, total, chained = self._blocks + 1, self._records + records, chain(self._checksum, checksum)
        finished = end == self._end
        if records == 0 or blocks > entry.blocks or total > entry.records:
            raise BadBlock(f"block {self._blocks} exceeds what the index promises: {entry}")
        # The totals are settled with the last block and not after it: no record of it may be used before.
        if finished and (blocks, total) != (entry.blocks, entry.records):
            raise BadBlock(f"{blocks} blocks with {total} records where the index promises {entry}")
        if finished and chained != entry.checksum:
            raise ChecksumMismatch("the blocks of a segment are sound, but not those that its index names")
        if not finished and next_block_position(end) + BLOCK_HEADER_SIZE >= self._end:
            raise BadBlock(f"no block fits between {end} and the segment's end at {self._end}")
        self._blocks, self._records, self._checksum = blocks, total, chained
        self.position, self.finished = next_block_position(end), finished
