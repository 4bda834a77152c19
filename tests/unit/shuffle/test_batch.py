"""Cutting and grouping batches keeps every record."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.shuffle.batch import Batch

groupings = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), max_size=8).map(sorted)


def records(batch: Batch) -> list[tuple[Any, Any]]:
    bounds = batch.bounds()
    assert bounds[-1] == len(batch) == len(batch.values)
    return [
        (key, batch.values[at])
        for index, key in enumerate(batch.keys)
        for at in range(bounds[index], bounds[index + 1])
    ]


def batch_of(grouping: list[tuple[int, int]], counted: bool) -> Batch:
    if not counted:
        return Batch([key for key, _ in grouping], None, list(range(len(grouping))))
    counts = [count for _, count in grouping]
    return Batch([key for key, _ in grouping], counts, list(range(sum(counts))))


@given(groupings, st.booleans(), st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_pieces_hold_all_records_in_order(grouping: list[tuple[int, int]], counted: bool, size: int) -> None:
    batch = batch_of(grouping, counted)
    pieces = list(batch.pieces(size))
    assert [record for piece in pieces for record in records(piece)] == records(batch)
    assert all(len(piece) <= size for piece in pieces)


@given(groupings, st.booleans())
@settings(max_examples=100, deadline=None)
def test_grouped_has_each_key_once_and_the_same_records(
    grouping: list[tuple[int, int]], counted: bool
) -> None:
    batch = batch_of(grouping, counted)
    assert records(batch.grouped()) == records(batch)
    assert len(set(batch.grouped().keys)) == len(batch.grouped().keys)


@pytest.mark.parametrize("counts", [None, [1, 1]])
def test_a_cut_of_everything_is_the_batch_itself(counts: list[int] | None) -> None:
    batch = Batch(["a", "b"], counts, [1, 2])
    assert batch.cut(0, 2) is batch
