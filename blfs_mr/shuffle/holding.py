"""The two ways in which a buffer holds pairs: grouped by key, or as they came.

The loops that a map task spends its time in are here. Both have ``take``, ``cost`` (estimated bytes),
``drain`` and the same counts, see :class:`Holding`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from operator import eq, itemgetter
from typing import Any, Protocol

from blfs_mr.shuffle.batch import BATCH_RECORDS, Batch, Order
from blfs_mr.shuffle.combine import Combiner, refuse_unless_pair, sort_values
from blfs_mr.shuffle.keys import check_keys
from blfs_mr.shuffle.order import argsort, refuse, sorted_distinct
from blfs_mr.shuffle.partition import Partitioner

# Bytes beside key and value, as CPython 3.11 on 64-bit Linux takes them, rounded as its allocator rounds.
_GROUP_COST = 104 + 56 + 16 + 32  # a dict slot while the table is between two sizes, a list, its first items
_GROUPED_VALUE_COST = 9  # a slot of a list that grows by an eighth
_PAIR_COST = 80 + 9  # a tuple with its header for the garbage collector, a slot of a list
_REFERENCE = 8

_first = itemgetter(0)
_second = itemgetter(1)


class Holding(Protocol):
    """What a buffer needs of a way to hold pairs.

    ``records`` counts what is held, ``distinct`` the keys of it as far as they are known. ``taken`` is the
    pairs ever taken, and ``distinct_share`` the share of distinct keys among those; both stand after a drain.
    """

    records: int
    taken: int
    distinct_share: float

    @property
    def distinct(self) -> int: ...

    def take(self, pairs: Iterable[Any], expected: int) -> None:
        """Hold ``pairs``, which are ``expected`` in number unless the input ends."""

    def cost(self, records: int, distinct: int, key_size: float, value_size: float) -> float:
        """The bytes that ``records`` of ``distinct`` keys occupy, for these mean sizes."""

    def drain_reserve(self, partitions: int) -> float:
        """The bytes that draining will need beside what is held."""

    def drain(
        self, partitioner: Partitioner, combiner: Combiner | None, order: Order
    ) -> Iterator[tuple[int, Batch]]:
        """Give everything out, partition by partition in key order."""


class Groups:
    """Pairs in a dict of lists: for keys that repeat."""

    def __init__(self) -> None:
        self.groups: defaultdict[Any, list[Any]] = defaultdict(list)
        self.records = 0
        self.taken = 0
        self.distinct_share = 0.0
        self._left_by_combiner = 0

    @property
    def distinct(self) -> int:
        return len(self.groups)

    def take(self, pairs: Iterable[Any], expected: int) -> None:
        groups = self.groups
        pair: Any = (None, None)
        try:
            for pair in pairs:
                key, value = pair
                groups[key].append(value)
        except (TypeError, ValueError):
            # Either the pair is to blame, or the user's code behind the iterator; then it is theirs to see.
            refuse_unless_pair(pair, "map")
            _refuse_unhashable(pair[0])
            raise
        self.records += expected

    def cost(self, records: int, distinct: int, key_size: float, value_size: float) -> float:
        return distinct * (key_size + _GROUP_COST) + records * (value_size + _GROUPED_VALUE_COST)

    def drain_reserve(self, partitions: int) -> float:
        return 3 * _REFERENCE * len(self.groups)

    def combine(self, combiner: Combiner) -> None:
        """Combine all groups in place."""
        self._count()
        combiner.combine_groups(self.groups)
        self.records = self._left_by_combiner = sum(map(len, self.groups.values()))

    def drain(
        self, partitioner: Partitioner, combiner: Combiner | None, order: Order
    ) -> Iterator[tuple[int, Batch]]:
        self._count()
        if combiner is not None:
            self.combine(combiner)
        groups = self.groups
        buckets = _bucketed(list(groups), partitioner.of(list(groups)), partitioner.partitions)
        for partition, bucket in enumerate(buckets):
            keys = sorted_distinct(bucket)
            bucket.clear()
            lists = list(map(groups.pop, keys))
            if order == "key-and-value":
                for key, values in zip(keys, lists, strict=True):
                    sort_values(key, values)
            for batch in _batches(keys, lists):
                yield partition, batch
        self.records = self._left_by_combiner = 0

    def pairs(self) -> list[tuple[Any, Any]]:
        """Everything held as pairs."""
        return [(key, value) for key, values in self.groups.items() for value in values]

    def _count(self) -> None:
        records = sum(map(len, self.groups.values()))
        self.taken += records - self._left_by_combiner
        self.distinct_share = len(self.groups) / max(self.taken, 1)
        self._left_by_combiner = records


class Pairs:
    """Pairs in a list: for keys that are mostly unique."""

    def __init__(self, pairs: list[tuple[Any, Any]] | None = None) -> None:
        self._pairs: list[tuple[Any, Any]] = pairs or []
        self.taken = self.records = len(self._pairs)
        self.distinct_share = 1.0

    @property
    def distinct(self) -> int:
        return self.records

    def take(self, pairs: Iterable[Any], expected: int) -> None:
        taken = list(pairs)
        if not set(map(type, taken)) <= {tuple} or not set(map(len, taken)) <= {2}:
            for pair in taken:
                refuse_unless_pair(pair, "map")
            taken = [(key, value) for key, value in taken]
        self._pairs += taken
        self.records += len(taken)
        self.taken += len(taken)

    def cost(self, records: int, distinct: int, key_size: float, value_size: float) -> float:
        return records * (key_size + value_size + _PAIR_COST)

    def drain_reserve(self, partitions: int) -> float:
        # A reference in a bucket, and for the partition that is being sorted a key and a place to merge.
        return self.records * _REFERENCE * (1 + 2 / partitions)

    def drain(
        self, partitioner: Partitioner, combiner: Combiner | None, order: Order
    ) -> Iterator[tuple[int, Batch]]:
        distinct = sampled = 0
        for partition, bucket in enumerate(self._buckets(partitioner)):
            _sort_pairs(bucket, order)
            keys = list(map(_first, bucket))
            repeats = sum(map(eq, keys, islice(keys, 1, None)))
            distinct += len(keys) - repeats
            sampled += len(keys)
            values = list(map(_second, bucket))
            bucket.clear()
            batch = Batch(keys, None, values)
            if repeats and combiner is not None:
                batch = combiner.combine_batch(batch.grouped(), order)
            for piece in batch.pieces(BATCH_RECORDS):
                yield partition, piece
        self.distinct_share = distinct / max(sampled, 1)
        self.records = 0

    def _buckets(self, partitioner: Partitioner) -> list[list[tuple[Any, Any]]]:
        pairs = self._pairs
        buckets: list[list[tuple[Any, Any]]] = [[] for _ in range(partitioner.partitions)]
        while pairs:  # from the end, so that the list of references shrinks as the buckets grow
            stretch = pairs[-BATCH_RECORDS:]
            del pairs[-BATCH_RECORDS:]
            _distribute(stretch, partitioner.of(list(map(_first, stretch))), buckets)
        return buckets


def _sort_pairs(pairs: list[tuple[Any, Any]], order: Order) -> None:
    if order == "key-and-value":
        try:
            pairs.sort()
        except TypeError:
            refuse(pairs, paired=True)
        return
    try:
        pairs.sort(key=_first)
    except TypeError:
        pairs[:] = map(pairs.__getitem__, argsort(list(map(_first, pairs))))


def _bucketed(keys: list[Any], partitions: list[int], count: int) -> list[list[Any]]:
    buckets: list[list[Any]] = [[] for _ in range(count)]
    _distribute(keys, partitions, buckets)
    return buckets


def _distribute(items: list[Any], partitions: list[int], buckets: list[list[Any]]) -> None:
    if len(buckets) == 1:
        buckets[0] += items
        return
    append = [bucket.append for bucket in buckets]
    for partition, item in zip(partitions, items, strict=True):
        append[partition](item)


def _batches(keys: list[Any], lists: list[list[Any]]) -> Iterator[Batch]:
    """Batches of at most ``BATCH_RECORDS``, built one by one from the values of each key."""
    start = records = 0
    for index, values in enumerate(lists):
        if records and records + len(values) > BATCH_RECORDS:
            yield _batch(keys[start:index], lists[start:index])
            start, records = index, 0
        records += len(values)
        if records > BATCH_RECORDS:
            yield from Batch([keys[index]], [records], values).pieces(BATCH_RECORDS)
            start, records = index + 1, 0
    if records:
        yield _batch(keys[start:], lists[start:])


def _batch(keys: list[Any], lists: list[list[Any]]) -> Batch:
    values = list(chain.from_iterable(lists))
    return Batch(keys, None if len(values) == len(keys) else list(map(len, lists)), values)


def _refuse_unhashable(key: Any) -> None:
    try:
        hash(key)
    except TypeError:
        check_keys((key,))  # no type of keys is unhashable, so this raises
