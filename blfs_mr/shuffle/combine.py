"""Running the user's combiner over grouped values.

A combiner may be called any number of times for a key, or never: not for a key with a single value, and not
where it would gain nothing. What it yields must be fit to be combined, or reduced, again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from blfs_mr.errors import UserCodeError
from blfs_mr.shuffle.batch import Batch, Order, Run
from blfs_mr.shuffle.keys import check_keys, shown
from blfs_mr.shuffle.order import refuse

Combine = Callable[[Any, Iterator[Any]], Iterable[tuple[Any, Any]] | None]


class Combiner:
    """The user's ``combine(key, values)`` with its counts.

    Exceptions of the user's pass through unchanged; ``running`` tells that one came from here, and ``key``
    the key that the user's code was given. ``values_in`` and ``values_out`` count over all calls.
    """

    def __init__(self, combine: Combine) -> None:
        self._combine = combine
        self.key: Any = None
        self.running = False
        self.values_in = 0
        self.values_out = 0

    def combine_groups(self, groups: dict[Any, list[Any]]) -> None:
        """Combine the values of each key in place; what is yielded under another key goes there."""
        moved: list[tuple[Any, Any]] = []
        for key, values in groups.items():
            if len(values) > 1:
                values[:] = self._one(key, values, moved)
        for key in [key for key, values in groups.items() if not values]:
            del groups[key]  # its values were all dropped, or moved
        check_keys([key for key, _ in moved])
        for key, value in moved:
            groups.setdefault(key, []).append(value)

    def combine_batch(self, batch: Batch, order: Order = "key") -> Batch:
        """Combine within a sorted batch whose keys are distinct.

        A key for which the user yields another one keeps its values: here the other may be of another
        partition, or have passed by.
        """
        if batch.counts is None:
            return batch
        keys: list[Any] = []
        columns: list[list[Any]] = []
        bounds = batch.bounds()
        for key, start, stop in zip(batch.keys, bounds, bounds[1:], strict=False):
            values = batch.values[start:stop]
            if len(values) > 1:
                moved: list[tuple[Any, Any]] = []
                combined = self._one(key, values, moved)
                if not moved:
                    values = combined
            if values:
                keys.append(key)
                columns.append(values)
        if order == "key-and-value":
            for key, values in zip(keys, columns, strict=True):
                sort_values(key, values)
        counts = list(map(len, columns))
        return Batch(keys, counts, list(chain.from_iterable(columns)))

    def _one(self, key: Any, values: list[Any], moved: list[tuple[Any, Any]]) -> list[Any]:
        self.key, self.running = key, True
        kept: list[Any] = []
        pair: Any = (None, None)
        others = len(moved)
        try:
            combined = self._combine(key, iter(values))
            if combined is None:
                raise UserCodeError("combine must yield (key, value) pairs; it returned None")
            for pair in combined:
                given, value = pair
                if given is key or given == key:
                    kept.append(value)
                else:
                    moved.append((given, value))
        except (TypeError, ValueError):
            refuse_unless_pair(pair, "combine")
            raise
        self.running = False
        self.values_in += len(values)
        self.values_out += len(kept) + len(moved) - others
        return kept


def combine_run(run: Run, combiner: Combiner, order: Order = "key") -> Run:
    """``run`` with the values of keys that stand in one batch combined, for the passes of a long merge."""
    return (combiner.combine_batch(batch.grouped(), order) for batch in run)


def sort_values(key: Any, values: list[Any]) -> None:
    """Sort in place. Raises :class:`ValueNotSupported`, naming two values that have no order."""
    try:
        values.sort()
    except TypeError:
        refuse([(key, value) for value in values], paired=True)


def refuse_unless_pair(pair: Any, method: str) -> None:
    """Raise :class:`UserCodeError` if ``pair``, which ``method`` yielded, is no (key, value) pair."""
    if isinstance(pair, (tuple, list)) and len(pair) == 2:
        return
    raise UserCodeError(f"{method} must yield (key, value) pairs, tuples of two; got {shown(pair)}")
