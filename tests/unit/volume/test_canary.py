"""The canary's bytes: what stands in a slot that is not what was published is told by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from blfs_mr.model import VolumeId
from blfs_mr.volume.canary import (
    CANARY_SIZE,
    FORMATTED,
    SLOT_SIZE,
    SLOTS,
    TRIAL_AT,
    Stamp,
    blank_canary,
    canary_offset,
    digest_of,
    is_canary_page,
    pack_slot,
    reserved_size,
    slot_offset,
    what_stands_in,
)

VOLUME = VolumeId("0123456789abcdef" * 2)
STAMP = Stamp(VOLUME, "11" * 8, 40)
SLOT = pack_slot(STAMP)


def test_a_slot_is_recognised_as_what_was_written() -> None:
    assert len(SLOT) == SLOT_SIZE
    assert what_stands_in(SLOT, STAMP) == ""


@pytest.mark.parametrize(
    ("slot", "told"),
    [
        (pack_slot(replace(STAMP, round=24)), "the bytes of 16 rounds before"),
        (pack_slot(replace(STAMP, session="22" * 8)), "the bytes of before this examination"),
        (pack_slot(replace(STAMP, volume=VolumeId("ff" * 16))), f"the canary of volume {'ff' * 16}"),
        (bytes(SLOT_SIZE), "zeros"),
        (SLOT[:4096] + pack_slot(replace(STAMP, round=24))[4096:], "a mixture of several rounds"),
        (SLOT[:4096] * 4, "bytes that nobody wrote"),
        (SLOT[:5000] + b"?" + SLOT[5001:], "bytes that nobody wrote"),
        (SLOT[:4096], "bytes that nobody wrote"),
    ],
)
def test_what_is_wrong_with_a_slot_is_told(slot: bytes, told: str) -> None:
    assert what_stands_in(slot, STAMP) == told
    assert digest_of(slot) != digest_of(SLOT)


def test_no_page_of_two_rounds_is_the_same() -> None:
    slots = [pack_slot(replace(STAMP, round=number)) for number in range(50)]
    pages = {slot[at : at + 4096] for slot in slots for at in range(0, SLOT_SIZE, 4096)}
    assert len(pages) == 50 * SLOT_SIZE // 4096


def test_slots_follow_the_table_and_are_used_in_turn() -> None:
    assert canary_offset(64) == 4 * 4096
    offsets = [slot_offset(64, number) for number in range(2 * SLOTS)]
    assert sorted(set(offsets)) == offsets[:SLOTS] == offsets[SLOTS:]
    assert offsets[0] == canary_offset(64)
    assert offsets[SLOTS - 1] + SLOT_SIZE == canary_offset(64) + TRIAL_AT
    assert reserved_size(64) == canary_offset(64) + CANARY_SIZE


def test_a_new_canary_has_no_zeros_and_a_page_for_peers_to_try() -> None:
    blank = blank_canary(VOLUME)
    assert len(blank) == CANARY_SIZE
    assert what_stands_in(blank[:SLOT_SIZE], Stamp(VOLUME, FORMATTED, 0)) == ""
    assert is_canary_page(blank[TRIAL_AT:], VOLUME)
    assert not is_canary_page(blank[TRIAL_AT:], VolumeId("ff" * 16))
    assert not is_canary_page(bytes(4096), VOLUME)
