"""The partitioner is part of the data format: golden values, and equality of keys."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.errors import KeyNotSupported, UserCodeError
from blfs_mr.shuffle.partition import Partitioner, partition_of

KEYS: list[Any] = [
    "",
    "word",
    "é€",
    "\udc80",
    b"",
    b"word",
    0,
    1,
    -1,
    1 << 64,
    0.5,
    float("inf"),
    None,
    (),
    ("a", 1),
]
GOLDEN = [
    931558,
    754970,
    155135,
    713738,
    729876,
    369657,
    736639,
    725936,
    339739,
    401499,
    247762,
    27025,
    27744,
    406154,
    387325,
]

scalars = st.one_of(
    st.text(), st.binary(), st.integers(), st.floats(allow_nan=False), st.booleans(), st.none()
)
keys = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4)


def test_partitions_are_the_same_on_every_run_and_build() -> None:
    assert [partition_of(key, 1_000_003) for key in KEYS] == GOLDEN


@given(st.lists(keys, max_size=20), st.integers(1, 64))
@settings(max_examples=100, deadline=None)
def test_a_column_is_partitioned_as_its_keys_are_one_by_one(column: list[Any], partitions: int) -> None:
    assert Partitioner(partitions).of(column) == [partition_of(key, partitions) for key in column]


@given(st.lists(st.text(), max_size=20), st.lists(st.binary(), max_size=20))
@settings(max_examples=50, deadline=None)
def test_columns_of_one_kind_take_the_same_way(strings: list[str], byte_strings: list[bytes]) -> None:
    for column in (strings, byte_strings, [*strings, "\udcff"]):
        assert Partitioner(7).of(column) == [partition_of(key, 7) for key in column]


@given(st.one_of(st.integers(), st.floats(allow_nan=False)))
@settings(max_examples=200, deadline=None)
def test_equal_numbers_are_in_one_partition(number: float) -> None:
    same = [number]
    if number in (0, 1):
        same.append(bool(number))
    if isinstance(number, float) and number.is_integer():
        same.append(int(number))
    if isinstance(number, int) and abs(number) < 1 << 1000:
        same += [float(number)] if float(number) == number else []
    assert len({partition_of(key, 1 << 60) for key in same}) == 1
    assert len({partition_of((key, "x"), 1 << 60) for key in same}) == 1


def test_kinds_that_share_bytes_are_unrelated() -> None:
    assert (
        len({partition_of(key, 1 << 60) for key in ("a", b"a", ("a",), (b"a",), 97, None, "", b"", ())}) == 9
    )


def test_keys_spread_evenly() -> None:
    sizes = [0] * 16
    for index in Partitioner(16).of([f"key-{number}" for number in range(16_000)]):
        sizes[index] += 1
    assert min(sizes) > 800
    assert max(sizes) < 1200


@pytest.mark.parametrize("partitions", [1, 4])
def test_keys_are_checked_whatever_the_number_of_partitions(partitions: int) -> None:
    with pytest.raises(KeyNotSupported):
        Partitioner(partitions).of(["a", float("nan")])


def test_the_users_partition_is_asked_for_each_key() -> None:
    assert Partitioner(4, lambda key, partitions: len(key) % partitions).of(["", "a", "abcde"]) == [0, 1, 1]


@pytest.mark.parametrize("answer", [4, -1, 1.0, None, True, "1"])
def test_what_the_users_partition_may_not_return_is_named(answer: Any) -> None:
    with pytest.raises(UserCodeError, match=r"int from 0 to 3.*for the key 'k' \(str\)"):
        Partitioner(4, lambda key, partitions: answer).of(["k"])


def test_what_the_users_partition_raises_passes_through() -> None:
    def partition(key: Any, partitions: int) -> int:
        raise LookupError(key)

    with pytest.raises(LookupError):
        Partitioner(4, partition).of(["k"])


def test_the_key_for_which_the_users_partition_raised_is_remembered() -> None:
    partitioner = Partitioner(4, lambda key, partitions: 1 // (key != "culprit"))
    assert partitioner.of(["a", "b"]) == [1, 1]
    assert partitioner.refused == ()
    with pytest.raises(ZeroDivisionError):
        partitioner.of(["a", "culprit", "b"])
    assert partitioner.refused == ("culprit",)
