"""However little memory there is: every row once, keys never divided, in order where that was asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blfs_mr.arrow.blocks import encode_table
from blfs_mr.arrow.held import HeldRows
from blfs_mr.errors import BadBlock
from blfs_mr.taskrun.runs import HeldRun

KIB = 1024


def run_of(table: pa.Table) -> HeldRun:
    return HeldRun.in_memory([bytes(b.payload) for b in encode_table(table, 2 * KIB, "")], table.num_rows)


def fill(folder: Path, tables: list[pa.Table], budget: int, keys: list[str], in_order: bool) -> HeldRows:
    """As the reader of segments does it."""
    folder.mkdir(exist_ok=True)
    held = HeldRows(str(folder), budget=budget, block_size=2 * KIB, keys=keys, in_order=in_order)
    for table in tables:
        run = run_of(table)
        if run.size > held.room:
            held.overflow()
        if run.size > held.capacity:
            scratch = held.new_scratch_run()
            for payload in run.take():
                scratch.append(payload, 1)
            scratch.records = table.num_rows
            scratch.finish()
            run = HeldRun.on_scratch(scratch)
        held.add(run)
    return held


def check(found: list[pa.Table], tables: list[pa.Table], keys: list[str], in_order: bool) -> None:
    whole = pa.concat_tables(tables)
    rows = sorted(row for table in found for row in table["row"].to_pylist())
    assert rows == sorted(whole["row"].to_pylist())
    seen: set[tuple[Any, ...]] = set()
    for table in found:
        here = set(zip(*(table[key].to_pylist() for key in keys), strict=True))
        assert not here & seen
        seen |= here
    if in_order:
        expected = whole.sort_by([(key, "ascending") for key in keys]).select(keys)
        assert pa.concat_tables(found).select(keys).to_pylist() == expected.to_pylist()


def tables_with(values: list[list[Any]], pieces: int) -> list[pa.Table]:
    columns = {f"k{at}": column for at, column in enumerate(values)}
    table = pa.table({**columns, "row": list(range(len(values[0]))), "filling": [b"x" * 50] * len(values[0])})
    size = max(table.num_rows // pieces, 1)
    return [table.slice(at, size) for at in range(0, table.num_rows, size)]


@pytest.mark.parametrize("in_order", [True, False])
def test_what_fits_comes_as_one_table(tmp_path: Path, in_order: bool) -> None:
    tables = tables_with([[3, 1, 2, 1] * 50], 5)
    held = fill(tmp_path, tables, 1 << 20, ["k0"], in_order)
    found = list(held.tables())
    assert len(found) == 1
    assert held.bytes_overflowed == 0
    check(found, tables, ["k0"], in_order)


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize(
    "keys",
    [
        [list(range(5000))],
        [list(reversed(range(5000)))],
        [[0] * 4000 + list(range(1000))],
        [[0] * 4000 + [1] * 1000, [at * 7919 % 5000 for at in range(5000)]],
        [[None, 1.5, float("inf"), -1.0] * 1250, [str(at % 999) for at in range(5000)]],
        [[None] * 5000, list(range(5000))],
        [["same"] * 5000],
    ],
    ids=["rising", "falling", "skewed", "second-key", "nulls", "all-null", "one-key"],
)
def test_what_does_not_fit_is_divided_between_keys(
    tmp_path: Path, keys: list[list[Any]], in_order: bool
) -> None:
    tables, names = tables_with(keys, 9), [f"k{at}" for at in range(len(keys))]
    held = fill(tmp_path, tables, 64 * KIB, names, in_order)
    found = list(held.tables())
    check(found, tables, names, in_order)
    assert held.bytes_overflowed > 0
    if len(set(zip(*keys, strict=True))) > 100:
        assert len(found) > 1
    assert not list(tmp_path.iterdir())


@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(0, 3) | st.integers(0, 1000), st.text("ab", max_size=3) | st.none()
        ),
        min_size=1,
        max_size=300,
    ),
    st.integers(1, 6),
    st.booleans(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_keys_are_kept_together(
    tmp_path: Path, rows: list[tuple[Any, Any]], pieces: int, in_order: bool
) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    table = pa.table(
        {
            "k0": pa.array(columns[0], pa.int64()),
            "k1": pa.array(columns[1], pa.string()),
            "row": list(range(len(rows))),
        }
    )
    size = max(len(rows) // pieces, 1)
    tables = [table.slice(at, size) for at in range(0, len(rows), size)]
    found = list(fill(tmp_path, tables, 8 * KIB, ["k0", "k1"], in_order).tables())
    check(found, tables, ["k0", "k1"], in_order)


def test_nans_that_no_range_divides_come_last_in_one_table(tmp_path: Path) -> None:
    tables = tables_with([[float("nan")] * 3000 + [1.0, 2.0] * 10], 5)
    found = list(fill(tmp_path, tables, 64 * KIB, ["k0"], in_order=True).tables())
    assert sum(table.num_rows for table in found) == 3020
    assert found[-1]["k0"][-1].as_py() != found[-1]["k0"][-1].as_py()
    assert pa.concat_tables(found)["k0"].slice(0, 20).to_pylist() == [1.0] * 10 + [2.0] * 10


def test_fewer_rows_than_the_index_promises_are_never_passed_on_in_silence(tmp_path: Path) -> None:
    held = fill(tmp_path, [], 1 << 20, ["k0"], in_order=False)
    run = run_of(tables_with([[1, 2, 3]], 1)[0])
    run.records += 1
    held.add(run)
    with pytest.raises(BadBlock, match="3 rows"):
        list(held.tables())


def test_compressed_payloads_count_for_what_they_decode_to(tmp_path: Path) -> None:
    held = HeldRows(
        str(tmp_path), budget=1 << 20, block_size=2 * KIB, keys=["k"], in_order=False, compressed=True
    )
    before = held.capacity
    table = pa.table({"k": [0] * 10_000})
    held.add(HeldRun.in_memory([bytes(b.payload) for b in encode_table(table, 80_000, "zstd")], 10_000))
    assert held.capacity < before < 1 << 19
