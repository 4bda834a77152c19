"""Result tables as files: Parquet, Arrow IPC, or the bytes of binary columns and nothing else.

A part without a row is a whole file of its format as well, with the columns of what ``reduce_batch`` yielded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from blfs_mr.errors import OutputError, UserCodeError

LARGEST_GROUP = 32 << 20
"""Bytes of rows that become one row group, or one batch, where memory allows: readers take those as their
unit."""


def write_tables(path: str, tables: Iterator[pa.Table], format_name: str, group: int) -> int:
    """Write ``tables`` to a new file at ``path``, small ones joined up to ``group`` bytes; the rows written.

    It is not flushed to the disk.

    What the iterator raises passes through. Raises :class:`UserCodeError` for tables of different schemas, or
    that the format has no form for, and :class:`OutputError` where the file cannot be written.
    """
    rows = 0
    try:
        sink = pa.OSFile(path, "wb")
    except OSError as error:
        raise OutputError(f"the output {path} cannot be written: {error}") from error
    with sink:
        writer: Any = None
        schema: pa.Schema | None = None
        try:
            for table in _joined(tables, group):
                if schema is None:
                    schema = table.schema
                    writer = _WRITERS[format_name](sink, schema)
                if table.schema != schema:
                    raise UserCodeError(
                        "reduce_batch yields tables of different schemas:\n"
                        f"{table.schema.to_string()}\nafter\n{schema.to_string()}"
                    )
                writer.write_table(table)
                rows += table.num_rows
        except BaseException:
            if writer is not None:
                # Else it would find the file closed when it is collected, and complain.
                with suppress(pa.ArrowException, OSError):
                    writer.close()
            raise
        if writer is None:
            writer = _WRITERS[format_name](sink, pa.schema([]))
        writer.close()
    return rows


def _joined(tables: Iterator[pa.Table], group: int) -> Iterator[pa.Table]:
    """Small tables of one schema as fewer large ones."""
    waiting: list[pa.Table] = []
    size = 0
    for table in tables:
        if waiting and table.schema != waiting[0].schema:
            yield pa.concat_tables(waiting)
            waiting, size = [], 0
        waiting.append(table)
        size += table.nbytes
        if size >= group:
            yield pa.concat_tables(waiting)
            waiting, size = [], 0
    if waiting:
        yield pa.concat_tables(waiting)


class _BinaryWriter:
    """Row after row, the bytes of each column."""

    def __init__(self, sink: pa.NativeFile, schema: pa.Schema) -> None:
        self._sink = sink
        for field in schema:
            kind = field.type
            if not (pa.types.is_fixed_size_binary(kind) or pa.types.is_binary(kind)):
                raise UserCodeError(
                    f"the output format binary takes columns of binary; {field.name!r} is of {kind}"
                )

    def write_table(self, table: pa.Table) -> None:
        if any(column.null_count for column in table.columns):
            raise UserCodeError("the output format binary has no form for nulls")
        for batch in table.to_batches():
            columns = batch.columns
            if len(columns) == 1 and pa.types.is_fixed_size_binary(columns[0].type):
                width = columns[0].type.byte_width
                data = columns[0].buffers()[1]
                self._sink.write(data.slice(columns[0].offset * width, len(columns[0]) * width))
            elif columns:
                joined = [column.cast(pa.large_binary()) for column in columns]
                rows = pc.binary_join_element_wise(*joined, pa.scalar(b"", pa.large_binary()))
                self._sink.write(b"".join(rows.to_pylist()))

    def close(self) -> None:
        """Nothing stands behind the rows."""


def _parquet_writer(sink: pa.NativeFile, schema: pa.Schema) -> Any:
    import pyarrow.parquet as pq  # only those that write Parquet wait for it

    return pq.ParquetWriter(sink, schema)


_WRITERS: dict[str, Callable[[pa.NativeFile, pa.Schema], Any]] = {
    "parquet": _parquet_writer,
    "arrow": pa.ipc.new_file,
    "binary": _BinaryWriter,
}
