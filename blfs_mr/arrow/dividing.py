"""Which rows of a table go where: into partitions by hash or by range, and into the buckets of an overflow.

A rule numbers the rows; :func:`divide` then brings those of each number together with one counting sort and
one copy of the table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from blfs_mr.arrow.hashing import combined, hash_rows, in_range, rehashed
from blfs_mr.errors import InternalError, KeyNotSupported
from blfs_mr.shuffle.columns import decode_batch

_NUMBER = 8
"""Bytes of a number that values are sorted by."""

_LOOKED_AT = 64
"""Values that show whether the first bytes of all tell them apart."""


class Rule(Protocol):
    """Numbers rows from 0 to ``parts`` - 1; rows with equal keys get one number."""

    parts: int

    def numbers(self, table: pa.Table) -> pa.Array:
        """The number of each row, in a column of uint16. Raises KeyNotSupported."""


def divide(table: pa.Table, rule: Rule) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each number that occurs, in rising order; within one they keep their order."""
    if rule.parts == 1 or not table.num_rows:
        if table.num_rows:
            yield 0, table
        return
    numbers = rule.numbers(table)
    counted = {entry["values"]: entry["counts"] for entry in pc.value_counts(numbers).to_pylist()}
    if len(counted) > 1:
        # In one piece first: taking from chunks looks each row's chunk up.
        table = table.combine_chunks().take(pc.sort_indices(numbers))
    present = sorted(counted)
    ends = list(accumulate(counted[number] for number in present))
    for number, end in zip(present, ends, strict=True):
        yield number, table.slice(end - counted[number], counted[number])


class ByHash:
    """By a hash of all keys. Each ``level`` divides the rows of one part of the level before anew."""

    def __init__(self, keys: Sequence[str], parts: int, level: int = 0) -> None:
        self.parts = parts
        self.level = level
        self._keys = keys

    def numbers(self, table: pa.Table) -> pa.Array:
        return in_range(rehashed(hash_rows(table, self._keys), self.level), self.parts)


class ByBoundaries:
    """By the first key's place between the ``boundaries`` of a totally ordered job, as they travel with it.

    As in ``blfs_mr.shuffle.range_partition``: boundary ``i`` begins part ``i`` + 1. Nulls are last.
    """

    def __init__(self, key: str, boundaries: bytes, parts: int) -> None:
        self.parts = parts
        self._key = key
        self._boundaries = decode_batch(boundaries).keys
        if len(self._boundaries) >= parts:
            raise InternalError(f"{len(self._boundaries)} boundaries do not divide {parts} partitions")

    def numbers(self, table: pa.Table) -> pa.Array:
        column = searchable(combined(table[self._key]))
        try:
            boundaries = pa.array(self._boundaries, column.type)
        except (pa.ArrowException, TypeError) as error:
            raise KeyNotSupported(
                f"the column {self._key!r} is of type {column.type}, but was not when sampled: {error}"
            ) from error
        return places(boundaries, column, "right", self.parts - 1)


def places(boundaries: pa.Array, column: pa.Array, side: str, of_null: int) -> pa.Array:
    """Where each value stands between rising ``boundaries``, as ``bisect`` has it; both are searchable."""
    found = pc.search_sorted(boundaries, column, side=side)
    return pc.fill_null(found, pa.scalar(of_null, pa.uint64())).cast(pa.uint16())


def searchable(column: pa.Array) -> pa.Array:
    """``column``, in a type of the same order that can be searched in. Raises KeyNotSupported."""
    kind = column.type
    if pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind):
        return column.cast(pa.large_binary())
    if pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    if pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return column.cast(pa.uint8())
    if pa.types.is_float16(kind):
        return column.cast(pa.float32())
    if pa.types.is_temporal(kind) and pa.types.is_primitive(kind):
        # Plain numbers, so that boundaries can travel with a job.
        return column.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    if is_ordered(kind):
        return column
    raise KeyNotSupported(f"a column of type {kind} cannot be sorted by")


def is_ordered(kind: pa.DataType) -> bool:
    """Whether Arrow both sorts and searches columns of ``kind`` as they are."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _order(column: pa.Array) -> pa.Array:
    """The positions of ``column`` in order. Raises KeyNotSupported.

    Bytes of one width are sorted by their first eight as a number, which takes a third of the time. Where two
    of these are equal, all of it was in vain; so it is not tried where that shows in the first of them.
    """
    if (
        pa.types.is_fixed_size_binary(column.type)
        and column.type.byte_width >= _NUMBER
        and not column.null_count
        and sys.byteorder == "little"
    ):
        few = _first_bytes(column[:_LOOKED_AT])
        if len(few.unique()) == len(few):
            numbers = _first_bytes(column)
            positions = pc.sort_indices(numbers)
            ordered = numbers.take(positions)
            if not pc.any(pc.equal(ordered[:-1], ordered[1:])).as_py():
                return positions
        # As they are, they are sorted faster than as those that they would be searched as.
        return pc.sort_indices(column)
    return pc.sort_indices(searchable(column))


def _first_bytes(column: pa.Array) -> pa.Array:
    """The first eight bytes of each value as a number, the first of them being worth most."""
    reversed_bytes = pc.binary_reverse(pc.binary_slice(column, 0, _NUMBER).cast(pa.binary()))
    return pa.Array.from_buffers(pa.uint64(), len(column), [None, reversed_bytes.buffers()[2]])


def sort_by_keys(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """``table`` with its rows in the order of ``keys``, nulls last; rows of equal keys keep their order.

    Raises KeyNotSupported for a column that has no order.
    """
    table = table.combine_chunks()
    if len(keys) == 1:
        return table.take(_order(combined(table[keys[0]])))
    by = pa.table({str(at): searchable(combined(table[key])) for at, key in enumerate(keys)})
    return table.take(pc.sort_indices(by, sort_keys=[(name, "ascending") for name in by.column_names]))
