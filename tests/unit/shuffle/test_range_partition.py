"""The total order: boundaries from a sample, and the partitions they make."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.errors import InternalError, KeysNotComparable
from blfs_mr.shuffle.order import argsort
from blfs_mr.shuffle.range_partition import RangePartitioner, choose_boundaries, encode_boundaries

KEYS = st.one_of(
    st.lists(st.text(max_size=4)),
    st.lists(st.binary(max_size=3)),
    st.lists(st.one_of(st.integers(-9, 9), st.booleans(), st.floats(-9, 9))),
    st.lists(st.tuples(st.text(max_size=1), st.integers(0, 3))),
    st.lists(st.none()),
)


@settings(max_examples=200)
@given(sample=KEYS, partitions=st.integers(1, 7), data=st.data())
def test_partitions_rise_with_the_keys_and_equal_keys_meet(
    sample: list[Any], partitions: int, data: st.DataObject
) -> None:
    boundaries = choose_boundaries(sample, partitions)
    partition = RangePartitioner(encode_boundaries(boundaries), partitions)
    # Keys beyond the sample too: any of the boundaries' own kind.
    keys = sample if None in sample else sorted([*sample, *sample])
    chosen = [partition(key, partitions) for key in keys]
    assert all(type(index) is int and 0 <= index < partitions for index in chosen)
    assert chosen == sorted(chosen)


def test_a_uniform_sample_is_divided_evenly() -> None:
    sample = [number * 7919 % 1000 for number in range(1000)]
    partition = RangePartitioner(encode_boundaries(choose_boundaries(sample, 4)), 4)
    sizes = [0] * 4
    for key in range(1000):
        sizes[partition(key, 4)] += 1
    assert sizes == [250, 250, 250, 250]


def test_equal_numbers_of_different_kinds_meet() -> None:
    partition = RangePartitioner(encode_boundaries([1, 2]), 3)
    assert partition(1, 3) == partition(1.0, 3) == partition(True, 3) == 1


def test_a_key_that_fills_several_parts_is_one_boundary() -> None:
    assert choose_boundaries(["a"] + ["m"] * 98 + ["z"], 10) == ["m"]


def test_one_key_alone_needs_no_boundary() -> None:
    assert choose_boundaries(["m"] * 100, 10) == []


def test_an_empty_sample_gives_no_boundaries_and_one_partition_takes_all() -> None:
    boundaries = choose_boundaries([], 5)
    assert boundaries == []
    assert RangePartitioner(encode_boundaries(boundaries), 5)("any key", 5) == 0


def test_one_partition_has_no_boundaries() -> None:
    assert choose_boundaries(["a", "b", "c"], 1) == []


def test_a_sample_without_an_order_is_refused() -> None:
    with pytest.raises(KeysNotComparable):
        choose_boundaries(["a", 1], 2)


def test_a_key_without_an_order_to_the_boundaries_is_named() -> None:
    partition = RangePartitioner(encode_boundaries(["m"]), 2)
    with pytest.raises(KeysNotComparable, match=r"5 \(int\)"):
        partition(5, 2)


def test_more_boundaries_than_partitions_are_refused() -> None:
    with pytest.raises(InternalError):
        RangePartitioner(encode_boundaries(["a", "b"]), 2)


def test_bytes_that_are_no_boundaries_are_refused() -> None:
    with pytest.raises(InternalError):
        RangePartitioner(b"nonsense", 2)


@given(KEYS, st.integers(0, 20), st.integers(1, 6))
@settings(deadline=None)
def test_what_is_sorted_is_cut_where_each_key_would_go(keys: list[Any], sampled: int, parts: int) -> None:
    partition = RangePartitioner(encode_boundaries(choose_boundaries(keys[:sampled], parts)), parts)
    ordered = [keys[position] for position in argsort(keys)]
    begin, found = 0, []
    for number, end in enumerate(partition.ends(ordered, lambda key: key)):
        found += [number] * (end - begin)
        begin = end
    assert found == [partition(key, parts) for key in ordered]
    assert begin == len(keys)


def test_sorted_keys_of_another_kind_than_the_boundaries_are_refused_by_name() -> None:
    with pytest.raises(KeysNotComparable, match=r"1 \(int\)"):
        RangePartitioner(encode_boundaries(["m"]), 2).ends([1, 2], lambda key: key)
