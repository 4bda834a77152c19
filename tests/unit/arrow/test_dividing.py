"""Rows go where their keys say, none is lost, and boundaries mean what they mean to records."""

from __future__ import annotations

import datetime
from bisect import bisect_right

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.arrow.dividing import ByBoundaries, ByHash, divide, sort_by_keys
from blfs_mr.errors import InternalError, KeyNotSupported
from blfs_mr.shuffle.range_partition import encode_boundaries

keys = st.lists(st.none() | st.integers(-5, 5), max_size=60)


@given(keys)
@settings(max_examples=60, deadline=None)
def test_every_row_goes_to_one_part_and_equal_keys_to_the_same(values: list[int | None]) -> None:
    table = pa.table({"key": pa.array(values, pa.int64()), "row": pa.array(range(len(values)), pa.int64())})
    divided = list(divide(table, ByHash(["key"], 4)))
    assert [part for part, _ in divided] == sorted({part for part, _ in divided})
    rows = [row for _, rows in divided for row in rows["row"].to_pylist()]
    assert sorted(rows) == list(range(len(values)))
    where = [(key, part) for part, rows in divided for key in set(rows["key"].to_pylist())]
    assert len(where) == len(set(values))
    for _, part in divided:
        assert part["row"].to_pylist() == sorted(part["row"].to_pylist())


@given(st.lists(st.binary(max_size=3), max_size=40), st.lists(st.binary(max_size=3), max_size=5, unique=True))
@settings(max_examples=60, deadline=None)
def test_boundaries_divide_as_they_divide_records(values: list[bytes], boundaries: list[bytes]) -> None:
    rising = sorted(boundaries)
    rule = ByBoundaries("key", encode_boundaries(rising), len(rising) + 1)
    numbers = rule.numbers(pa.table({"key": pa.array(values, pa.binary())}))
    assert numbers.to_pylist() == [bisect_right(rising, value) for value in values]


def test_nulls_and_nans_are_in_the_last_range() -> None:
    rule = ByBoundaries("key", encode_boundaries([0.5, 1.5]), 3)
    numbers = rule.numbers(pa.table({"key": [None, float("nan"), 0.0, 0.5, float("inf")]}))
    assert numbers.to_pylist() == [2, 2, 0, 1, 2]


def test_dates_and_fixed_bytes_have_boundaries_too() -> None:
    days = pa.table({"key": [datetime.date(1970, 1, 2), datetime.date(1970, 1, 4)]})
    assert ByBoundaries("key", encode_boundaries([2]), 2).numbers(days).to_pylist() == [0, 1]
    fixed = pa.table({"key": pa.array([b"aa", b"zz"], pa.binary(2))})
    assert ByBoundaries("key", encode_boundaries([b"m"]), 2).numbers(fixed).to_pylist() == [0, 1]


def test_too_many_boundaries_are_a_bug() -> None:
    with pytest.raises(InternalError):
        ByBoundaries("key", encode_boundaries([1, 2]), 2)


def test_a_column_of_another_type_than_the_sample_is_named() -> None:
    with pytest.raises(KeyNotSupported, match="'key'"):
        ByBoundaries("key", encode_boundaries([b"m"]), 2).numbers(pa.table({"key": [1, 2]}))


def test_sorting_goes_by_all_keys_with_nulls_last_and_is_stable() -> None:
    table = pa.table({"a": [2, 1, None, 1], "b": ["x", "y", "z", "y"], "row": [0, 1, 2, 3]})
    assert sort_by_keys(table, ["a", "b"])["row"].to_pylist() == [1, 3, 0, 2]
    assert sort_by_keys(table, ["a"])["row"].to_pylist() == [1, 3, 0, 2]


def test_a_column_without_an_order_is_refused() -> None:
    with pytest.raises(KeyNotSupported, match="struct"):
        sort_by_keys(pa.table({"key": [{"a": 1}]}), ["key"])


SHARED = st.sampled_from([b"\xff" * 9, b"prefix..a", b"prefix..b"])
WIDE = st.binary(min_size=9, max_size=9) | SHARED


@given(st.lists(WIDE, max_size=100), st.integers(0, 3), st.integers(0, 80))
@settings(max_examples=100, deadline=None)
def test_fixed_bytes_are_sorted_as_bytes_are(values: list[bytes], skipped: int, distinct: int) -> None:
    values = [bytes([number]) * 9 for number in range(distinct)] + values
    table = pa.table({"key": pa.array(values, pa.binary(9)), "row": pa.array(range(len(values)), pa.int64())})
    ordered = sort_by_keys(table.slice(skipped), ["key"])
    expected = sorted(range(skipped, len(values)), key=values.__getitem__)
    assert ordered["row"].to_pylist() == expected


def test_fixed_bytes_with_nulls_are_sorted_too() -> None:
    table = pa.table({"key": pa.array([b"b" * 8, None, b"a" * 8], pa.binary(8))})
    assert sort_by_keys(table, ["key"])["key"].to_pylist() == [b"a" * 8, b"b" * 8, None]
