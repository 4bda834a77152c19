"""Batches to bytes and back: the payload of a spill block.

A payload is one msgpack array ``[keys, counts, values]`` of columns, which may then be compressed
(``blfs_mr.shuffle.compression``). A column is one of

- ``[0, [item, ...]]``  items as they are,
- ``[1, n, item]``      the same item n times (the 1s of a word count cost nothing),
- ``[2, [column, ...]]`` tuples of one length, each position a column of its own,
- ``[3, width, bytes]``  bytes of one length, one after the other.

``counts`` is nil where every key has one value. Two extension types carry what msgpack has no word for: type
1 a tuple (its items as an array), type 2 an integer beyond 64 bits (signed, little-endian). Everything comes
back with the very type and value it had; what could not is refused with :class:`ValueNotSupported`. Pickle is
no option: reading a block must not run code.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain
from struct import Struct
from types import NoneType
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]

from blfs_mr.errors import BadBlock, ValueNotSupported
from blfs_mr.shuffle.batch import Batch
from blfs_mr.shuffle.compression import decompressed
from blfs_mr.shuffle.keys import MAX_NESTING, SCALAR_TYPES, shown

_PLAIN: Final = 0
_CONSTANT: Final = 1
_TUPLES: Final = 2
_JOINED: Final = 3

_TUPLE_CODE: Final = 1
_INTEGER_CODE: Final = 2

_CONTAINER_TYPES = frozenset({tuple, list, dict})
_VALUE_TYPES = SCALAR_TYPES | _CONTAINER_TYPES
_CONSTANT_TYPES = frozenset({str, bytes, int, bool, NoneType})  # not float: 0.0 == -0.0 are different bytes


def encode_batch(batch: Batch) -> bytes:
    """The payload that :func:`decode_batch` gives ``batch`` back from. Raises :class:`ValueNotSupported`.

    The keys have been through the partitioner, which checked their types.
    """
    check_values(batch)
    counts = None if batch.counts is None or set(batch.counts) == {1} else _column(batch.counts)
    columns = [_column(batch.keys), counts, _column(batch.values)]
    try:
        return _pack(columns, "strict")
    except UnicodeEncodeError:  # lone surrogates, from undecodable input; this handler makes packing slower
        return _pack(columns, "surrogatepass")


def decode_batch(payload: memoryview | bytes) -> Batch:
    """The batch of a payload; no part of it refers to ``payload``. Raises as :func:`decompressed` does."""
    plain = decompressed(payload)
    try:
        keys, counts, values = _unpack(plain)
        batch = Batch(_items(keys), None if counts is None else _items(counts), _items(values))
        sound = _is_sound(batch)
    except (ValueError, TypeError, KeyError, RecursionError, msgpack.UnpackException) as error:
        raise BadBlock(
            f"a block's payload of {len(payload)} bytes holds no batch of records: {error}"
        ) from error
    if not sound:
        raise BadBlock(f"a block's payload of {len(payload)} bytes holds columns that do not fit one another")
    return batch


def check_values(batch: Batch) -> None:
    """Raise :class:`ValueNotSupported`, naming key, value and type, if a value cannot be carried."""
    if _are_values(batch.values, MAX_NESTING):
        return
    bounds = batch.bounds()
    for key, start, stop in zip(batch.keys, bounds, bounds[1:], strict=False):
        for value in batch.values[start:stop]:
            if not _are_values((value,), MAX_NESTING):
                raise ValueNotSupported(_reason(key, value))


def _are_values(values: Collection[Any], levels: int) -> bool:
    """Whole levels of nesting at once: the types of a million items are a set of one or two."""
    kinds = set(map(type, values))
    if kinds.isdisjoint(_CONTAINER_TYPES):
        return kinds <= SCALAR_TYPES
    if levels == 0 or not kinds <= _VALUE_TYPES:
        return False
    inner: list[Any] = []
    for kind in kinds & _CONTAINER_TYPES:
        containers: Collection[Any] = (
            values if len(kinds) == 1 else [value for value in values if type(value) is kind]
        )
        inner.extend(chain.from_iterable(containers))
        if kind is dict:
            inner.extend(chain.from_iterable(map(dict.values, containers)))
    return _are_values(inner, levels - 1)


def _reason(key: Any, value: Any) -> str:
    culprit = value
    for _ in range(MAX_NESTING):
        if type(culprit) not in _CONTAINER_TYPES:
            break
        inner = chain(culprit, culprit.values()) if type(culprit) is dict else culprit
        culprit = next((part for part in inner if not _are_values((part,), MAX_NESTING)), culprit)
    else:
        return (
            f"the value {shown(value)} of the key {shown(key)} has more than {MAX_NESTING} levels of nesting"
        )
    where = "" if culprit is value else f", in the value {shown(value)}"
    return (
        f"for the key {shown(key)}: cannot carry {shown(culprit)}{where}; a value must be exactly str, "
        f"bytes, int, float, bool, None, or a tuple, list or dict of these"
    )


def _column(items: list[Any]) -> list[Any]:
    kinds = set(map(type, items))
    if len(kinds) != 1:
        return [_PLAIN, items]
    kind = kinds.pop()
    if kind in _CONSTANT_TYPES:
        first = items[0]
        # The two comparisons spare nearly every column the count.
        if items[-1] == first and items[len(items) // 2] == first and items.count(first) == len(items):
            return [_CONSTANT, len(items), first]
        if kind is bytes and first and len(set(map(len, items))) == 1:
            return [_JOINED, len(first), b"".join(items)]
    elif kind is tuple and items[0] and len(set(map(len, items))) == 1:
        return [_TUPLES, [_column(list(part)) for part in zip(*items, strict=True)]]
    return [_PLAIN, items]


def _items(column: Any) -> list[Any]:
    form, *rest = column
    if form == _PLAIN:
        (items,) = rest
        if type(items) is not list:
            raise ValueError("a plain column that is no array")
        return items
    if form == _CONSTANT:
        count, item = rest
        if type(count) is not int or not 0 <= count <= _MAX_CONSTANT:
            raise ValueError("a constant column of an impossible length")
        return [item] * count
    if form == _TUPLES:
        (columns,) = rest
        return list(zip(*map(_items, columns), strict=True))
    if form == _JOINED:
        width, joined = rest
        if type(width) is not int or width < 1 or type(joined) is not bytes or len(joined) % width:
            raise ValueError("a joined column of no whole items")
        return list(chain.from_iterable(Struct(f"{width}s").iter_unpack(joined)))
    raise ValueError("a column of an unknown form")


_MAX_CONSTANT: Final = 1 << 24
"""Records in one constant column, so that a few bad bytes cannot ask for all memory. Writers cut batches far
below it (``blfs_mr.shuffle.blocks``)."""


def _is_sound(batch: Batch) -> bool:
    if batch.counts is None:
        return len(batch.keys) == len(batch.values)
    return (
        len(batch.counts) == len(batch.keys)
        and set(map(type, batch.counts)) <= {int}
        and min(batch.counts, default=1) > 0
        and sum(batch.counts) == len(batch.values)
    )


def _pack(columns: Any, unicode_errors: str) -> bytes:
    def extend(item: Any) -> msgpack.ExtType:
        if type(item) is tuple:
            return msgpack.ExtType(_TUPLE_CODE, _pack(list(item), unicode_errors))
        return msgpack.ExtType(
            _INTEGER_CODE, item.to_bytes(item.bit_length() // 8 + 1, "little", signed=True)
        )

    packed: bytes = msgpack.packb(columns, default=extend, strict_types=True, unicode_errors=unicode_errors)
    return packed


def _unpack(payload: memoryview | bytes) -> Any:
    return msgpack.unpackb(payload, ext_hook=_restore, strict_map_key=False, unicode_errors="surrogatepass")


def _restore(code: int, data: bytes) -> Any:
    if code == _TUPLE_CODE:
        return tuple(_unpack(data))
    if code == _INTEGER_CODE:
        return int.from_bytes(data, "little", signed=True)
    raise ValueError(f"an unknown extension type {code}")
