"""What ``map_batch`` and ``reduce_batch`` yield, checked: tables, of one schema all over the job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from blfs_mr.errors import UserCodeError


def tables_of(yielded: Any, method: str) -> Iterator[pa.Table]:
    """The tables, or record batches as such, that hold rows, and the first of all even if it holds none."""
    if yielded is None:
        raise UserCodeError(f"{method} returned None; it yields pyarrow tables")
    if isinstance(yielded, pa.Table | pa.RecordBatch):
        raise UserCodeError(f"{method} returned a table; it yields tables, so write: yield table")
    for table in yielded:
        if isinstance(table, pa.RecordBatch):
            yield pa.Table.from_batches([table])
        elif isinstance(table, pa.Table):
            yield table
        else:
            raise UserCodeError(f"{method} must yield pyarrow tables; got {type(table).__name__}")


class Conformer:
    """Brings tables to one schema: the declared one, or that of the first table.

    To a declared schema columns are cast, ordered, and added as nulls where a table lacks them. Dictionary
    columns become plain ones: each block would have to carry its whole dictionary.
    """

    def __init__(self, declared: pa.Schema | None, keys: Sequence[str]) -> None:
        self.schema = None if declared is None else without_dictionaries(declared)
        self._declared = declared is not None
        self._keys = keys
        if self.schema is not None:
            self._check_keys(self.schema)

    def conform(self, table: pa.Table) -> pa.Table:
        """``table`` in the schema. Raises UserCodeError where that cannot be."""
        if self.schema is None:
            self.schema = without_dictionaries(table.schema).remove_metadata()
            self._check_keys(self.schema)
        if self._declared:
            table = _completed(table, self.schema)
        elif without_dictionaries(table.schema) != self.schema:
            raise UserCodeError(
                f"map_batch yields tables of different schemas, {_shown(table.schema)} after "
                f"{_shown(self.schema)}; declare one for all of them as batch_schema"
            )
        if table.schema.equals(self.schema, check_metadata=True):
            return table
        try:
            return table.cast(self.schema)
        except (pa.ArrowException, ValueError) as error:
            raise UserCodeError(
                f"map_batch yields a table that does not fit batch_schema: {error}"
            ) from error

    def _check_keys(self, schema: pa.Schema) -> None:
        for key in self._keys:
            if schema.get_field_index(key) < 0:
                raise UserCodeError(f"the key column {key!r} is not one, and only one, of {_shown(schema)}")


def without_dictionaries(schema: pa.Schema) -> pa.Schema:
    """``schema`` with the value type of every dictionary column in its place."""
    return pa.schema(
        [
            field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
            for field in schema
        ]
    )


def _shown(schema: pa.Schema) -> str:
    return "(" + ", ".join(f"{field.name}: {field.type}" for field in schema) + ")"


def _completed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """``table`` with the columns of ``schema``, in its order."""
    names = table.column_names
    if unknown := [name for name in names if name not in schema.names]:
        raise UserCodeError(f"map_batch yields columns that are not in batch_schema: {', '.join(unknown)}")
    for field in schema:
        if field.name not in names:
            table = table.append_column(field.name, pa.nulls(table.num_rows, field.type))
    return table.select(schema.names)
