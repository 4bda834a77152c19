"""Splits were cut without a look into the file; still every row is read, and read once."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from blfs_mr.arrow import reading
from blfs_mr.arrow.reading import read_tables
from blfs_mr.errors import InputError
from blfs_mr.formats.inputs import expand_inputs, make_splits
from blfs_mr.model import InputSplit

TABLE = pa.table({"n": list(range(1000)), "s": [str(at) for at in range(1000)]})


def rows_by_split(
    path: Path, split_size: int, format_name: str, columns: list[str] | None = None
) -> list[int]:
    """The rows of all splits, in the file's order, checked for being those of the table."""
    splits = make_splits(expand_inputs([str(path)]), split_size, format_name)
    tables = [list(read_tables(split, format_name, columns)) for split in splits]
    whole = pa.concat_tables([table for of_split in tables for table in of_split])
    assert whole.equals(TABLE if columns is None else TABLE.select(columns))
    return [sum(table.num_rows for table in of_split) for of_split in tables]


def as_parquet(path: Path, group: int) -> None:
    pq.write_table(TABLE, path, row_group_size=group)


def as_arrow(path: Path, group: int) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=group)


WRITE = {"parquet": as_parquet, "arrow": as_arrow}


@pytest.mark.parametrize("format_name", ["parquet", "arrow"])
@pytest.mark.parametrize("split_size", [1, 500, 4000, 1 << 20])
def test_every_row_is_in_one_split(tmp_path: Path, format_name: str, split_size: int) -> None:
    path = tmp_path / "table"
    WRITE[format_name](path, 100)
    split_size = max(split_size, path.stat().st_size // 3000)
    rows = rows_by_split(path, split_size, format_name)
    if split_size == 4000:
        assert sum(map(bool, rows)) > 1


@pytest.mark.parametrize("format_name", ["parquet", "arrow"])
def test_only_the_wanted_columns_are_read(tmp_path: Path, format_name: str) -> None:
    path = tmp_path / "table"
    WRITE[format_name](path, 100)
    rows_by_split(path, 1 << 20, format_name, ["s"])
    with pytest.raises(InputError, match="'none'"):
        list(read_tables(InputSplit(str(path), 0, 1 << 20), format_name, ["none"]))


@pytest.mark.parametrize("format_name", ["parquet", "arrow"])
def test_large_groups_come_in_pieces(
    tmp_path: Path, format_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "TABLE_SIZE", 2000)
    path = tmp_path / "table"
    WRITE[format_name](path, 1000)
    tables = list(read_tables(InputSplit(str(path), 0, 1 << 20), format_name, None))
    assert len(tables) > 3
    assert pa.concat_tables(tables).equals(TABLE)


def test_records_of_a_fixed_size_are_a_column(tmp_path: Path) -> None:
    path = tmp_path / "records"
    path.write_bytes(b"".join(b"%04d" % at for at in range(100)))
    splits = make_splits(expand_inputs([str(path)]), 150, "binary:4")
    assert len(splits) > 1
    column = pa.concat_tables(table for split in splits for table in read_tables(split, "binary:4", None))
    assert column["record"].to_pylist() == [b"%04d" % at for at in range(100)]


@pytest.mark.parametrize("format_name", ["parquet", "arrow"])
def test_a_file_of_another_kind_is_named(tmp_path: Path, format_name: str) -> None:
    path = tmp_path / "text"
    path.write_text("no table\n" * 100)
    with pytest.raises(InputError, match="text"):
        list(read_tables(InputSplit(str(path), 0, 900), format_name, None))
