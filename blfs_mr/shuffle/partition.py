"""The partitioner: which reduce task a key belongs to. The same in every process, on every run and build.

Python's own ``hash`` is salted per process for str and bytes, and its width differs between builds, so keys
are hashed with XXH3 over canonical bytes. Keys that are equal in Python have the same canonical bytes: ``1``,
``1.0`` and ``True`` are one number. The seed differs by kind, so that ``"a"`` and ``b"a"`` are unrelated.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from operator import length_hint
from types import NoneType
from typing import Any, Final

from xxhash import xxh3_64_intdigest

from blfs_mr.errors import UserCodeError
from blfs_mr.shuffle.keys import check_keys, shown
from blfs_mr.shuffle.range_partition import RangePartitioner

# Part of the data format: a change sends keys to other partitions than the maps of a running job did.
_STR: Final = 1
_BYTES: Final = 2
_INTEGER: Final = 3
_FRACTION: Final = 4
_NONE: Final = 5
_TUPLE: Final = 6

_pack_double = struct.Struct("<d").pack
_pack_hash = struct.Struct("<Q").pack


def partition_of(key: Any, partitions: int) -> int:
    """The partition of ``key``, from 0 to ``partitions`` - 1. Raises :class:`KeyNotSupported`."""
    check_keys((key,))
    return _hash(key) % partitions


class Partitioner:
    """Partitions whole columns of keys, with the job's own ``partition(key, partitions)`` if it has one.

    ``refused`` holds the key for which that function raised, so that it can be named, and nothing otherwise.
    """

    def __init__(self, partitions: int, partition: Callable[[Any, int], int] | None = None) -> None:
        self.partitions = partitions
        self.refused: tuple[Any, ...] = ()
        self._partition = partition

    @property
    def ranges(self) -> RangePartitioner | None:
        """What knows the partitions as ranges of keys, so that they can be cut out of what is sorted."""
        return self._partition if isinstance(self._partition, RangePartitioner) else None

    def of(self, keys: list[Any]) -> list[int]:
        """The partition of each key. Raises :class:`KeyNotSupported`; user exceptions pass through."""
        check_keys(keys)
        if self._partition is not None:
            return self._by_user(keys, self._partition)
        if self.partitions == 1:
            return [0] * len(keys)
        return _partition_column(keys, self.partitions)

    def _by_user(self, keys: list[Any], partition: Callable[[Any, int], int]) -> list[int]:
        partitions = self.partitions
        remaining = iter(keys)
        try:
            chosen = [partition(key, partitions) for key in remaining]
        except BaseException:
            self.refused = (keys[len(keys) - length_hint(remaining) - 1],)
            raise
        if (
            not set(map(type, chosen)) <= {int}
            or min(chosen, default=0) < 0
            or max(chosen, default=0) >= partitions
        ):
            for key, index in zip(keys, chosen, strict=True):
                if type(index) is not int or not 0 <= index < partitions:
                    raise UserCodeError(
                        f"partition must return an int from 0 to {partitions - 1}, "
                        f"but returned {shown(index)} for the key {shown(key)}"
                    )
        return chosen


def _partition_column(keys: list[Any], partitions: int) -> list[int]:
    """The loops of the common kinds are spelled out: a call per key would double their cost."""
    digest = xxh3_64_intdigest
    match set(map(type, keys)):
        case kinds if kinds == {str}:
            try:
                return [digest(key.encode(), _STR) % partitions for key in keys]
            except UnicodeEncodeError:  # lone surrogates, from undecodable input
                return [_hash(key) % partitions for key in keys]
        case kinds if kinds == {bytes}:
            return [digest(key, _BYTES) % partitions for key in keys]
        case _:
            return [_hash(key) % partitions for key in keys]


def _hash(key: Any) -> int:
    """64 bits of ``key``, whose type is checked already."""
    kind = type(key)
    if kind is str:
        return xxh3_64_intdigest(key.encode("utf-8", "surrogatepass"), _STR)
    if kind is bytes:
        return xxh3_64_intdigest(key, _BYTES)
    if kind is tuple:
        return xxh3_64_intdigest(b"".join([_pack_hash(_hash(part)) for part in key]), _TUPLE)
    if kind is NoneType:
        return xxh3_64_intdigest(b"", _NONE)
    if kind is float:
        if key - key != 0 or not key.is_integer():  # an infinity, or a fraction: no int equals it
            return xxh3_64_intdigest(_pack_double(key), _FRACTION)
        key = int(key)
    # Eight bytes hold all but the largest integers; those take as many as they need.
    size = 8 if -(1 << 63) <= key < 1 << 63 else key.bit_length() // 8 + 1
    return xxh3_64_intdigest(key.to_bytes(size, "little", signed=True), _INTEGER)
