"""The bytes of superblock, claim and table: whatever is not exactly what was written is refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.errors import VolumeError
from blfs_mr.model import VolumeId, VolumeLayout, WorkerName
from blfs_mr.volume.superblock import (
    NO_CLAIM,
    Claim,
    State,
    Superblock,
    TableEntry,
    pack_claim,
    pack_superblock,
    pack_table,
    pages_size,
    parse_claim,
    parse_superblock,
    parse_table,
    table_digest,
)

VOLUME = VolumeId("0123456789abcdef" * 2)
ENTRIES = tuple(TableEntry(f"shared-{n:05d}", 0, 8192) for n in range(130))
TABLE = pack_table(VOLUME, ENTRIES)
WHOLE = Superblock(
    VOLUME, WorkerName("alpha"), VolumeLayout.FILE, 130, State.COMPLETE, 1_700_000_000, table_digest(TABLE)
)
CLAIM = Claim("11" * 8, "22" * 16, "33" * 16, "node-a", 4711, 12345, 1792)


def test_all_pages_are_read_as_they_were_written() -> None:
    assert parse_superblock(pack_superblock(WHOLE), "/dev/x") == WHOLE
    assert parse_table(TABLE, WHOLE, "/dev/x") == ENTRIES
    assert parse_claim(pack_claim(VOLUME, CLAIM), VOLUME, "/dev/x") == CLAIM
    assert parse_claim(pack_claim(VOLUME, NO_CLAIM), VOLUME, "/dev/x") == NO_CLAIM


def test_the_worked_example_of_the_specification() -> None:
    page = pack_superblock(replace(WHOLE, layout=VolumeLayout.RAW, count=2, table_digest=bytes(16)))
    document = Path(__file__).parents[3].joinpath("docs", "volumes.md").read_text(encoding="utf-8")
    example = document.partition("### Worked example")[2]
    lines = [
        line.split()[1:] for line in example.splitlines() if line.startswith("    00") and "(" not in line
    ]
    assert len(lines) == 6
    assert page == bytes.fromhex("".join(part for line in lines for part in line)).ljust(4096, b"\0")


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 4095), bit=st.integers(0, 7))
def test_no_flipped_bit_goes_unseen(position: int, bit: int) -> None:
    for page, parse in (
        (pack_superblock(WHOLE), lambda damaged: parse_superblock(damaged, "/dev/x")),
        (pack_claim(VOLUME, CLAIM), lambda damaged: parse_claim(damaged, VOLUME, "/dev/x")),
    ):
        damaged = bytearray(page)
        damaged[position] ^= 1 << bit
        with pytest.raises(VolumeError):
            parse(bytes(damaged))


@settings(max_examples=40, deadline=None)
@given(position=st.integers(0, len(TABLE) - 1))
def test_no_damage_to_the_table_goes_unseen(position: int) -> None:
    damaged = bytearray(TABLE)
    damaged[position] ^= 0x40
    with pytest.raises(VolumeError, match="not the one that was written"):
        parse_table(bytes(damaged), WHOLE, "/dev/x")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=4200))
def test_arbitrary_bytes_are_no_volume(page: bytes) -> None:
    with pytest.raises(VolumeError, match="no volume of ours"):
        parse_superblock(page, "/dev/x")


def test_half_a_format_is_named() -> None:
    with pytest.raises(VolumeError, match=r"/dev/x: formatting .* not finished"):
        parse_superblock(pack_superblock(replace(WHOLE, state=State.FORMATTING)), "/dev/x")


def test_a_newer_version_is_named_before_its_checksum_is_judged() -> None:
    page = bytearray(pack_superblock(WHOLE))
    page[16] = 9
    with pytest.raises(VolumeError, match="format version 9, and this is a program for version 1"):
        parse_superblock(bytes(page), "/dev/x")


def test_a_page_in_the_place_of_another_is_refused() -> None:
    with pytest.raises(VolumeError, match="in the place of 0"):
        parse_superblock(pack_claim(VOLUME, CLAIM), "/dev/x")
    with pytest.raises(VolumeError, match="the claim page is of volume"):
        parse_claim(pack_claim(VolumeId("ff" * 16), CLAIM), VOLUME, "/dev/x")


@pytest.mark.parametrize(
    "entries",
    [
        [TableEntry("a", 0, 8192)],
        [TableEntry("a", pages_size(1) - 4096, 8192)],
        [TableEntry("a", (1 << 20) + 1, 8192)],
        [TableEntry("a", 1 << 20, 4096)],
        [TableEntry("../a", 1 << 20, 8192)],
        [TableEntry("a", 1 << 20, 8192), TableEntry("b", (1 << 20) + 4096, 8192)],
        [TableEntry("a", 1 << 20, 8192), TableEntry("a", 2 << 20, 8192)],
    ],
)
def test_a_table_of_extents_that_cannot_be_is_refused(entries: list[TableEntry]) -> None:
    table = pack_table(VOLUME, tuple(entries))
    superblock = replace(WHOLE, layout=VolumeLayout.RAW, count=len(entries), table_digest=table_digest(table))
    with pytest.raises(VolumeError):
        parse_table(table, superblock, "/dev/x")
