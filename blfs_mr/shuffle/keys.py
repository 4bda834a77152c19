"""Which keys there are: keys are grouped by Python's equality, so only types of sound equality are let in.

Exact types only: an instance of a subclass (``IntEnum``, ``numpy.str_``, a named tuple) would come out of the
shuffle as its base type, and may have an equality, an order or a hash of its own.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain
from operator import ne
from types import NoneType
from typing import Any

from blfs_mr.errors import KeyNotSupported

SCALAR_TYPES = frozenset({str, bytes, int, float, bool, NoneType})
KEY_TYPES = SCALAR_TYPES | {tuple}

MAX_NESTING = 64
"""Levels of containers in a key or a value. Each level of a tuple costs the decoder a nested call; real data
has a handful of levels, and a list that contains itself has no end."""

SHOWN_CHARACTERS = 80
"""Enough of a key or value to find it in the data, little enough for one line of an error."""


def check_keys(keys: Collection[Any]) -> None:
    """Raise :class:`KeyNotSupported`, naming the key, if one of ``keys`` cannot be a key."""
    if not _are_keys(keys, MAX_NESTING):
        for key in keys:
            if not _are_keys((key,), MAX_NESTING):
                raise KeyNotSupported(_reason(key))


def shown(value: Any) -> str:
    """A short representation with the type, for messages: ``'abc' (str)``."""
    return f"{_short(value)} ({type(value).__name__})"


def _are_keys(keys: Collection[Any], levels: int) -> bool:
    kinds = set(map(type, keys))
    if not kinds <= KEY_TYPES:
        return False
    if float in kinds and any(map(ne, keys, keys)):
        return False  # only NaN differs from itself
    if tuple not in kinds:
        return True
    inner = list(chain.from_iterable(key for key in keys if type(key) is tuple))
    return levels > 0 and _are_keys(inner, levels - 1)


def _reason(key: Any) -> str:
    """Why ``key`` is no key, and what to yield instead."""
    if isinstance(key, float) and key != key:
        return (
            "a key may not be NaN: it equals nothing, so it has no group; leave the record out, or use None"
        )
    kind = type(key)
    if kind is tuple:
        inner = next((part for part in key if not _are_keys((part,), MAX_NESTING)), None)
        if inner is None:
            return f"the key {shown(key)} has more than {MAX_NESTING} levels of tuples"
        return f"in the key {_short(key)}: {_reason(inner)}"
    if kind in (list, set, frozenset, dict):
        advice = "use a tuple, as tuple(...)" if kind is list else "use a tuple, as tuple(sorted(...))"
    else:
        base = next((base for base in kind.__mro__ if base in KEY_TYPES), None)
        advice = f"convert it with {base.__name__}(...)" if base else "convert it to str, or to a tuple"
    return (
        f"the key {_short(key)} is of type {kind.__qualname__}, and a key must be exactly str, bytes, int, "
        f"float, bool, None or a tuple of these; {advice}"
    )


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a class of the user's; the message about it matters more
        text = f"<{type(value).__name__} whose repr fails>"
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."
