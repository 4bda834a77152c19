"""From an input split to tables: Parquet, Arrow IPC files, and records of a fixed size.

Splits are byte ranges that were made without opening a file. Of a Parquet file a split has the row groups
that begin in it. Where the batches of an Arrow file begin is not told by its reader, so batch ``i`` of
``n`` counts as beginning at ``i / n`` of the file. Both give every row to exactly one split.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import pyarrow as pa

from blfs_mr.errors import InputError
from blfs_mr.formats.reading import open_split
from blfs_mr.model import InputSplit

TABLE_SIZE = 8 << 20
"""Bytes of the tables that ``map_batch`` gets, about: large enough that a call costs nothing per row, small
enough that some of them, with what is made of them, stand in a task's memory."""

READ_SIZE = 1 << 20
"""Bytes read at once of a Parquet column; without it a whole column of a row group would be in memory."""

RECORD = "record"
"""The one column of records of a fixed size."""


def read_tables(split: InputSplit, format_name: str, columns: Sequence[str] | None) -> Iterator[pa.Table]:
    """The rows of ``split`` in tables of about :data:`TABLE_SIZE`; ``columns`` only, if they are given.

    Raises :class:`InputError` for a file that cannot be read, or has no such column.
    """
    known = format_name.partition(":")[0]
    wanted = None if columns is None else list(columns)
    try:
        match known:
            case "parquet":
                yield from _read_parquet(split, wanted)
            case "arrow":
                yield from _read_arrow(split, wanted)
            case _:
                yield from _read_records(split, format_name)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"cannot read the input {split.path} as {known}: {error}") from error


def _read_parquet(split: InputSplit, columns: list[str] | None) -> Iterator[pa.Table]:
    import pyarrow.parquet as pq  # only those that read Parquet wait for it

    with pq.ParquetFile(split.path, buffer_size=READ_SIZE) as file:
        metadata = file.metadata
        _check_columns(columns, file.schema_arrow, split.path)
        groups = [
            group
            for group in range(metadata.num_row_groups)
            if split.offset <= _begin(metadata.row_group(group)) < split.offset + split.length
        ]
        if not groups:
            return
        size = sum(metadata.row_group(group).total_byte_size for group in groups)
        rows = sum(metadata.row_group(group).num_rows for group in groups)
        at_once = max(rows * TABLE_SIZE // max(size, 1), 1)
        for batch in file.iter_batches(at_once, row_groups=groups, columns=columns, use_threads=False):
            yield pa.Table.from_batches([batch])


def _begin(group: object) -> int:
    """Where the first column of a row group begins, with its dictionary if it has one."""
    if not group.num_columns:  # type: ignore[attr-defined]
        return 0
    chunk = group.column(0)  # type: ignore[attr-defined]
    begin: int = chunk.data_page_offset
    return min(begin, chunk.dictionary_page_offset) if chunk.has_dictionary_page else begin


def _read_arrow(split: InputSplit, columns: list[str] | None) -> Iterator[pa.Table]:
    size = os.stat(split.path).st_size
    with pa.memory_map(split.path) as mapped:
        reader = pa.ipc.open_file(mapped)
        _check_columns(columns, reader.schema, split.path)
        count = reader.num_record_batches
        for number in range(count):
            if split.offset <= size * number // count < split.offset + split.length:
                table = pa.Table.from_batches([reader.get_batch(number)])
                yield from _pieces(table if columns is None else table.select(columns))


def _read_records(split: InputSplit, format_name: str) -> Iterator[pa.Table]:
    width = int(format_name.partition(":")[2])
    pieces: list[bytes] = []
    size = 0
    for piece in open_split(split, format_name).pieces():
        pieces.append(piece)
        size += len(piece)
        if size >= TABLE_SIZE:
            yield _table_of_records(b"".join(pieces), width)
            pieces, size = [], 0
    if pieces:
        yield _table_of_records(b"".join(pieces), width)


def _table_of_records(content: bytes, width: int) -> pa.Table:
    column = pa.Array.from_buffers(pa.binary(width), len(content) // width, [None, pa.py_buffer(content)])
    return pa.table({RECORD: column})


def _pieces(table: pa.Table) -> Iterator[pa.Table]:
    """A batch may be as large as whoever wrote it liked."""
    rows = max(table.num_rows * TABLE_SIZE // max(table.nbytes, 1), 1)
    for start in range(0, table.num_rows, rows):
        yield table.slice(start, rows)


def _check_columns(columns: list[str] | None, schema: pa.Schema, path: str) -> None:
    missing = [name for name in columns or () if name not in schema.names]
    if missing:
        raise InputError(f"the input {path} has no column {missing[0]!r}; it has {', '.join(schema.names)}")
