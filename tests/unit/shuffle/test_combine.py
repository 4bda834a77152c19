"""The combiner's contract: called where it can gain, refused where it errs, never losing a record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from blfs_mr.errors import KeyNotSupported, UserCodeError, ValueNotSupported
from blfs_mr.shuffle.batch import Batch
from blfs_mr.shuffle.combine import Combiner, combine_run


def add(key: Any, values: Iterator[int]) -> Iterator[tuple[Any, int]]:
    yield key, sum(values)


def test_groups_are_combined_in_place_and_counted() -> None:
    combiner = Combiner(add)
    groups = {"a": [1, 2, 3], "b": [4], "c": [5, 6]}
    combiner.combine_groups(groups)
    assert groups == {"a": [6], "b": [4], "c": [11]}
    assert (combiner.values_in, combiner.values_out) == (5, 2)


def test_values_under_another_key_go_there() -> None:
    def halve(key: int, values: Iterator[int]) -> Iterator[tuple[int, int]]:
        yield key // 2, sum(values)

    groups = {1: [1, 1], 4: [2, 2], 2: [3]}
    Combiner(halve).combine_groups(groups)
    assert groups == {0: [2], 2: [3, 4]}


def test_a_key_whose_values_are_all_dropped_is_gone() -> None:
    groups = {"a": [1, 1], "b": [1]}
    Combiner(lambda key, values: iter(())).combine_groups(groups)
    assert groups == {"b": [1]}


@pytest.mark.parametrize(
    ("yielded", "told"), [(7, "got 7 (int)"), ((1, 2, 3), "got (1, 2, 3)"), (None, "got None")]
)
def test_what_is_no_pair_is_refused(yielded: Any, told: str) -> None:
    with pytest.raises(UserCodeError) as caught:
        Combiner(lambda key, values: iter([yielded])).combine_groups({"a": [1, 2]})
    assert "combine must yield" in str(caught.value)
    assert told in str(caught.value)


def test_returning_nothing_is_refused() -> None:
    with pytest.raises(UserCodeError, match="it returned None"):
        Combiner(lambda key, values: None).combine_groups({"a": [1, 2]})


def test_another_key_that_is_no_key_is_refused() -> None:
    with pytest.raises(KeyNotSupported):
        Combiner(lambda key, values: iter([([1], 1)])).combine_groups({"a": [1, 2]})


def test_the_users_exception_passes_through_and_the_key_is_known() -> None:
    def broken(key: Any, values: Iterator[Any]) -> Iterator[Any]:
        yield key, next(values)
        raise TypeError("mine")

    combiner = Combiner(broken)
    with pytest.raises(TypeError, match="mine"):
        combiner.combine_groups({"single": [1], "culprit": [1, 2], "later": [1, 2]})
    assert combiner.key == "culprit"


def test_in_a_run_equal_neighbours_are_combined() -> None:
    run = iter([Batch(["a", "a", "b"], None, [1, 2, 3]), Batch(["b", "c"], [2, 1], [4, 5, 6])])
    assert list(combine_run(run, Combiner(add))) == [
        Batch(["a", "b"], [1, 1], [3, 3]),
        Batch(["b", "c"], [1, 1], [9, 6]),
    ]


def test_in_a_run_a_key_that_would_move_keeps_its_values() -> None:
    combiner = Combiner(lambda key, values: iter([(key + "x", sum(values))]))
    assert combiner.combine_batch(Batch(["a", "b"], [2, 1], [1, 2, 3])) == Batch(
        ["a", "b"], [2, 1], [1, 2, 3]
    )


def test_in_key_and_value_order_combined_values_are_sorted_again() -> None:
    def spread(key: Any, values: Iterator[int]) -> Iterator[tuple[Any, int]]:
        yield key, sum(values)
        yield key, 0

    combined = Combiner(spread).combine_batch(Batch(["a"], [2], [1, 2]), "key-and-value")
    assert combined == Batch(["a"], [2], [0, 3])


def test_values_that_have_no_order_are_named() -> None:
    combiner = Combiner(lambda key, values: iter([(key, 1), (key, "x")]))
    with pytest.raises(ValueNotSupported, match=r"1 \(int\)|'x' \(str\)"):
        combiner.combine_batch(Batch(["a"], [2], [1, 2]), "key-and-value")
