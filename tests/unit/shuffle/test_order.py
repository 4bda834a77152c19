"""Sorting where Python's order fails: equal keys without an order, and keys that have none."""

from __future__ import annotations

from typing import Any

import pytest

from blfs_mr.errors import KeysNotComparable, ValueNotSupported
from blfs_mr.shuffle.order import argsort, smallest, sorted_distinct, upper_bound


def test_equal_keys_need_no_order() -> None:
    assert argsort([None, None]) == [0, 1]
    assert smallest([None, None]) is None
    assert upper_bound([None, None], None, 0) == 2


def test_tuples_with_equal_unordered_parts_are_ordered_by_the_rest() -> None:
    keys = [(None, 2), (None, 1), (None, 2)]
    assert argsort(keys) == [1, 0, 2]
    assert sorted_distinct(set(keys)) == [(None, 1), (None, 2)]


def test_argsort_keeps_equal_items_in_their_order() -> None:
    assert argsort([1, True, 0, 1.0]) == [2, 0, 1, 3]


@pytest.mark.parametrize("keys", [["a", 1], [None, 1], [(1, "a"), (1, 2)], [b"a", "a"], [7, 7, "x", 7]])
def test_keys_without_an_order_are_named_with_their_types(keys: list[Any]) -> None:
    with pytest.raises(KeysNotComparable) as caught:
        argsort(keys)
    assert sum(str(caught.value).count(f"{key!r} ({type(key).__name__})") > 0 for key in set(keys)) == 2


def test_searching_names_them_too() -> None:
    with pytest.raises(KeysNotComparable, match=r"\(int\).*\(str\)|\(str\).*\(int\)"):
        smallest(["a", 1])
    with pytest.raises(KeysNotComparable, match=r"\(int\).*\(str\)|\(str\).*\(int\)"):
        upper_bound(["a", "b"], 1, 0)


def test_values_without_an_order_are_named_with_their_key() -> None:
    with pytest.raises(ValueNotSupported, match=r"of the key 'k' \(str\).*1 \(int\) and \{\} \(dict\)"):
        argsort([("k", {}), ("k", 1)], paired=True)
    with pytest.raises(KeysNotComparable):
        argsort([("k", {}), (1, 1)], paired=True)
