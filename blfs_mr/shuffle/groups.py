"""Grouping: a sorted run as (key, values), the way the user's reduce wants it.

Values are always an iterator, never a list: a key with more values than memory holds is streamed, batch by
batch. A group that ends within its batch, as nearly all do, is an iterator over a list and costs no
generator.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from blfs_mr.shuffle.batch import Batch, Run


def groups(run: Run) -> Iterator[tuple[Any, Iterator[Any]]]:
    """Each key of ``run`` once, with an iterator over all its values.

    The values of one group are good until the next group is asked for; what was not consumed is skipped then.
    """
    stream = _Stream(run)
    while stream.batch is not None:
        batch = stream.batch.grouped()
        keys, values = batch.keys, batch.values
        if batch.counts is None:
            for key, value in zip(keys[:-1], values, strict=False):
                yield key, iter((value,))
            begun = len(values) - 1
        else:
            bounds = batch.bounds()
            for key, start, stop in zip(keys[:-1], bounds, bounds[1:], strict=False):
                yield key, iter(values[start:stop])
            begun = bounds[-2]
        # The last group of a batch may go on in the next ones. Those are loaded once this batch is let go.
        last, begun_values = keys[-1], values[begun:]
        del batch, keys, values
        stream.advance()
        if stream.batch is None or stream.batch.keys[0] != last:
            yield last, iter(begun_values)
        else:
            rest = stream.values_of(last, begun_values)
            yield last, rest
            for _ in rest:
                pass


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
