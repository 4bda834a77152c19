"""The unit in which records move: a batch of sorted records, stored by column.

Columns, because Python's built-ins (``sorted``, ``map``, ``chain``, slicing) and msgpack work through a list
of keys or of values at C speed, while a tuple per record would cost 80 bytes and a trip through the
interpreter.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate, islice, pairwise
from operator import eq
from typing import Any, Literal

from blfs_mr.values import dataclass

Order = Literal["key", "key-and-value"]
"""What a run is sorted by. In ``key-and-value`` order the values of each key are sorted too."""

BATCH_RECORDS = 65_536
"""Records in a batch that a buffer gives out: enough to make the cost per batch vanish, few enough that the
lists of a batch (16 bytes a record) are nothing beside the buffer that is being drained."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records sorted by key: ``counts[i]`` consecutive ``values`` belong to ``keys[i]``.

    ``counts`` is None where every key has exactly one value. Each count is at least 1.
    """

    keys: list[Any]
    counts: list[int] | None
    values: list[Any]

    def __len__(self) -> int:
        """The number of records."""
        return len(self.values)

    def bounds(self) -> list[int]:
        """``len(keys) + 1`` offsets: the values of ``keys[i]`` are ``values[bounds[i]:bounds[i + 1]]``."""
        if self.counts is None:
            return list(range(len(self.keys) + 1))
        return [0, *accumulate(self.counts)]

    def cut(self, start: int, stop: int) -> Batch:
        """The records from ``start`` up to ``stop``; a key that the cut divides stands on both sides."""
        if start <= 0 and stop >= len(self.values):
            return self
        if self.counts is None:
            return Batch(self.keys[start:stop], None, self.values[start:stop])
        return self._cut_within(self.bounds(), start, stop)

    def grouped(self) -> Batch:
        """The same records with neighbouring equal keys as one key."""
        keys = self.keys
        repeats = list(map(eq, keys, islice(keys, 1, None)))
        if not any(repeats):
            return self
        firsts = [0, *(index for index, repeated in enumerate(repeats, 1) if not repeated)]
        bounds = self.bounds()
        edges = [*map(bounds.__getitem__, firsts), bounds[-1]]
        counts = [after - before for before, after in pairwise(edges)]
        return Batch([keys[index] for index in firsts], counts, self.values)

    def pieces(self, records: int) -> Iterator[Batch]:
        """The batch in consecutive pieces of at most ``records`` records; none if it is empty."""
        if len(self.values) <= records:
            if self.values:
                yield self
            return
        bounds = self.bounds() if self.counts is not None else None
        for start in range(0, len(self.values), records):
            stop = min(start + records, len(self.values))
            yield self.cut(start, stop) if bounds is None else self._cut_within(bounds, start, stop)

    def _cut_within(self, bounds: list[int], start: int, stop: int) -> Batch:
        first = bisect_right(bounds, start) - 1
        last = bisect_right(bounds, stop - 1) - 1
        edges = [start, *bounds[first + 1 : last + 1], stop]
        counts = [after - before for before, after in pairwise(edges)]
        return Batch(self.keys[first : last + 1], counts, self.values[start:stop])


Run = Iterator[Batch]
