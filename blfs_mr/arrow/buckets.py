"""A partition that outgrew its memory, divided on scratch into buckets that do not.

Rows with equal keys stand in one bucket. Where rows must be sorted, buckets are ranges, handed out in
order, and each is sorted by itself: every row is sorted once, and never merged. A bucket that is still too
large is divided again by what was learned about it.

A range rule puts the values that *are* boundaries into parts of their own. So a value that fills half of
the partition is alone in its bucket after the first pass, the next key column divides it from there, and
each pass takes at least one value out of every range: it always ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from blfs_mr.arrow.blocks import decode_payload, encode_table
from blfs_mr.arrow.dividing import ByHash, Rule, divide, places, searchable
from blfs_mr.arrow.hashing import combined
from blfs_mr.taskrun.scratch import ScratchRun

BUCKETS = 16
"""Parts of one pass. Each is an open file with a buffer of 1 MiB."""

_BOUNDARIES = BUCKETS // 2 - 1
"""A range rule has one part before, between and behind boundaries, one for each of them, and one for
nulls."""

_SAMPLED = 64
"""Rows of each table that show how to divide a bucket further."""

GATHERED = 8 << 20
"""Bytes of small batches that are divided together, where memory allows."""


class BucketRule(Rule, Protocol):
    """A rule that can be made narrower for the rows of one of its parts."""

    def narrower(self, part: int, sample: pa.Table) -> BucketRule | None:
        """The rule for the rows of ``part``, some of which are ``sample``; None if nothing divides them."""


@dataclass(slots=True)
class Bucket:
    """The rows of one part: encoded on scratch, and a sample of their keys."""

    run: ScratchRun
    samples: list[pa.Table]


class HashBuckets(ByHash):
    """Buckets by hash, for rows that need no order."""

    def __init__(self, keys: Sequence[str], level: int = 1) -> None:
        super().__init__(keys, BUCKETS, level)

    def narrower(self, part: int, sample: pa.Table) -> BucketRule | None:
        """The next bits of the hash."""
        distinct = sample.group_by(list(self._keys), use_threads=False).aggregate([])
        return HashBuckets(self._keys, self.level + 1) if distinct.num_rows > 1 else None


class RangeBuckets:
    """Buckets by the values of key number ``index``, where all keys before it are equal."""

    parts = BUCKETS

    def __init__(self, keys: Sequence[str], index: int, boundaries: pa.Array) -> None:
        self._keys, self._index, self._boundaries = keys, index, boundaries

    @classmethod
    def of_sample(cls, keys: Sequence[str], sample: pa.Table, index: int = 0) -> RangeBuckets:
        """Ranges with about as many rows of ``sample`` in each, as far as key number ``index`` has values."""
        column = searchable(combined(sample[keys[index]]))
        ordered = column.take(pc.sort_indices(column)).drop_null()
        if pa.types.is_floating(ordered.type):
            ordered = ordered.filter(pc.invert(pc.is_nan(ordered)))
        chosen = [len(ordered) * (at + 1) // (_BOUNDARIES + 1) for at in range(_BOUNDARIES) if len(ordered)]
        return cls(keys, index, pc.unique(ordered.take(pa.array(chosen, pa.int64()))))

    @property
    def has_boundaries(self) -> bool:
        """Whether the sample held a value to divide by."""
        return len(self._boundaries) > 0

    def numbers(self, table: pa.Table) -> pa.Array:
        """Twice the place, and one more for a boundary itself."""
        column = searchable(combined(table[self._keys[self._index]]))
        before = places(self._boundaries, column, "left", BUCKETS // 2)
        return pc.add(before, places(self._boundaries, column, "right", BUCKETS // 2 - 1))

    def narrower(self, part: int, sample: pa.Table) -> BucketRule | None:
        """Other boundaries; or the next key for the rows that are equal in this one."""
        index = self._index + part % 2
        if index == len(self._keys):
            return None
        rule = RangeBuckets.of_sample(self._keys, sample, index)
        # No boundaries come of nulls, which the rule divides from the rest, or of NaNs, which it cannot.
        divides = rule.has_boundaries or sample[self._keys[index]].null_count
        return rule if divides else None


class Buckets:
    """Divides tables by ``rule`` into one bucket for each part, to be of at most ``capacity`` bytes."""

    def __init__(
        self, rule: BucketRule, keys: Sequence[str], folder: ScratchFolder, block_size: int, capacity: int
    ) -> None:
        self.bytes_written = 0
        self._rule, self._keys = rule, list(keys)
        self._folder, self._block_size, self._capacity = folder, block_size, capacity
        self._buckets: dict[int, Bucket] = {}

    def add(self, payloads: Iterable[bytes]) -> None:
        """Divide the rows of encoded batches. Raises BadBlock, KeyNotSupported, or OutputError."""
        for table in gathered(payloads, min(GATHERED, self._capacity // 2)):
            for part, rows in divide(table, self._rule):
                self._append(part, rows)

    def tables(self) -> Iterator[list[bytes]]:
        """The encoded rows of one bucket after the other, none above the capacity that can be divided."""
        for bucket in self._buckets.values():
            bucket.run.finish()
        for part in sorted(self._buckets):
            bucket = self._buckets.pop(part)
            rule = None
            if bucket.run.size > self._capacity:
                rule = self._rule.narrower(part, pa.concat_tables(bucket.samples))
            if rule is None:
                yield list(bucket.run.payloads())
                continue
            divided = Buckets(rule, self._keys, self._folder, self._block_size, self._capacity)
            divided.add(bucket.run.payloads())
            yield from divided.tables()
            self.bytes_written += divided.bytes_written

    def _append(self, part: int, rows: pa.Table) -> None:
        bucket = self._buckets.get(part)
        if bucket is None:
            bucket = self._buckets[part] = Bucket(self._folder.new_run(), [])
        for block in encode_table(rows, self._block_size, ""):
            bucket.run.append(block.payload, block.records)
            self.bytes_written += len(block.payload)
        bucket.samples.append(sample_of(rows, self._keys))


def gathered(payloads: Iterable[bytes], size_wanted: int) -> Iterator[pa.Table]:
    """Batches as tables of about ``size_wanted`` bytes."""
    batches: list[pa.RecordBatch] = []
    size = 0
    for payload in payloads:
        batches.append(decode_payload(payload))
        size += batches[-1].nbytes
        if size >= size_wanted:
            yield pa.Table.from_batches(batches)
            batches, size = [], 0
    if batches:
        yield pa.Table.from_batches(batches)


def sample_of(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Some rows of ``table`` at even distances, their keys only; a copy, which keeps no other row alive."""
    rows = table.num_rows
    step = max(rows // _SAMPLED, 1)
    return table.select(list(keys)).take(pa.array(range(step // 2, rows, step), pa.int64()))


class ScratchFolder:
    """A node's private folder for one attempt."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._runs = 0

    def new_run(self) -> ScratchRun:
        """A run of its own name. Raises OutputError."""
        self._runs += 1
        return ScratchRun(os.path.join(self._path, f"rows-{self._runs:06d}"))
