"""Reads and writes the pages of :mod:`blfs_mr.volume.superblock`, always directly: no cache may answer.

The pages stand at the start of a *place*: the device in the raw layout, ``volume.superblock`` in the file
layout.
"""

from __future__ import annotations

import os

from blfs_mr.errors import VolumeError
from blfs_mr.linux import PAGE, AlignedBuffer, open_direct, read_exactly
from blfs_mr.model import VolumeId, VolumeLayout
from blfs_mr.volume.geometry import SUPERBLOCK_NAME
from blfs_mr.volume.superblock import (
    CLAIM_PAGE,
    FIRST_TABLE_PAGE,
    Claim,
    Superblock,
    TableEntry,
    pack_claim,
    parse_claim,
    parse_superblock,
    parse_table,
)


def superblock_place(layout: VolumeLayout, root: str, device: str) -> str:
    """Where the pages stand of a volume with this mount point (file layout) or device (raw layout)."""
    return device if layout is VolumeLayout.RAW else os.path.join(root, SUPERBLOCK_NAME)


def read_superblock(place: str) -> tuple[Superblock, tuple[TableEntry, ...]]:
    """The superblock and the table. Raises VolumeError where there is no complete one, or OSError."""
    try:
        superblock = parse_superblock(read_pages(place, 0, 1), place)
    except FileNotFoundError as error:
        raise VolumeError(
            f"{place} does not exist: no volume is mounted there (`blfs-mr volume attach`), or its "
            "formatting was begun and not finished (`blfs-mr volume format --force`)"
        ) from error
    table = read_pages(place, FIRST_TABLE_PAGE, superblock.table_pages)
    return superblock, parse_table(table, superblock, place)


def read_claim(place: str, volume: VolumeId) -> Claim:
    """The claim of ``volume``. Raises VolumeError or OSError."""
    return parse_claim(read_pages(place, CLAIM_PAGE, 1), volume, place)


def write_claim(place: str, volume: VolumeId, claim: Claim) -> None:
    """Replace the claim, in place, and have it on the medium. Raises OSError."""
    write_pages(place, CLAIM_PAGE, pack_claim(volume, claim))


def read_pages(place: str, first: int, count: int) -> bytes:
    """``count`` pages from page ``first``, fewer where ``place`` ends. Raises OSError."""
    fd = open_direct(place)
    try:
        with AlignedBuffer(count * PAGE) as buffer, buffer.view() as whole, whole[: count * PAGE] as view:
            return bytes(view[: read_exactly(fd, view, first * PAGE)])
    finally:
        os.close(fd)


def write_pages(place: str, first: int, pages: bytes) -> None:
    """Overwrite whole pages from page ``first`` and flush them. Never creates ``place``; raises OSError."""
    fd = os.open(place, os.O_RDWR | os.O_DIRECT | os.O_DSYNC | os.O_CLOEXEC)
    try:
        with AlignedBuffer(len(pages)) as buffer, buffer.view() as view:
            view[: len(pages)] = pages
            done = 0
            while done < len(pages):
                done += os.pwrite(fd, view[done : len(pages)], first * PAGE + done)
    finally:
        os.close(fd)
