"""The canary: an area of a volume that holds no data, where a doctor may write while it is in service.

It follows the table of shared files, in the same place (``docs/volumes.md``), and is written when the volume
is formatted, so its blocks are as frozen as those of shared files. It has cells that are overwritten in turn,
as shared files are reused, and one page on which a peer tries to write and must be refused. Bytes in and
bytes out; no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from xxhash import xxh3_64_intdigest, xxh3_128_digest, xxh3_128_hexdigest

from blfs_mr.linux import PAGE
from blfs_mr.model import VolumeId
from blfs_mr.volume.superblock import pages_size

CELLS = 16
"""Cells: so many rounds can be under way at once, and so often does each round overwrite an earlier one."""

CELL_SIZE = 4 * PAGE
"""Bytes of a cell: several pages, so that a read that mixes two rounds shows."""

TRIAL_AT = CELLS * CELL_SIZE
"""Where the page for a peer's attempt to write is, from the start of the canary."""

CANARY_SIZE = TRIAL_AT + PAGE

FORMATTED = bytes(8).hex()
"""The session of what was written at formatting."""

_MAGIC = b"blfs-canary page"
_PREFIX = Struct("<16sQ16s8sQQ")
_CHECKED_FROM = 24


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who wrote a cell, and when: a doctor's ``session`` (16 hex digits) and the number of its ``round``."""

    volume: VolumeId
    session: str
    round: int


def canary_offset(count: int) -> int:
    """Where the canary of a volume of ``count`` shared files begins in its place."""
    return pages_size(count)


def reserved_size(count: int) -> int:
    """Bytes of superblock, claim, table and canary together."""
    return canary_offset(count) + CANARY_SIZE


def cell_offset(count: int, round: int) -> int:
    """Where the cell of a round begins in the place of a volume of ``count`` shared files."""
    return canary_offset(count) + round % CELLS * CELL_SIZE


def blank_canary(volume: VolumeId) -> bytes:
    """The whole canary as formatting writes it."""
    blank = Stamp(volume, FORMATTED, 0)
    return b"".join(pack_cell(blank) for _ in range(CELLS)) + _pack_page(blank, 0)


def pack_cell(stamp: Stamp) -> bytes:
    """The bytes of a cell in one round: no two rounds have a page in common."""
    return b"".join(_pack_page(stamp, number) for number in range(CELL_SIZE // PAGE))


def digest_of(cell: bytes | memoryview) -> str:
    """The digest that is published of a cell, 32 hex digits."""
    return xxh3_128_hexdigest(cell)


def is_canary_page(page: bytes | memoryview, volume: VolumeId) -> bool:
    """Whether ``page`` is sound and of this volume's canary."""
    found = _parse_page(page)
    return found is not None and found[0].volume == volume


def what_stands_in(cell: bytes | memoryview, expected: Stamp) -> str:
    """Why a cell is not what ``expected`` wrote, in words; empty where it is."""
    pages = [_parse_page(cell[at : at + PAGE]) for at in range(0, CELL_SIZE, PAGE)]
    if pages == [(expected, number) for number in range(len(pages))]:
        return ""
    if not any(cell):
        return "zeros"
    stamps = {page[0] for page in pages if page is not None}
    if len(stamps) > 1:
        return "a mixture of several rounds"
    if [page and page[1] for page in pages] != list(range(CELL_SIZE // PAGE)):
        return "bytes that nobody wrote"
    (found,) = stamps
    if found.volume != expected.volume:
        return f"the canary of volume {found.volume}"
    if found.session != expected.session:
        return "the bytes of before this examination"
    return f"the bytes of {expected.round - found.round} rounds before"


def _pack_page(stamp: Stamp, number: int) -> bytes:
    identity = bytes.fromhex(stamp.volume), bytes.fromhex(stamp.session), stamp.round, number
    page = bytearray(xxh3_128_digest(repr(identity).encode()) * (PAGE // 16))
    _PREFIX.pack_into(page, 0, _MAGIC, 0, *identity)
    _PREFIX.pack_into(page, 0, _MAGIC, xxh3_64_intdigest(memoryview(page)[_CHECKED_FROM:]), *identity)
    return bytes(page)


def _parse_page(page: bytes | memoryview) -> tuple[Stamp, int] | None:
    if len(page) != PAGE:
        return None
    magic, checksum, volume, session, round, number = _PREFIX.unpack_from(page)
    if magic != _MAGIC or checksum != xxh3_64_intdigest(memoryview(page)[_CHECKED_FROM:]):
        return None
    return Stamp(VolumeId(volume.hex()), session.hex(), round), number
