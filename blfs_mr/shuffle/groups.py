"""Grouping: a sorted run as (key, values), the way the user's reduce wants it.

Values are always an iterator, never a list: a key with more values than memory holds is streamed, batch by
batch. All other groups of a batch are handed out by built-ins alone: nearly all end within their batch, and
a generator's step for each of a million small groups would cost as much as the user's own code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from blfs_mr.shuffle.batch import Batch, Run

Group = tuple[Any, Iterator[Any]]


class GroupCursor:
    """Iterates over each key of ``run`` once, with an iterator over all its values; remembers where it is.

    The values of one group are good until the next group is asked for; what was not consumed is skipped then.
    """

    __slots__ = ("_before", "_keys", "_left", "_run")

    def __init__(self, run: Run) -> None:
        self._run = run
        self._keys: list[Any] = []
        self._left = iter(self._keys)
        self._before = 0

    def __iter__(self) -> Iterator[Group]:
        return chain.from_iterable(self._stretches())

    @property
    def current(self) -> Any:
        """The key handed out last; None before the first."""
        handed_out = self._handed_out()
        return self._keys[handed_out - 1] if handed_out else None

    @property
    def count(self) -> int:
        """How many groups were handed out."""
        return self._before + self._handed_out()

    def _handed_out(self) -> int:
        # A list's iterator says how many it has left (PEP 424): so nothing is counted group by group.
        return len(self._keys) - self._left.__length_hint__()  # type: ignore[attr-defined, no-any-return]

    def _stretches(self) -> Iterator[Iterator[Group]]:
        stream = _Stream(self._run)
        while stream.batch is not None:
            batch = stream.batch.grouped()
            keys, values = batch.keys, batch.values
            last, inner = keys[-1], keys[:-1]
            if batch.counts is None:
                begun = len(values) - 1
                yield self._handing_out(inner, map(iter, zip(values)))
            else:
                bounds = batch.bounds()
                begun = bounds[-2]
                stretches = map(slice, bounds, islice(bounds, 1, None))
                yield self._handing_out(inner, map(iter, map(values.__getitem__, stretches)))
                del bounds, stretches
            # The last group of a batch may go on in the next ones, which are loaded once this one is let go.
            begun_values = values[begun:]
            del batch, keys, values, inner
            stream.advance()
            if stream.batch is None or stream.batch.keys[0] != last:
                yield self._handing_out([last], (iter(begun_values),))
            else:
                rest = stream.values_of(last, begun_values)
                yield self._handing_out([last], (rest,))
                for _ in rest:
                    pass

    def _handing_out(self, keys: list[Any], values: Iterable[Iterator[Any]]) -> Iterator[Group]:
        self._before = self.count
        self._keys, self._left = keys, iter(keys)
        return zip(self._left, values, strict=False)


class _Stream:
    """A run with its next batch in sight; ``batch`` is None at the end, and never without keys."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.batch: Batch | None = None
        self.advance()

    def advance(self) -> None:
        self.batch = None
        self.batch = next((batch for batch in self._run if batch.keys), None)

    def values_of(self, key: Any, first: list[Any]) -> Iterator[Any]:
        """``first``, and the values of ``key`` at the beginning of the following batches."""
        yield from first
        first.clear()  # a long group must not keep its beginning in memory
        while self.batch is not None and self.batch.keys[0] == key:
            yield from self._leading_values(key)
            if self.batch is None:
                self.advance()

    def _leading_values(self, key: Any) -> list[Any]:
        """Take the values of ``key`` out of the batch; it is None afterwards if there was nothing else."""
        batch = self.batch
        assert batch is not None
        if batch.keys[-1] == key:
            self.batch = None
            return batch.values
        through = next(index for index, other in enumerate(batch.keys) if other != key)
        edge = through if batch.counts is None else sum(batch.counts[:through])
        self.batch = batch.cut(edge, len(batch))
        return batch.values[:edge]
