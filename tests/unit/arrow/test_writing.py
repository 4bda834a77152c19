"""Result files are whole files of their format, whatever reduce_batch yields."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from blfs_mr.arrow.writing import write_tables
from blfs_mr.errors import OutputError, UserCodeError

TABLE = pa.table({"n": [1, 2, None], "s": ["a", "b", "c"]})


def read_back(path: Path, format_name: str) -> pa.Table:
    if format_name == "parquet":
        return pq.read_table(path)
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


@pytest.mark.parametrize("format_name", ["parquet", "arrow"])
@pytest.mark.parametrize("group", [1, 1 << 20])
def test_tables_are_read_back(tmp_path: Path, format_name: str, group: int) -> None:
    path = tmp_path / "part"
    assert write_tables(str(path), iter([TABLE, TABLE.slice(0, 0), TABLE]), format_name, group) == 6
    assert read_back(path, format_name).equals(pa.concat_tables([TABLE, TABLE]))


@pytest.mark.parametrize("format_name", ["parquet", "arrow"])
def test_no_rows_are_a_whole_file_too(tmp_path: Path, format_name: str) -> None:
    path = tmp_path / "part"
    assert write_tables(str(path), iter([TABLE.slice(0, 0)]), format_name, 1) == 0
    assert read_back(path, format_name).schema == TABLE.schema
    assert write_tables(str(path), iter([]), format_name, 1) == 0
    assert read_back(path, format_name).num_rows == 0


def test_small_tables_become_one_row_group(tmp_path: Path) -> None:
    path = tmp_path / "part"
    write_tables(str(path), iter([TABLE] * 50), "parquet", 1 << 20)
    assert pq.ParquetFile(path).metadata.num_row_groups == 1


def test_binary_is_the_bytes_of_all_columns_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "part"
    fixed = pa.table({"r": pa.array([b"ab", b"cd", b"ef"], pa.binary(2))})
    write_tables(str(path), iter([fixed.slice(1), fixed]), "binary", 1)
    assert path.read_bytes() == b"cdefabcdef"
    two = fixed.append_column("v", pa.array([b"1", b"", b"22"]))
    write_tables(str(path), iter([two]), "binary", 1)
    assert path.read_bytes() == b"ab1cdef22"


def test_binary_has_no_form_for_text_and_nulls(tmp_path: Path) -> None:
    path = str(tmp_path / "part")
    with pytest.raises(UserCodeError, match="'n'"):
        write_tables(path, iter([TABLE]), "binary", 1)
    with pytest.raises(UserCodeError, match="nulls"):
        write_tables(path, iter([pa.table({"b": [b"a", None]})]), "binary", 1)


def test_tables_of_different_schemas_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserCodeError, match="different schemas"):
        write_tables(str(tmp_path / "part"), iter([TABLE, TABLE.select(["n"])]), "arrow", 1)


def test_a_file_that_cannot_be_made_is_the_outputs_fault(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="part"):
        write_tables(str(tmp_path / "none" / "part"), iter([TABLE]), "arrow", 1)


def test_what_reduce_batch_raises_passes_through(tmp_path: Path) -> None:
    def tables() -> Iterator[pa.Table]:
        yield TABLE
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_tables(str(tmp_path / "part"), tables(), "parquet", 1)
