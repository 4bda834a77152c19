"""Rows with equal keys must hash alike wherever, whenever and in whatever chunks they are hashed."""

from __future__ import annotations

import datetime
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.arrow.hashing import hash_rows, in_range, rehashed
from blfs_mr.errors import KeyNotSupported

GOLDEN = [10635140312816661111, 1864557278721648119, 11113232909458274139]

COLUMNS: list[tuple[list[Any], pa.DataType]] = [
    ([0, 1, -1, None, 2**63 - 1], pa.int64()),
    ([0, 1, -1, None, 127], pa.int8()),
    ([0, 2**64 - 1, None], pa.uint64()),
    ([True, False, None], pa.bool_()),
    ([0.5, float("inf"), None, 1e300], pa.float64()),
    (["", "a", "ä", None, "a" * 100], pa.string()),
    ([b"", b"a", None], pa.large_binary()),
    (["x", "y", None], pa.string_view()),
    ([b"0123456789", None, b"9876543210"], pa.binary(10)),
    ([b"01", None, b"98"], pa.binary(2)),
    ([b"01234567", b"12345678"], pa.binary(8)),
    ([datetime.date(2020, 1, 1), None, datetime.date(1960, 1, 1)], pa.date32()),
    ([datetime.datetime(2020, 1, 1), None], pa.timestamp("us")),
    ([Decimal("1.50"), None, Decimal("-3.25")], pa.decimal128(10, 2)),
]


def hashes(values: list[Any], kind: pa.DataType) -> list[int]:
    listed: list[int] = hash_rows(pa.table({"key": pa.array(values, kind)}), ["key"]).to_pylist()
    return listed


@pytest.mark.parametrize(("values", "kind"), COLUMNS, ids=lambda given: str(given)[:20])
def test_distinct_values_hash_apart_and_alike_in_any_chunk(values: list[Any], kind: pa.DataType) -> None:
    whole = hashes(values, kind)
    assert len(set(whole)) == len(values)
    column = pa.array([*values, *values], kind)
    chunks = pa.chunked_array([column.slice(0, 1), column.slice(1, len(values)), column[len(values) + 1 :]])
    assert hash_rows(pa.table({"key": chunks}), ["key"]).to_pylist() == whole * 2


def test_values_that_are_equal_hash_alike() -> None:
    assert len(set(hashes([0.0, -0.0], pa.float64()))) == 1
    assert len(set(hashes([float("nan"), -float("nan")], pa.float64()))) == 1
    assert hashes([1, 2], pa.int32()) == hashes([1, 2], pa.int64())


@given(st.lists(st.sampled_from(["a", "b", "", "longer than a word"]) | st.text(max_size=4), max_size=40))
@settings(max_examples=60, deadline=None)
def test_repeated_strings_hash_as_those_do_that_stand_alone(values: list[str]) -> None:
    alone = {value: hashes([value], pa.string())[0] for value in values}
    assert hashes(values, pa.string()) == [alone[value] for value in values]


def test_all_keys_count_and_so_does_their_order() -> None:
    table = pa.table({"a": [1, 1, 2], "b": [1, 2, 1]})
    assert len(set(hash_rows(table, ["a", "b"]).to_pylist())) == 3
    assert hash_rows(table, ["a", "b"])[1] != hash_rows(table, ["b", "a"])[1]


def test_another_process_comes_to_the_same_hashes() -> None:
    program = (
        "import pyarrow as pa; from blfs_mr.arrow.hashing import hash_rows;"
        "print(hash_rows(pa.table({'k': ['a', 'b'], 'n': [1, None]}), ['k', 'n']).to_pylist())"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    here = hash_rows(pa.table({"k": ["a", "b"], "n": [1, None]}), ["k", "n"]).to_pylist()
    assert printed.stdout.strip() == str(here)


def test_hashes_are_part_of_the_format_and_never_change() -> None:
    assert hashes([1], pa.int64()) == GOLDEN[:1]
    assert hashes(["one"], pa.string()) == GOLDEN[1:2]
    assert hashes([b"0123456789"], pa.binary(10)) == GOLDEN[2:]


def test_parts_are_filled_evenly_at_every_level() -> None:
    hashed = hash_rows(pa.table({"key": pa.array(range(16_000))}), ["key"])
    for level in (0, 1, 5):
        counts = in_range(rehashed(hashed, level), 16).value_counts().field("counts").to_pylist()
        assert len(counts) == 16
        assert 800 < min(counts) <= max(counts) < 1200


def test_levels_divide_independently() -> None:
    hashed = hash_rows(pa.table({"key": pa.array(range(16_000))}), ["key"])
    first = in_range(rehashed(hashed, 0), 16).to_pylist()
    second = in_range(rehashed(hashed, 1), 16).to_pylist()
    assert len({b for a, b in zip(first, second, strict=True) if a == 3}) == 16


def test_a_nested_column_is_refused_by_name() -> None:
    with pytest.raises(KeyNotSupported, match="'key' of type list"):
        hash_rows(pa.table({"key": [[1], [2]]}), ["key"])
