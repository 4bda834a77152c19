"""Blocks are of about the size asked for, never above the maximum, and hold every record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.shuffle import blocks as block_module
from blfs_mr.shuffle.batch import BATCH_RECORDS, Batch
from blfs_mr.shuffle.blocks import encode_in_blocks
from blfs_mr.shuffle.columns import decode_batch, encode_batch


def records(batch: Batch) -> list[tuple[Any, Any]]:
    bounds = batch.bounds()
    return [
        (key, batch.values[at])
        for index, key in enumerate(batch.keys)
        for at in range(bounds[index], bounds[index + 1])
    ]


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3000)), max_size=40),
    st.integers(1, 4),
    st.integers(10, 2000),
    st.integers(1, 4),
)
@settings(max_examples=100, deadline=None)
def test_blocks_hold_all_records_within_the_maximum(
    groups: list[tuple[int, int]], batches: int, target: int, slack: int
) -> None:
    run = []
    for share in range(batches):
        mine = groups[share::batches]
        counts = [count for count, _ in mine]
        run.append(
            Batch(list(range(len(mine))), counts, [bytes(size) for count, size in mine for _ in range(count)])
        )
    blocks = list(encode_in_blocks(run, target, target * slack))
    decoded = [decode_batch(block.payload) for block in blocks]
    assert [record for batch in decoded for record in records(batch)] == [
        r for batch in run for r in records(batch)
    ]
    for block, batch in zip(blocks, decoded, strict=True):
        assert block.records == len(batch) > 0
        assert block.oversized == (len(block.payload) > target * slack)
        assert not block.oversized or block.records == 1


def test_blocks_of_even_records_are_near_their_target() -> None:
    keys = [f"{number:08d}" for number in range(20_000)]
    blocks = list(encode_in_blocks([Batch(keys, None, [key * 4 for key in keys])], 50_000, 100_000))
    assert all(40_000 < len(block.payload) < 60_000 for block in blocks[:-1])


def test_a_huge_key_spreads_over_blocks() -> None:
    blocks = list(encode_in_blocks([Batch(["k"], [5000], [f"value {n}" for n in range(5000)])], 4096, 8192))
    assert len(blocks) > 10
    assert all(decode_batch(block.payload).keys == ["k"] for block in blocks)
    assert sum(block.records for block in blocks) == 5000


def test_small_batches_share_a_block() -> None:
    run = [Batch([number], None, [number]) for number in range(100)]
    (block,) = encode_in_blocks(run, 4096, 8192)
    assert block.records == 100


def test_a_block_of_constants_is_bounded_by_its_records() -> None:
    count = 2 * BATCH_RECORDS + 1
    blocks = list(encode_in_blocks([Batch(["k"], [count], [1] * count)], 4096, 8192))
    assert [block.records for block in blocks] == [BATCH_RECORDS, BATCH_RECORDS, 1]


def test_one_record_beyond_the_maximum_is_given_out_and_marked() -> None:
    blocks = list(encode_in_blocks([Batch(["a", "b", "c"], None, [b"", bytes(9000), b""])], 1000, 2000))
    assert [(block.records, block.oversized) for block in blocks] == [(1, False), (1, True), (1, False)]


def test_nothing_gives_no_block() -> None:
    assert list(encode_in_blocks([Batch([], None, [])], 1000, 2000)) == []


def test_what_is_gathered_for_a_block_is_bounded_by_bytes_not_by_records() -> None:
    taken = 0

    def run() -> Iterator[Batch]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield Batch([number], None, [f"{number:010000d}"])

    blocks = encode_in_blocks(run(), 40_000, 80_000)
    given_out = 0
    for block in blocks:
        given_out += block.records
        assert taken - given_out <= 20
    assert given_out == 1000


def test_large_values_after_small_ones_are_not_encoded_by_thousands(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []

    def encode(batch: Batch) -> bytes:
        payload = encode_batch(batch)
        encoded.append(len(payload))
        return payload

    monkeypatch.setattr(block_module, "encode_batch", encode)
    values = ["s"] * 5000 + [f"{number:020000d}" for number in range(500)]
    blocks = list(encode_in_blocks([Batch(list(range(5500)), None, values)], 16_384, 65_536))
    assert sum(block.records for block in blocks) == 5500
    assert max(encoded) < 4 * 65_536
