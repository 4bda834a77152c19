"""The two ways in which a buffer holds pairs: grouped by key, or as they came.

The loops that a map task spends its time in are here. Both have ``take``, ``cost`` (estimated bytes),
``drain`` and the same counts, see :class:`Holding`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from operator import eq, itemgetter
from typing import Any, Protocol

from blfs_mr.shuffle.batch import BATCH_RECORDS, Batch, Order
from blfs_mr.shuffle.combine import Combiner, refuse_unless_pair, sort_values
from blfs_mr.shuffle.keys import check_keys
from blfs_mr.shuffle.order import argsort, sorted_distinct
from blfs_mr.shuffle.partition import Partitioner

# Bytes beside key and value, as CPython 3.11 on 64-bit Linux takes them, rounded as its allocator rounds.
_GROUP_COST = 104 + 56 + 16 + 32  # a dict slot while the table is between two sizes, a list, its first items
_GROUPED_VALUE_COST = 9  # a slot of a list that grows by an eighth
_PAIR_COST = 2 * 9  # a slot in each of two lists that grow by an eighth
_REFERENCE = 8
_POSITION_COST = 32 + _REFERENCE  # an int, and its place in a list
_SORT_COST = 2 * _REFERENCE  # a place in the sort's own list, and room for half of both to merge

_TAKEN_AT_ONCE = 4096
"""Pairs that are split into keys and values together, while the processor's cache holds them."""

_SHARE_SAMPLE = 64
"""Neighbours in each sorted batch that tell the share of distinct keys."""

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

    def drain_reserve(self, partitioner: Partitioner) -> float:
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

    def drain_reserve(self, partitioner: Partitioner) -> float:
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
    """Pairs in two lists, of keys and of values: for keys that are mostly unique.

    What is sorted are positions. The tuples that pairs come in are let go while they are in the processor's
    cache; each would cost 80 bytes, and a wait for memory whenever it is touched in another order.
    """

    def __init__(self, pairs: Iterable[tuple[Any, Any]] = ()) -> None:
        self._keys: list[Any] = []
        self._values: list[Any] = []
        self.taken = self.records = 0
        self.distinct_share = 1.0
        self.take(pairs, 0)

    @property
    def distinct(self) -> int:
        return self.records

    def take(self, pairs: Iterable[Any], expected: int) -> None:
        remaining = iter(pairs)
        while taken := list(islice(remaining, _TAKEN_AT_ONCE)):
            if not set(map(type, taken)) <= {tuple} or not set(map(len, taken)) <= {2}:
                for pair in taken:
                    refuse_unless_pair(pair, "map")
            self._keys += map(_first, taken)
            self._values += map(_second, taken)
            self.records += len(taken)
            self.taken += len(taken)

    def cost(self, records: int, distinct: int, key_size: float, value_size: float) -> float:
        return records * (key_size + value_size + _PAIR_COST)

    def drain_reserve(self, partitioner: Partitioner) -> float:
        sorted_at_once = 1 if partitioner.ranges is not None else partitioner.partitions
        return self.records * (_POSITION_COST + _SORT_COST / sorted_at_once)

    def drain(
        self, partitioner: Partitioner, combiner: Combiner | None, order: Order
    ) -> Iterator[tuple[int, Batch]]:
        distinct = sampled = 0
        for partition, positions in enumerate(self._sorted(partitioner, order)):
            size = BATCH_RECORDS if combiner is None else max(len(positions), 1)
            for start in range(0, len(positions), size):
                batch = self._batch(positions[start : start + size])
                some = batch.keys[:_SHARE_SAMPLE]
                distinct += len(some) - sum(map(eq, some, islice(some, 1, None)))
                sampled += len(some)
                if combiner is not None:
                    batch = combiner.combine_batch(batch.grouped(), order)
                for piece in batch.pieces(BATCH_RECORDS):
                    yield partition, piece
        self.distinct_share = distinct / max(sampled, 1)
        self._keys.clear()
        self._values.clear()
        self.records = 0

    def _sorted(self, partitioner: Partitioner, order: Order) -> Iterator[list[int]]:
        """The positions of each partition's pairs, in order."""
        keys, ranges = self._keys, partitioner.ranges
        if ranges is not None:
            # Sorted in one piece and cut: a few comparisons more for a key, and no look for its partition.
            check_keys(keys)
            positions = self._in_order(list(range(len(keys))), order)
            begin = 0
            for end in ranges.ends(positions, keys.__getitem__):
                yield positions[begin:end]
                begin = end
            return
        buckets: list[list[int]] = [[] for _ in range(partitioner.partitions)]
        for start in range(0, len(keys), BATCH_RECORDS):
            stretch = keys[start : start + BATCH_RECORDS]
            _distribute(range(start, start + len(stretch)), partitioner.of(stretch), buckets)
        for bucket in buckets:
            yield self._in_order(bucket, order)
            bucket.clear()

    def _in_order(self, positions: list[int], order: Order) -> list[int]:
        try:
            if order == "key":
                positions.sort(key=self._keys.__getitem__)
                return positions
        except TypeError:
            pass  # ``argsort`` knows of keys without an order
        batch = self._batch(positions)
        if order == "key":
            found = argsort(batch.keys)
        else:
            found = argsort(list(zip(batch.keys, batch.values, strict=True)), paired=True)
        return list(map(positions.__getitem__, found))

    def _batch(self, positions: list[int]) -> Batch:
        keys, values = self._keys, self._values
        return Batch(list(map(keys.__getitem__, positions)), None, list(map(values.__getitem__, positions)))


def _bucketed(keys: list[Any], partitions: list[int], count: int) -> list[list[Any]]:
    buckets: list[list[Any]] = [[] for _ in range(count)]
    _distribute(keys, partitions, buckets)
    return buckets


def _distribute(items: Sequence[Any], partitions: list[int], buckets: list[list[Any]]) -> None:
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
