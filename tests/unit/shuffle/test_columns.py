"""Encoding brings every record back with the very types and values that it had."""

from __future__ import annotations

import enum
import math
import struct
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.errors import BadBlock, ValueNotSupported
from blfs_mr.shuffle.batch import Batch
from blfs_mr.shuffle.columns import decode_batch, encode_batch

text = st.text(st.characters(exclude_categories=()), max_size=8)  # lone surrogates too
scalars = st.one_of(text, st.binary(max_size=8), st.integers(), st.floats(), st.booleans(), st.none())
hashables = st.one_of(text, st.binary(max_size=8), st.integers(), st.booleans(), st.none())
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(hashables, st.tuples(hashables, hashables)), inner, max_size=3),
    ),
    max_leaves=6,
)
columns = st.one_of(
    st.lists(values, max_size=12),
    st.lists(st.integers(), max_size=12),
    st.lists(st.tuples(text, st.tuples(st.integers(), st.just(1))), max_size=12),
    st.builds(lambda item, count: [item] * count, values, st.integers(0, 12)),
)


def exact(item: Any) -> Any:
    """A form whose equality is identity of type and bits."""
    if isinstance(item, float):
        return (float, struct.pack("<d", item))
    if isinstance(item, (list, tuple)):
        return (type(item), [exact(part) for part in item])
    if isinstance(item, dict):
        return (dict, [(exact(key), exact(value)) for key, value in item.items()])
    return (type(item), item)


@given(columns, columns)
@settings(max_examples=300, deadline=None)
def test_every_batch_comes_back_exactly(keys: list[Any], values: list[Any]) -> None:
    size = min(len(keys), len(values))
    batch = Batch(keys[:size], None, values[:size])
    decoded = decode_batch(memoryview(encode_batch(batch)))
    assert (exact(decoded.keys), decoded.counts, exact(decoded.values)) == (
        exact(batch.keys),
        None,
        exact(batch.values),
    )


@given(st.lists(st.integers(1, 4), max_size=10))
@settings(max_examples=50, deadline=None)
def test_counts_come_back_unless_all_are_one(counts: list[int]) -> None:
    batch = Batch(list(range(len(counts))), counts, list(range(sum(counts))))
    decoded = decode_batch(encode_batch(batch))
    assert decoded.counts == (None if set(counts) == {1} else counts)
    assert decoded.values == batch.values


def test_negative_zero_and_nan_survive_beside_their_likes() -> None:
    zeros = decode_batch(encode_batch(Batch([1, 2, 3], None, [0.0, -0.0, 0.0])))
    assert [math.copysign(1, value) for value in zeros.values] == [1, -1, 1]
    (nothing,) = decode_batch(encode_batch(Batch([1], None, [math.nan]))).values
    assert math.isnan(nothing)


def test_a_column_of_ones_takes_no_room() -> None:
    many = Batch(["k"], [50_000], [1] * 50_000)
    assert len(encode_batch(many)) < 32
    assert decode_batch(encode_batch(many)) == many


def test_an_edited_payload_and_the_batch_share_nothing() -> None:
    payload = bytearray(encode_batch(Batch(["key"], None, [b"value"])))
    batch = decode_batch(memoryview(payload))
    payload[:] = bytes(len(payload))
    assert batch == Batch(["key"], None, [b"value"])


class Color(enum.IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        object(),
        1j,
        Color.RED,
        Text("t"),
        bytearray(b"b"),
        memoryview(b"m"),
        msgpack.ExtType(1, b""),
        msgpack.Timestamp(1),
        [1, [{"deep": Color.RED}]],
        ({(Text("t"),): 1},),
    ],
)
@pytest.mark.parametrize("others", [[], [1], ["a", None]])
def test_other_values_are_refused_with_key_value_and_type(value: Any, others: list[Any]) -> None:
    batch = Batch([*"abc"[: len(others)], "culprit"], None, [*others, value])
    with pytest.raises(ValueNotSupported, match=r"for the key 'culprit' \(str\).*must be exactly"):
        encode_batch(batch)


def test_a_list_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueNotSupported, match="levels of nesting"):
        encode_batch(Batch(["k"], None, [endless]))


@given(st.binary(max_size=64))
@settings(max_examples=300, deadline=None)
def test_random_bytes_are_a_bad_block_or_a_batch(payload: bytes) -> None:
    try:
        decode_batch(payload)
    except BadBlock:
        pass


@pytest.mark.parametrize(
    "contents",
    [
        [[0, ["a", "b"]], None, [0, [1]]],
        [[0, ["a"]], [0, [2]], [0, [1]]],
        [[0, ["a", "b"]], [0, [2, 0]], [0, [1, 2]]],
        [[0, ["a"]], [0, ["1"]], [0, [1]]],
        [[0, "a"], None, [0, [1]]],
        [[1, 1 << 60, "a"], None, [1, 1 << 60, "a"]],
        [[9, []], None, [0, []]],
        [[2, [[0, [1, 2]], [0, [1]]]], None, [0, [1, 2]]],
        [[0, []], None],
        {},
        7,
    ],
)
def test_columns_that_contradict_one_another_are_a_bad_block(contents: Any) -> None:
    with pytest.raises(BadBlock):
        decode_batch(msgpack.packb(contents))


@pytest.mark.parametrize("items", [[b"abc", b"\x00\xff\x7f"], [b"x" * 300] * 2 + [b"y" * 300], [b"a", b"b"]])
def test_bytes_of_one_length_are_carried_without_a_mark_for_each(items: list[bytes]) -> None:
    payload = encode_batch(Batch(items, None, items))
    assert b"".join(items) in payload
    assert decode_batch(payload) == Batch(items, None, items)


@pytest.mark.parametrize("items", [[b"", b""], [b"", b"a"], [b"ab", b"c"], [b"ab", "ab"], [b"ab", b"ab"]])
def test_other_bytes_come_back_as_they_were(items: list[Any]) -> None:
    batch = Batch(list(range(len(items))), None, items)
    assert decode_batch(encode_batch(batch)) == batch


@pytest.mark.parametrize(
    "column", [[3, 0, b""], [3, -1, b"ab"], [3, 2, b"abc"], [3, "2", b"ab"], [3, 1, "ab"], [3, 1]]
)
def test_a_joined_column_that_cannot_be_cut_is_no_batch(column: list[Any]) -> None:
    with pytest.raises(BadBlock):
        decode_batch(msgpack.packb([column, None, column]))
