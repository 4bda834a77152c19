"""A stable hash of the key columns of a table, the same in every process, on every run and for any chunk
layout.

Arrow has no hash function for whole columns in Python. Numbers and bytes of a fixed width are mixed with
Arrow's own wrapping arithmetic, a column at a time. Strings are hashed by XXH3 one by one, which costs ten
times as much per row; so where they repeat, only the distinct ones are. Both ways give the same hash.

Values hash alike that are equal within their column's type: 0.0 and -0.0 do, all NaNs do, and so do all
nulls.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_64_intdigest

from blfs_mr.errors import KeyNotSupported

_WORD = 8

_SAMPLED = 2048
"""Rows that tell whether strings repeat."""

_REPEATING = 0.5
"""Distinct values are looked for where no more than this share of the sampled rows has one of its own."""

# Part of the data format: a change sends rows to other partitions than the maps of a running job did.
_SEED = 0x9E37_79B9_7F4A_7C15
_FIRST_FACTOR = 0xBF58_476D_1CE4_E5B9
_SECOND_FACTOR = 0x94D0_49BB_1331_11EB
_OF_NULL = 0x6A09_E667_F3BC_C908
_XXH3_SEED = 7


def hash_rows(table: pa.Table, keys: Sequence[str]) -> pa.Array:
    """64 bits for each row, from its ``keys``, in a column of uint64. Raises KeyNotSupported."""
    hashed = _same(_SEED, table.num_rows)
    for key in keys:
        hashed = mixed(pc.add(pc.multiply(hashed, _scalar(_FIRST_FACTOR)), _hash(combined(table[key]), key)))
    return hashed


def in_range(hashed: pa.Array, parts: int) -> pa.Array:
    """Each hash as one of ``parts`` numbers from 0: its upper half, scaled down (no division is needed)."""
    upper = pc.shift_right(hashed, _scalar(32))
    return pc.shift_right(pc.multiply(upper, _scalar(parts)), _scalar(32)).cast(pa.uint16())


def rehashed(hashed: pa.Array, level: int) -> pa.Array:
    """Other bits for the same rows, independent of those of any other ``level``."""
    return mixed(pc.add(hashed, _scalar(_SEED * (level + 1) % (1 << 64))))


def mixed(words: pa.Array) -> pa.Array:
    """Every bit of each word spread over all of it (SplitMix64: Steele, Lea and Flood, OOPSLA 2014)."""
    for shift, factor in ((30, _FIRST_FACTOR), (27, _SECOND_FACTOR)):
        words = pc.multiply(pc.bit_wise_xor(words, pc.shift_right(words, _scalar(shift))), _scalar(factor))
    return pc.bit_wise_xor(words, pc.shift_right(words, _scalar(31)))


def combined(column: pa.ChunkedArray) -> pa.Array:
    """``column`` in one piece."""
    if column.num_chunks == 1:
        return column.chunk(0)
    pieces = column.combine_chunks()
    return pieces if isinstance(pieces, pa.Array) else pa.concat_arrays(pieces.chunks)


def _hash(column: pa.Array, name: str) -> pa.Array:
    kind = column.type
    if pa.types.is_null(kind):
        return _same(_OF_NULL, len(column))
    if pa.types.is_boolean(kind) or pa.types.is_unsigned_integer(kind):
        words = column.cast(pa.uint64())
    elif pa.types.is_signed_integer(kind):
        words = column.cast(pa.int64()).view(pa.uint64())
    elif pa.types.is_floating(kind):
        words = _words_of_floats(column.cast(pa.float64()))
    elif pa.types.is_temporal(kind) and pa.types.is_primitive(kind):
        signed = pa.int32() if kind.bit_width == 32 else pa.int64()
        words = column.view(signed).cast(pa.int64()).view(pa.uint64())
    elif pa.types.is_decimal(kind) and kind.bit_width >= 128:
        width = kind.bit_width // 8
        raw = pa.Array.from_buffers(pa.binary(width), len(column), column.buffers(), offset=column.offset)
        words = _words_of_fixed(raw, width)
    elif pa.types.is_fixed_size_binary(kind) and kind.byte_width >= _WORD:
        words = _words_of_fixed(column, kind.byte_width)
    elif _is_bytes(kind):
        words = _words_of_bytes(column)
    else:
        raise KeyNotSupported(f"the column {name!r} of type {kind} cannot be a key")
    return pc.fill_null(mixed(words), _scalar(_OF_NULL))


def _words_of_floats(column: pa.Array) -> pa.Array:
    zeros_alike = pc.add(column, pa.scalar(0.0))
    return pc.if_else(pc.is_nan(column), pa.scalar(float("nan")), zeros_alike).view(pa.uint64())


def _words_of_fixed(column: pa.Array, width: int) -> pa.Array:
    """``width`` is at least one word; the last word begins early enough to be whole."""
    words = _same(width, len(column))
    for start in (*range(0, width - _WORD, _WORD), width - _WORD):
        word = pc.binary_slice(column, start, start + _WORD).view(pa.uint64())
        words = mixed(pc.bit_wise_xor(pc.multiply(words, _scalar(_SECOND_FACTOR)), word))
    return words


def _words_of_bytes(column: pa.Array) -> pa.Array:
    values = column.cast(pa.large_binary())
    sample = values.slice(0, _SAMPLED)
    if pc.count_distinct(sample, mode="all").as_py() <= _REPEATING * len(sample):
        distinct = values.dictionary_encode()
        return _hashed_one_by_one(distinct.dictionary).take(distinct.indices)
    return _hashed_one_by_one(values)


def _hashed_one_by_one(values: pa.Array) -> pa.Array:
    digest = xxh3_64_intdigest
    hashes = [None if value is None else digest(value, _XXH3_SEED) for value in values.to_pylist()]
    return pa.array(hashes, pa.uint64())


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _same(word: int, rows: int) -> pa.Array:
    return pa.repeat(_scalar(word), rows)


def _scalar(word: int) -> pa.Scalar:
    return pa.scalar(word, pa.uint64())
