"""What a volume says of itself, bytes in and bytes out: superblock, claim and table. No I/O.

The same pages stand at the start of the device in the raw layout and in ``volume.superblock`` in the file
layout; ``docs/volumes.md`` specifies them. Each page carries the volume's id, its own number and a checksum,
because it is read directly from a device whose bytes may be anything. A superblock is written twice: as
*formatting* before the first byte of data and as *complete* after the last one was read back, so that a
format that was cut short can be told from a volume.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from struct import Struct

from xxhash import xxh3_64_intdigest, xxh3_128_digest

from blfs_mr.errors import VolumeError
from blfs_mr.linux import PAGE
from blfs_mr.model import SharedFile, VolumeId, VolumeLayout, WorkerName
from blfs_mr.volume.geometry import MAX_SHARED_FILES, SMALLEST_FILE, is_name

MAGIC = b"blfs-vol"
VERSION = 1

CLAIM_PAGE = 1
FIRST_TABLE_PAGE = 2

MAX_OWNER = 64
"""Bytes of a worker's name, as everywhere."""

_PREFIX = Struct("<8sQIIQ16s")
_CHECKED_FROM = 16
_BODY_AT = 64
_SUPERBLOCK = Struct("<IIIIQ64s16s")
_CLAIM = Struct("<8s16s16s64sQQQ")
_ENTRY = Struct("<QQ48s")
ENTRIES_PER_PAGE = (PAGE - _BODY_AT) // _ENTRY.size

_LAYOUT_NUMBERS = {VolumeLayout.FILE: 1, VolumeLayout.RAW: 2}
_LAYOUTS = {number: layout for layout, number in _LAYOUT_NUMBERS.items()}


class PageKind(enum.IntEnum):
    """What a page is."""

    SUPERBLOCK = 1
    CLAIM = 2
    TABLE = 3


class State(enum.IntEnum):
    """How far formatting has come."""

    FORMATTING = 1
    COMPLETE = 2


@dataclass(frozen=True, slots=True)
class Superblock:
    """Page 0. ``formatted_at`` is in seconds since 1970; ``table_digest`` covers the table's pages."""

    volume: VolumeId
    owner: WorkerName
    layout: VolumeLayout
    count: int
    state: State
    formatted_at: int
    table_digest: bytes

    @property
    def table_pages(self) -> int:
        return table_pages(self.count)


@dataclass(frozen=True, slots=True)
class TableEntry:
    """One shared file: ``size`` bytes from ``offset`` of the device (raw layout) or of the file ``name``."""

    name: str
    offset: int
    size: int

    def shared_file(self, superblock: Superblock) -> SharedFile:
        """The shared file of the volume that this entry describes."""
        path = "" if superblock.layout is VolumeLayout.RAW else self.name
        return SharedFile(superblock.volume, path, self.offset, self.size)


@dataclass(frozen=True, slots=True)
class Claim:
    """Who owns the volume now: incarnation, host and process. All fields are zero or empty in no claim.

    ``machine`` is the host's lasting id (machine-id(5)), ``boot`` that of its running kernel; ``process`` and
    ``started`` (clock ticks since boot) name one process for good; ``device`` is the number of the block
    device through which it writes.
    """

    incarnation: str
    machine: str
    boot: str
    host: str
    process: int
    started: int
    device: int


NO_CLAIM = Claim("00" * 8, "00" * 16, "00" * 16, "", 0, 0, 0)


def table_pages(count: int) -> int:
    """How many pages the table of ``count`` shared files takes."""
    return -(-count // ENTRIES_PER_PAGE)


def pages_size(count: int) -> int:
    """Bytes of superblock, claim and table together."""
    return (FIRST_TABLE_PAGE + table_pages(count)) * PAGE


def pack_superblock(superblock: Superblock) -> bytes:
    """The page of ``superblock``."""
    body = _SUPERBLOCK.pack(
        superblock.state,
        _LAYOUT_NUMBERS[superblock.layout],
        superblock.count,
        superblock.table_pages,
        superblock.formatted_at,
        superblock.owner.encode(),
        superblock.table_digest,
    )
    return _pack_page(PageKind.SUPERBLOCK, 0, superblock.volume, body)


def parse_superblock(page: bytes | memoryview, where: str) -> Superblock:
    """The superblock in ``page``, whose place ``where`` names in errors. A half-finished one is refused.

    Raises VolumeError for whatever is not a complete superblock of this version, naming which.
    """
    volume, body = _parse_page(page, PageKind.SUPERBLOCK, 0, where)
    state, layout, count, pages, formatted_at, owner, digest = _SUPERBLOCK.unpack_from(body)
    if state == State.FORMATTING:
        raise VolumeError(
            f"{where}: formatting of this volume was begun and not finished, so parts of it are not written: "
            "format it again with `blfs-mr volume format --force`"
        )
    if state != State.COMPLETE or layout not in _LAYOUTS or not 1 <= count <= MAX_SHARED_FILES:
        raise VolumeError(f"{where}: a superblock with a sound checksum that makes no sense; format it again")
    if pages != table_pages(count):
        raise VolumeError(
            f"{where}: {pages} pages of table cannot hold {count} shared files; format it again"
        )
    return Superblock(
        volume, WorkerName(_text(owner)), _LAYOUTS[layout], count, State(state), formatted_at, digest
    )


def pack_claim(volume: VolumeId, claim: Claim) -> bytes:
    """The claim page of ``volume``."""
    body = _CLAIM.pack(
        bytes.fromhex(claim.incarnation),
        bytes.fromhex(claim.machine),
        bytes.fromhex(claim.boot),
        claim.host.encode()[:64],
        claim.process,
        claim.started,
        claim.device,
    )
    return _pack_page(PageKind.CLAIM, CLAIM_PAGE, volume, body)


def parse_claim(page: bytes | memoryview, volume: VolumeId, where: str) -> Claim:
    """The claim in ``page``, NO_CLAIM where the volume is free. Raises VolumeError."""
    found, body = _parse_page(page, PageKind.CLAIM, CLAIM_PAGE, where)
    if found != volume:
        raise VolumeError(f"{where}: the claim page is of volume {found}, the superblock of {volume}")
    incarnation, machine, boot, host, process, started, device = _CLAIM.unpack_from(body)
    return Claim(incarnation.hex(), machine.hex(), boot.hex(), _text(host), process, started, device)


def pack_table(volume: VolumeId, entries: tuple[TableEntry, ...]) -> bytes:
    """All pages of the table of ``entries``."""
    pages = []
    for number in range(table_pages(len(entries))):
        part = entries[number * ENTRIES_PER_PAGE : (number + 1) * ENTRIES_PER_PAGE]
        body = b"".join(_ENTRY.pack(entry.offset, entry.size, entry.name.encode()) for entry in part)
        pages.append(_pack_page(PageKind.TABLE, FIRST_TABLE_PAGE + number, volume, body))
    return b"".join(pages)


def table_digest(table: bytes | memoryview) -> bytes:
    """The 16 bytes by which a superblock names its table."""
    return xxh3_128_digest(table)


def parse_table(table: bytes | memoryview, superblock: Superblock, where: str) -> tuple[TableEntry, ...]:
    """The entries in the pages of a table. Raises VolumeError where they are not those of ``superblock``."""
    if table_digest(table) != superblock.table_digest:
        raise VolumeError(
            f"{where}: the table of shared files is not the one that was written; format it again"
        )
    entries: list[TableEntry] = []
    for number in range(superblock.table_pages):
        page = memoryview(table)[number * PAGE : (number + 1) * PAGE]
        _, body = _parse_page(page, PageKind.TABLE, FIRST_TABLE_PAGE + number, where)
        for offset, size, name in _ENTRY.iter_unpack(body[: ENTRIES_PER_PAGE * _ENTRY.size]):
            entries.append(TableEntry(_text(name), offset, size))
    entries = entries[: superblock.count]
    _check_entries(entries, superblock, where)
    return tuple(entries)


def _check_entries(entries: list[TableEntry], superblock: Superblock, where: str) -> None:
    raw = superblock.layout is VolumeLayout.RAW
    end = pages_size(superblock.count)
    for entry in entries:
        sound = entry.size >= SMALLEST_FILE and entry.size % PAGE == 0 and is_name(entry.name)
        placed = entry.offset >= end and entry.offset % PAGE == 0 if raw else entry.offset == 0
        if not sound or not placed:
            raise VolumeError(
                f"{where}: {entry} cannot be a shared file of a {superblock.layout.value} volume"
            )
        end = entry.offset + entry.size
    if len({entry.name for entry in entries}) != superblock.count:
        raise VolumeError(f"{where}: two shared files of the same name")


def _pack_page(kind: PageKind, number: int, volume: VolumeId, body: bytes) -> bytes:
    page = bytearray(PAGE)
    _PREFIX.pack_into(page, 0, MAGIC, 0, VERSION, kind, number, bytes.fromhex(volume))
    page[_BODY_AT : _BODY_AT + len(body)] = body
    checksum = xxh3_64_intdigest(memoryview(page)[_CHECKED_FROM:])
    _PREFIX.pack_into(page, 0, MAGIC, checksum, VERSION, kind, number, bytes.fromhex(volume))
    return bytes(page)


def _parse_page(
    page: bytes | memoryview, kind: PageKind, number: int, where: str
) -> tuple[VolumeId, memoryview]:
    """The volume and the body of a sound page of this kind and number. Raises VolumeError."""
    if len(page) < PAGE:
        raise VolumeError(f"{where} ends within a page of the superblock: it is no volume of ours")
    magic, checksum, version, found_kind, found_number, volume = _PREFIX.unpack_from(page)
    if magic != MAGIC:
        raise VolumeError(f"{where} holds no volume of ours: make one with `blfs-mr volume format`")
    # Judged before the checksum: a later version may place or compute it otherwise.
    if version != VERSION:
        raise VolumeError(
            f"{where} is a volume of format version {version}, and this is a program for version {VERSION}: "
            "use the blfs-mr that formatted it"
        )
    if checksum != xxh3_64_intdigest(memoryview(page)[_CHECKED_FROM:PAGE]):
        raise VolumeError(
            f"{where}: a page of the superblock does not match its checksum: it was damaged or half written; "
            "format the volume again"
        )
    if (found_kind, found_number) != (kind, number):
        raise VolumeError(
            f"{where}: page {found_number} of kind {found_kind} stands in the place of {number}"
        )
    return VolumeId(volume.hex()), memoryview(page)[_BODY_AT:PAGE]


def _text(padded: bytes) -> str:
    return padded.rstrip(b"\0").decode("utf-8", "replace")
