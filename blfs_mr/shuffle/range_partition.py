"""The partitioner of a totally ordered job: keys rise from each output part to the next.

*Boundaries* are keys that divide all keys into ranges, found from a sample before the job starts. Partition
``i`` takes the keys from boundary ``i - 1`` up to, not including, boundary ``i``; equal keys so always meet.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from typing import Any

from blfs_mr.errors import BadBlock, InternalError
from blfs_mr.shuffle.batch import Batch
from blfs_mr.shuffle.columns import decode_batch, encode_batch
from blfs_mr.shuffle.order import argsort, refuse


def choose_boundaries(sampled_keys: Collection[Any], partitions: int) -> list[Any]:
    """At most ``partitions`` - 1 rising keys that divide the sample into parts of about one size.

    Fewer where keys repeat so often that one fills several parts. Raises :class:`KeysNotComparable`.
    """
    keys = list(sampled_keys)
    ordered = list(map(keys.__getitem__, argsort(keys)))
    chosen = [ordered[part * len(ordered) // partitions] for part in range(1, partitions) if ordered]
    distinct = chosen[:1] + [after for before, after in pairwise(chosen) if before != after]
    # A boundary at the least key would leave the first partition empty.
    return distinct[1:] if distinct and distinct[0] == ordered[0] else distinct


def encode_boundaries(keys: Collection[Any]) -> bytes:
    """The bytes in which boundaries travel with a job."""
    return encode_batch(Batch(list(keys), None, [None] * len(keys)))


class RangePartitioner:
    """In the place of a job's ``partition(key, partitions)``.

    Raises :class:`InternalError` for bytes that are no boundaries, or too many for ``partitions``.
    """

    def __init__(self, boundaries: bytes, partitions: int) -> None:
        try:
            self._boundaries = decode_batch(boundaries).keys
        except BadBlock as error:
            raise InternalError(f"the boundaries of the job's partitions cannot be read: {error}") from error
        self._partitions = partitions
        if len(self._boundaries) >= partitions:
            raise InternalError(f"{len(self._boundaries)} boundaries do not divide {partitions} partitions")

    def __call__(self, key: Any, partitions: int) -> int:
        """The partition of ``key``. Raises :class:`KeysNotComparable`."""
        try:
            return bisect_right(self._boundaries, key)
        except TypeError:
            if key in self._boundaries:  # None has no order, not even to itself
                return self._boundaries.index(key) + 1
            refuse([*self._boundaries, key], paired=False)

    def ends(self, ordered: Sequence[Any], key: Callable[[Any], Any]) -> list[int]:
        """Where each partition ends among ``ordered``, items that are sorted by the ``key`` of each.

        Raises :class:`KeysNotComparable`.
        """
        try:
            found = [bisect_left(ordered, boundary, key=key) for boundary in self._boundaries]
        except TypeError:
            # Keys without an order, as None: each is looked up by itself, or named.
            chosen = [self(key(item), self._partitions) for item in ordered]
            return [bisect_right(chosen, partition) for partition in range(self._partitions)]
        return found + [len(ordered)] * (self._partitions - len(found))
