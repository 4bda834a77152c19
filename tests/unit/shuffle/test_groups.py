"""Groups: each key once, values streamed, whatever the batches and whatever the user consumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.shuffle.batch import Batch
from blfs_mr.shuffle.groups import GroupCursor


def run_of(keys: list[Any], size: int, grouped: bool) -> Iterator[Batch]:
    for piece in Batch(sorted(keys), None, list(range(len(keys)))).pieces(size):
        yield piece.grouped() if grouped else piece
        yield Batch([], None, [])


@given(st.lists(st.integers(0, 6), max_size=40), st.integers(1, 8), st.booleans())
@settings(max_examples=200, deadline=None)
def test_each_key_comes_once_with_all_its_values(keys: list[int], size: int, grouped: bool) -> None:
    found = [(key, list(values)) for key, values in GroupCursor(run_of(keys, size, grouped))]
    assert [key for key, _ in found] == sorted(set(keys))
    assert {key: len(values) for key, values in found} == Counter(keys)
    assert [value for _, values in found for value in values] == list(range(len(keys)))


@given(st.lists(st.integers(0, 4), max_size=40), st.integers(1, 5), st.booleans(), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_values_that_are_not_consumed_are_skipped(
    keys: list[int], size: int, grouped: bool, wanted: int
) -> None:
    found = [(key, list(islice(values, wanted))) for key, values in GroupCursor(run_of(keys, size, grouped))]
    assert [key for key, _ in found] == sorted(set(keys))
    assert all(len(values) == min(wanted, keys.count(key)) for key, values in found)


def test_values_are_an_iterator_and_never_a_list() -> None:
    for _, values in GroupCursor(run_of([1, 1, 2, 3, 3, 3, 3], 2, True)):
        assert iter(values) is values


def test_a_huge_key_is_streamed_batch_by_batch() -> None:
    loaded = 0

    def run() -> Iterator[Batch]:
        nonlocal loaded
        for _ in range(1000):
            loaded += 1
            yield Batch(["k"], [10], [0] * 10)

    ((key, values),) = ((key, values) for key, values in [next(iter(GroupCursor(run())))])
    assert key == "k"
    for count, _ in enumerate(values):
        assert loaded * 10 - count <= 30
    assert loaded == 1000


def test_equal_keys_of_different_types_are_one_group_across_batches() -> None:
    run = iter(
        [Batch([0, 1], None, [*"ab"]), Batch([1.0, True], None, [*"cd"]), Batch([True, 2], [2, 1], [*"efg"])]
    )
    found = [(key, "".join(values)) for key, values in GroupCursor(run)]
    assert found == [(0, "a"), (1, "bcdef"), (2, "g")]
