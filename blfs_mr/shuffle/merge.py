"""Merging sorted runs in windows, by Python's own sort.

A heap compares and moves one record at a time, through the interpreter. Here each run shows one batch; the
smallest of their last keys is a boundary below which nothing new can appear; what all batches have up to it
is sorted as one list. Timsort finds the runs in it and merges them in C. Each round uses up at least one
batch, so memory is one batch per run, whatever the runs' sizes; how many runs are open is the caller's
choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Any

from blfs_mr.shuffle.batch import Batch, Order, Run
from blfs_mr.shuffle.order import argsort, smallest, upper_bound


def merge_runs(runs: Iterable[Run], order: Order = "key") -> Run:
    """One run of all records of ``runs``, each of which is sorted by ``order``.

    Raises :class:`KeysNotComparable` when keys of different runs have no order between them, and in
    key-and-value order :class:`ValueNotSupported` when values of a key have none.
    """
    if order == "key":
        return _merged(runs, paired=False)
    return map(_unpaired, _merged([map(_paired, run) for run in runs], paired=True))


def sort_batches(batches: Sequence[Batch], order: Order = "key") -> Batch:
    """One batch of all records of ``batches``, which are not empty, each sorted by ``order``.

    What :func:`merge_runs` gives for many short runs, without its rounds. Raises as that does.
    """
    if order == "key":
        return _sorted_together(list(batches), paired=False)
    return _unpaired(_sorted_together(list(map(_paired, batches)), paired=True))


def runs_to_merge_first(sizes: Sequence[int], fan_in: int) -> list[int]:
    """Which runs to merge into one now, if more than ``fan_in`` are too many to merge at once.

    ``sizes`` are the runs' sizes; the answer is positions in it, empty when one merge of all will do. Call it
    again with the new run in place of those. The first merge takes just so many that all later ones are full,
    and each takes the smallest, so the least is written twice (as an optimal merge tree, Knuth vol. 3,
    5.4.9).
    """
    if fan_in < 2:
        raise ValueError("a merge takes at least two runs")
    if len(sizes) <= fan_in:
        return []
    surplus = (len(sizes) - 1) % (fan_in - 1)
    count = surplus + 1 if surplus else fan_in
    return sorted(range(len(sizes)), key=sizes.__getitem__)[:count]


_NOTHING = Batch([], None, [])


class _Cursor:
    """A run's present batch, and how far it is used up."""

    __slots__ = ("_batch", "_bounds", "_paired", "_rest", "_used")

    def __init__(self, run: Run, paired: bool) -> None:
        self._rest = run
        self._paired = paired
        self._used = 0
        self._batch = _NOTHING
        self._bounds: list[int] | None = None

    def load(self) -> bool:
        """Have a batch with keys in it; False at the end of the run."""
        while self._used == len(self._batch.keys):
            # Let go of what is used up before the next is made: only one of them may take memory.
            self._batch, self._used = _NOTHING, 0
            batch = next(self._rest, None)
            if batch is None:
                return False
            self._batch = batch
            self._bounds = None if batch.counts is None else batch.bounds()
            self._used = 0
        return True

    @property
    def last_key(self) -> Any:
        return self._batch.keys[-1]

    def take_through(self, boundary: Any) -> Batch:
        """The next records whose keys are at or below ``boundary``."""
        stop = upper_bound(self._batch.keys, boundary, self._used, paired=self._paired)
        return self._take(stop)

    def rest(self) -> Run:
        """Everything that is left, as it is."""
        yield self._take(len(self._batch.keys))
        yield from self._rest

    def _take(self, stop: int) -> Batch:
        start, self._used = self._used, stop
        batch, bounds = self._batch, self._bounds
        if start == 0 and stop == len(batch.keys):
            return batch
        if batch.counts is None or bounds is None:
            return Batch(batch.keys[start:stop], None, batch.values[start:stop])
        return Batch(
            batch.keys[start:stop], batch.counts[start:stop], batch.values[bounds[start] : bounds[stop]]
        )


def _merged(runs: Iterable[Run], *, paired: bool) -> Run:
    cursors = [_Cursor(run, paired) for run in runs]
    while True:
        cursors = [cursor for cursor in cursors if cursor.load()]
        if len(cursors) <= 1:
            break
        boundary = smallest([cursor.last_key for cursor in cursors], paired=paired)
        # Kept under no name: what is yielded must be free before the next batches are loaded.
        yield _sorted_together(_taken(cursors, boundary), paired)
    if cursors:
        yield from cursors[0].rest()


def _taken(cursors: list[_Cursor], boundary: Any) -> list[Batch]:
    return [batch for cursor in cursors if (batch := cursor.take_through(boundary)).keys]


def _sorted_together(batches: list[Batch], paired: bool) -> Batch:
    if len(batches) == 1:
        return batches[0]
    keys = list(chain.from_iterable(batch.keys for batch in batches))
    order = argsort(keys, paired=paired)
    ordered = list(map(keys.__getitem__, order))
    if all(batch.counts is None for batch in batches):
        values = list(chain.from_iterable(batch.values for batch in batches))
        return Batch(ordered, None, list(map(values.__getitem__, order)))
    lists = [values for batch in batches for values in _value_lists(batch)]
    columns = list(map(lists.__getitem__, order))
    return Batch(ordered, list(map(len, columns)), list(chain.from_iterable(columns)))


def _value_lists(batch: Batch) -> Iterator[list[Any]]:
    bounds = batch.bounds()
    return (batch.values[start:stop] for start, stop in pairwise(bounds))


def _paired(batch: Batch) -> Batch:
    """Sort elements that carry the value along; tuples of key and value are ordered by key, then value."""
    keys = batch.keys
    if batch.counts is not None:
        keys = [key for key, count in zip(keys, batch.counts, strict=True) for _ in range(count)]
    return Batch(list(zip(keys, batch.values, strict=True)), None, batch.values)


def _unpaired(batch: Batch) -> Batch:
    return Batch([key for key, _ in batch.keys], None, batch.values)
