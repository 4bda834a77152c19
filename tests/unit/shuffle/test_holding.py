"""Pairs that a buffer holds, against a plain sort: by hash or by ranges, with and without sorted values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.errors import KeyNotSupported, KeysNotComparable
from blfs_mr.shuffle.batch import Order
from blfs_mr.shuffle.combine import Combiner
from blfs_mr.shuffle.holding import Groups, Holding, Pairs
from blfs_mr.shuffle.partition import Partitioner
from blfs_mr.shuffle.range_partition import RangePartitioner, choose_boundaries, encode_boundaries

KEYS = st.one_of(
    st.lists(st.integers(0, 20)),
    st.lists(st.binary(min_size=2, max_size=2)),
    st.lists(st.text(max_size=2)),
    st.lists(st.none()),
)
HOLDINGS: list[Callable[[], Holding]] = [Groups, Pairs]


def partitioner(keys: list[Any], parts: int, ranges: bool) -> Partitioner:
    if not ranges:
        return Partitioner(parts)
    return Partitioner(parts, RangePartitioner(encode_boundaries(choose_boundaries(keys[::2], parts)), parts))


def drained(
    held: Holding, by: Partitioner, combiner: Combiner | None = None, order: Order = "key"
) -> list[tuple[int, Any, Any]]:
    return [
        (partition, key, value)
        for partition, batch in held.drain(by, combiner, order)
        for key, begin, end in zip(batch.keys, batch.bounds(), batch.bounds()[1:], strict=False)
        for value in batch.values[begin:end]
    ]


@pytest.mark.parametrize("make", HOLDINGS)
@given(
    keys=KEYS, parts=st.integers(1, 5), ranges=st.booleans(), order=st.sampled_from(["key", "key-and-value"])
)
@settings(max_examples=100, deadline=None)
def test_what_is_held_comes_out_by_partition_and_key(
    make: Callable[[], Holding], keys: list[Any], parts: int, ranges: bool, order: Order
) -> None:
    held, by = make(), partitioner(keys, parts, ranges)
    pairs = [(key, -number % 7) for number, key in enumerate(keys)]
    held.take(pairs, len(pairs))
    found = drained(held, by, order=order)
    assert sorted(map(repr, found)) == sorted(repr((*by.of([key]), key, value)) for key, value in pairs)
    if None not in keys:
        assert [(partition, key) for partition, key, _ in found] == sorted((p, key) for p, key, _ in found)
    for key in set(keys):
        values, given = [v for _, k, v in found if k == key], [v for k, v in pairs if k == key]
        assert values == (given if order == "key" else sorted(given)), "equal keys keep the order of values"
    assert held.taken == len(pairs)
    assert held.records == 0
    assert drained(held, by) == []


@given(keys=st.lists(st.integers(0, 5)), parts=st.integers(1, 3), ranges=st.booleans())
@settings(max_examples=60, deadline=None)
def test_pairs_are_combined_whole_partitions_at_a_time(keys: list[int], parts: int, ranges: bool) -> None:
    held = Pairs([(key, 1) for key in keys])
    combiner = Combiner(lambda key, values: [(key, sum(values))])
    found = drained(held, partitioner(keys, parts, ranges), combiner)
    assert sorted((key, value) for _, key, value in found) == [
        (key, keys.count(key)) for key in sorted(set(keys))
    ]


@pytest.mark.parametrize("ranges", [False, True])
def test_keys_that_cannot_be_keys_or_have_no_order_are_refused(ranges: bool) -> None:
    for wrong, error in ((1.5j, KeyNotSupported), ("text", KeysNotComparable)):
        held = Pairs([(1, "value"), (2, "value"), (wrong, "value")])
        with pytest.raises(error):
            drained(held, partitioner([1, 2], 1, ranges))
