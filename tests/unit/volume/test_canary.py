"""The canary's bytes: what stands in a cell that is not what was published is told by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from blfs_mr.model import VolumeId
from blfs_mr.volume.canary import (
    CANARY_SIZE,
    CELL_SIZE,
    CELLS,
    FORMATTED,
    TRIAL_AT,
    Stamp,
    blank_canary,
    canary_offset,
    cell_offset,
    digest_of,
    is_canary_page,
    pack_cell,
    reserved_size,
    what_stands_in,
)

VOLUME = VolumeId("0123456789abcdef" * 2)
STAMP = Stamp(VOLUME, "11" * 8, 40)
CELL = pack_cell(STAMP)


def test_a_cell_is_recognised_as_what_was_written() -> None:
    assert len(CELL) == CELL_SIZE
    assert what_stands_in(CELL, STAMP) == ""


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (pack_cell(replace(STAMP, round=24)), "the bytes of 16 rounds before"),
        (pack_cell(replace(STAMP, session="22" * 8)), "the bytes of before this examination"),
        (pack_cell(replace(STAMP, volume=VolumeId("ff" * 16))), f"the canary of volume {'ff' * 16}"),
        (bytes(CELL_SIZE), "zeros"),
        (CELL[:4096] + pack_cell(replace(STAMP, round=24))[4096:], "a mixture of several rounds"),
        (CELL[:4096] * 4, "bytes that nobody wrote"),
        (CELL[:5000] + b"?" + CELL[5001:], "bytes that nobody wrote"),
        (CELL[:4096], "bytes that nobody wrote"),
    ],
)
def test_what_is_wrong_with_a_cell_is_told(cell: bytes, told: str) -> None:
    assert what_stands_in(cell, STAMP) == told
    assert digest_of(cell) != digest_of(CELL)


def test_no_page_of_two_rounds_is_the_same() -> None:
    cells = [pack_cell(replace(STAMP, round=number)) for number in range(50)]
    pages = {cell[at : at + 4096] for cell in cells for at in range(0, CELL_SIZE, 4096)}
    assert len(pages) == 50 * CELL_SIZE // 4096


def test_cells_follow_the_table_and_are_used_in_turn() -> None:
    assert canary_offset(64) == 4 * 4096
    offsets = [cell_offset(64, number) for number in range(2 * CELLS)]
    assert sorted(set(offsets)) == offsets[:CELLS] == offsets[CELLS:]
    assert offsets[0] == canary_offset(64)
    assert offsets[CELLS - 1] + CELL_SIZE == canary_offset(64) + TRIAL_AT
    assert reserved_size(64) == canary_offset(64) + CANARY_SIZE


def test_a_new_canary_has_no_zeros_and_a_page_for_peers_to_try() -> None:
    blank = blank_canary(VOLUME)
    assert len(blank) == CANARY_SIZE
    assert what_stands_in(blank[:CELL_SIZE], Stamp(VOLUME, FORMATTED, 0)) == ""
    assert is_canary_page(blank[TRIAL_AT:], VOLUME)
    assert not is_canary_page(blank[TRIAL_AT:], VolumeId("ff" * 16))
    assert not is_canary_page(bytes(4096), VOLUME)
