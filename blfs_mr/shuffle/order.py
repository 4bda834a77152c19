"""Sorting and searching keys, with the failures of Python's ``<`` turned into answers.

Two things make ``<`` fail. Keys that are equal need no order, but ``None < None`` raises all the same: such
keys are ranked by way of a dict. Keys of different kinds have no order: the error names two of them.

With ``paired`` the sort elements are (key, value) tuples (the order *key-and-value*). Tuples compare equal
parts by ``==`` first, so only values without an order can fail there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cmp_to_key
from typing import Any, NoReturn

from blfs_mr.errors import KeysNotComparable, ValueNotSupported
from blfs_mr.shuffle.keys import shown


def sorted_distinct(keys: Iterable[Any]) -> list[Any]:
    """Distinct keys in order."""
    ordered = list(keys)
    try:
        ordered.sort()
    except TypeError:
        refuse(ordered, paired=False)
    return ordered


def argsort(items: Sequence[Any], *, paired: bool = False) -> list[int]:
    """The positions of ``items`` in the order of their contents; equal items keep their order."""
    try:
        return sorted(range(len(items)), key=items.__getitem__)
    except TypeError:
        if paired:
            refuse(items, paired=True)
        ranks = {key: rank for rank, key in enumerate(sorted_distinct(dict.fromkeys(items)))}
        return sorted(range(len(items)), key=lambda position: ranks[items[position]])


def smallest(items: Sequence[Any], *, paired: bool = False) -> Any:
    """The least of ``items``, which are not empty."""
    try:
        return min(items)
    except TypeError:
        if paired:
            refuse(items, paired=True)
        return sorted_distinct(dict.fromkeys(items))[0]


def upper_bound(items: Sequence[Any], boundary: Any, start: int, *, paired: bool = False) -> int:
    """How many of the sorted ``items`` are at or below ``boundary``, which is at least ``start``."""
    if items[-1] == boundary:
        return len(items)
    try:
        return bisect_right(items, boundary, start)
    except TypeError:
        refuse([*items[start:], boundary], paired=paired)


def refuse(items: Iterable[Any], *, paired: bool) -> NoReturn:
    """Raise the error that names two of ``items`` that have no order. Call it after a ``TypeError``."""

    def compare(left: Any, right: Any) -> int:
        if left == right:
            return 0
        try:
            return -1 if left < right else 1
        except TypeError:
            raise _error(left, right, paired) from None

    sorted(items, key=cmp_to_key(compare))
    # Not reached for the items that failed before: a sort compares all elements that end as neighbours.
    raise KeysNotComparable("keys of one partition have no order between them")


def _error(left: Any, right: Any, paired: bool) -> KeysNotComparable | ValueNotSupported:
    if paired and left[0] == right[0]:
        return ValueNotSupported(
            f"values of the key {shown(left[0])} cannot be sorted, since Python has no order between "
            f"{shown(left[1])} and {shown(right[1])}; yield values of one kind, "
            f"or do not ask for sorted values"
        )
    if paired:
        left, right = left[0], right[0]
    return KeysNotComparable(
        f"Python has no order between the keys {shown(left)} and {shown(right)}; "
        f"yield keys of one kind, for example str(key), or (kind, key) tuples"
    )
