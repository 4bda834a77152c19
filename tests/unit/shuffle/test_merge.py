"""Merging in windows equals one big sort, whatever the runs and batches."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.errors import KeysNotComparable, ValueNotSupported
from blfs_mr.shuffle.batch import Batch, Order
from blfs_mr.shuffle.merge import merge_runs, runs_to_merge_first, sort_batches

pairs = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99)), max_size=40)


def records(run: Iterator[Batch]) -> list[tuple[Any, Any]]:
    found = []
    for batch in run:
        bounds = batch.bounds()
        assert bounds[-1] == len(batch.values)
        for index, key in enumerate(batch.keys):
            found += [(key, value) for value in batch.values[bounds[index] : bounds[index + 1]]]
    return found


def run_of(contents: list[tuple[Any, Any]], batch_size: int, grouped: bool) -> Iterator[Batch]:
    batch = Batch([key for key, _ in contents], None, [value for _, value in contents])
    for piece in batch.pieces(batch_size):
        yield piece.grouped() if grouped else piece
        yield Batch([], None, [])


@given(
    st.lists(pairs, max_size=6),
    st.integers(1, 9),
    st.integers(0, 63),
    st.sampled_from(["key", "key-and-value"]),
)
@settings(max_examples=300, deadline=None)
def test_a_merge_equals_one_sort(
    runs: list[list[tuple[int, int]]], size: int, grouped: int, order: Order
) -> None:
    merged = records(
        merge_runs([run_of(sorted(run), size, bool(grouped >> n & 1)) for n, run in enumerate(runs)], order)
    )
    expected = sorted(pair for run in runs for pair in run)
    assert [key for key, _ in merged] == [key for key, _ in expected]
    assert sorted(merged) == expected
    if order == "key-and-value":
        assert merged == expected


def test_a_merge_holds_one_batch_of_each_run() -> None:
    loaded = [0, 0, 0]

    def run(number: int) -> Iterator[Batch]:
        for first in range(number, 3000, 30):
            loaded[number] += 1
            yield Batch(list(range(first, first + 30, 3)), None, [None] * 10)

    taken = 0
    for batch in merge_runs([run(0), run(1), run(2)]):
        taken += len(batch)
        assert sum(loaded) * 10 - taken <= 30
    assert taken == 3000


def test_one_run_passes_through_as_it_is() -> None:
    batches = [Batch(["a"], [2], [1, 2]), Batch(["b"], None, [3])]
    assert list(merge_runs([iter(batches)])) == batches
    assert list(merge_runs([])) == []


def test_keys_that_are_none_are_merged() -> None:
    runs = [
        iter([Batch([None], [2], [1, 2]), Batch([None], None, [3])]),
        iter([Batch([None, None], None, [4, 5])]),
    ]
    assert sorted(value for _, value in records(merge_runs(runs))) == [1, 2, 3, 4, 5]


def test_keys_of_different_runs_without_an_order_are_named() -> None:
    with pytest.raises(KeysNotComparable, match=r"'a' \(str\)"):
        list(merge_runs([iter([Batch(["a"], None, [1])]), iter([Batch([1], None, [1])])]))


def test_values_of_different_runs_without_an_order_are_named() -> None:
    runs = [iter([Batch(["a", "b"], None, [1, 1])]), iter([Batch(["a", "b"], None, ["x", "y"])])]
    with pytest.raises(ValueNotSupported, match=r"of the key '[ab]'"):
        list(merge_runs(runs, "key-and-value"))


@given(st.lists(st.integers(1, 1000), max_size=60), st.integers(2, 9))
@settings(max_examples=100, deadline=None)
def test_passes_end_with_one_full_merge(sizes: list[int], fan_in: int) -> None:
    total, passes, count = sum(sizes), 0, len(sizes)
    while first := runs_to_merge_first(sizes, fan_in):
        assert 2 <= len(first) <= fan_in
        assert sum(sizes[at] for at in first) == sum(sorted(sizes)[: len(first)])
        merged = sum(sizes[at] for at in first)
        sizes = [size for at, size in enumerate(sizes) if at not in first] + [merged]
        passes += 1
    assert sum(sizes) == total
    assert len(sizes) == fan_in or passes == 0
    assert passes == max(0, -(-(count - fan_in) // (fan_in - 1)))


def test_a_merge_of_one_run_at_a_time_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two"):
        runs_to_merge_first([1, 2, 3], 1)


@given(runs=st.lists(pairs.filter(bool), min_size=1, max_size=8), grouped=st.booleans())
def test_short_runs_sorted_at_once_are_the_same_as_merged(
    runs: list[list[tuple[Any, Any]]], grouped: bool
) -> None:
    orders: tuple[Order, Order] = ("key", "key-and-value")
    for order in orders:
        batches = [batch for run in runs for batch in run_of(sorted(run), 100, grouped) if batch.keys]
        together = sort_batches(batches, order)
        everything = sorted(pair for run in runs for pair in run)
        assert sorted(records(iter([together]))) == everything
        assert [key for key, _ in records(iter([together]))] == [key for key, _ in everything]
        if order == "key-and-value":
            assert records(iter([together])) == everything


def test_what_was_given_out_is_free_before_more_is_loaded() -> None:
    class Value:
        pass

    gone: list[bool] = []

    def run(offset: int) -> Iterator[Batch]:
        for number in range(4):
            value = Value()
            alive = weakref.ref(value)
            yield Batch([10 * number + offset], None, [value])
            del value
            gone.append(alive() is None)

    # In each round one run is used up and loads its next batch; nobody else may hold the last one.
    for batch in merge_runs([run(0), run(5)]):
        del batch
    assert gone.count(True) >= 6
