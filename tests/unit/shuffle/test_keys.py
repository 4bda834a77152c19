"""Which keys are let in, and what the error says of the others."""

from __future__ import annotations

import enum
from collections import namedtuple
from typing import Any

import pytest

from blfs_mr.errors import KeyNotSupported
from blfs_mr.shuffle.keys import MAX_NESTING, check_keys, shown


class Color(enum.IntEnum):
    RED = 1


class Name(str):
    __slots__ = ()


Point = namedtuple("Point", "x y")


def nested(levels: int) -> Any:
    key: Any = "core"
    for _ in range(levels):
        key = (key,)
    return key


@pytest.mark.parametrize(
    "key",
    [
        "a",
        "\udcff",
        b"a",
        0,
        -(1 << 200),
        1.5,
        float("inf"),
        True,
        None,
        (),
        (1, ("a", None)),
        nested(MAX_NESTING),
    ],
)
def test_plain_types_and_tuples_of_them_are_keys(key: Any) -> None:
    check_keys([key, "another"])


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (float("nan"), "NaN"),
        ((1, float("nan")), "NaN"),
        (["a"], "tuple(...)"),
        ({"a"}, "tuple(sorted(...))"),
        ({"a": 1}, "tuple(sorted(...))"),
        (Color.RED, "int(...)"),
        (Name("n"), "str(...)"),
        (Point(1, 2), "tuple(...)"),
        (bytearray(b"x"), "convert it"),
        (("fine", ["not"]), "['not']"),
        (nested(MAX_NESTING + 1), "levels"),
    ],
)
def test_anything_else_is_refused_with_advice(key: Any, told: str) -> None:
    with pytest.raises(KeyNotSupported) as caught:
        check_keys(["fine", key])
    assert told in str(caught.value)


def test_the_refusal_shows_the_key_and_its_type() -> None:
    with pytest.raises(KeyNotSupported, match=r"Color\.RED.* is of type Color"):
        check_keys([1, 2, Color.RED])


def test_long_values_are_shortened_and_failing_reprs_survived() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    assert len(shown("x" * 10_000)) < 100
    assert "repr fails" in shown(Broken())
