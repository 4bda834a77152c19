"""How much memory a buffer holds, measured twice, so that it spills before its budget is passed.

The growth of the process' resident memory is the truth, while memory is fresh. After the first spill the
allocator serves a new fill from what the last one freed, growth stays near zero, and only counting tells. So:

- Bytes are **counted** from samples: a few records of each stretch are sized with ``sys.getsizeof`` (an
  object met twice in a sample counts once: the 1s of a word count cost no memory), plus what containers cost.
- The first fill **calibrates** the count by the growth it really caused: fragmentation, the user's own state.
- **Growth rules over the count** at any time: a spill is due when the process has outgrown the budget and
  this fill is part of the cause. A fill that found all its memory in freed arenas is not, so arenas that
  fragmentation keeps alive cannot make a buffer spill at every record.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from blfs_mr.shuffle.batch import Batch

FIRST_SAMPLE = 8
"""Records of the very first sample: few, for each may be megabytes large."""

SAMPLE = 64
"""Records of later samples; about 15 microseconds of sizing for each stretch."""

LONGEST_STRETCH = 32_768
"""Records between two looks at memory: some milliseconds of work, beside which the look costs nothing."""

STRETCHES = 64
"""A budget is filled in no fewer stretches than this, so that it is passed by a 64th at most."""

CAUSE_SHARE = 16
"""A fill is part of the cause of outgrowth when it grew the process by a 16th of the budget."""

MAX_CALIBRATION = 2.0
"""A first fill that seems to take more than twice its count shows other growth of the process, not ours."""

_SLOT = 8
"""Bytes of a reference in a list."""

_SIZED_ITEMS = 32
"""Items of a container that are sized; the rest is taken to be like them."""


class MemoryGauge:
    """Counts the bytes of one buffer against ``budget``; ``resident()`` gives the process' resident bytes."""

    def __init__(self, budget: int, resident: Callable[[], int]) -> None:
        self._budget = budget
        self._resident = resident
        self._origin = self._level = resident()
        self._calibration = 1.0
        self._calibrated = False
        self._combined = False
        self._held = 0.0
        self._size = 0.0

    def start_fill(self) -> None:
        """The buffer is empty."""
        self._level = self._resident()
        self._held = 0.0
        self._combined = False

    def restart_fill(self, held: float) -> None:
        """The buffer was combined, and now holds ``held`` bytes by :func:`mean_size`."""
        self._level = self._resident()
        self._held = held
        self._combined = True

    def add(self, size: float) -> None:
        """The buffer took ``size`` bytes more."""
        self._held += size

    @property
    def half_free(self) -> bool:
        return self._held * self._calibration * 2 < self._budget

    def stretch(self, record_size: float) -> int:
        """How many records of ``record_size`` bytes to take before looking at memory again."""
        return max(1, min(LONGEST_STRETCH, int(self._budget / STRETCHES / max(record_size, 1.0))))

    def spill_is_due(self, reserve: float) -> bool:
        """Whether the budget is used up, with ``reserve`` bytes kept for what draining will need."""
        held = self._held + reserve
        resident = self._resident()
        growth = resident - self._level
        outgrown = (
            resident + reserve - self._origin >= self._budget
            and growth + reserve >= self._budget / CAUSE_SHARE
        )
        due = outgrown or held * self._calibration >= self._budget
        if due and not self._calibrated:
            self._calibrated = True
            if not self._combined:
                self._calibration = min(max((growth + reserve) / held, 1.0), MAX_CALIBRATION)
        return due


def mean_size(items: Iterable[Any]) -> float:
    """The mean bytes of ``items``, in which an object that stands there several times is counted once."""
    met: set[int] = set()
    total = count = 0
    for item in items:
        count += 1
        if id(item) not in met:
            met.add(id(item))
            total += _size(item)
    return total / count if count else 0.0


def batch_size(batch: Batch) -> int:
    """About how many bytes ``batch`` occupies, from a sample of its keys and values."""
    keys, values = batch.keys, batch.values
    key_size = mean_size(keys[:: len(keys) // SAMPLE + 1])
    value_size = mean_size(values[:: len(values) // SAMPLE + 1])
    counts = 0 if batch.counts is None else len(batch.counts)
    return int(len(keys) * (key_size + _SLOT) + len(values) * (value_size + _SLOT)) + counts * _SLOT


def _size(item: Any) -> int:
    """Bytes of an object as the allocator rounds them, with what it holds."""
    kind = type(item)
    size = (sys.getsizeof(item) + 15) & ~15
    if kind is tuple or kind is list:
        return size + _sized(item[:_SIZED_ITEMS], len(item))
    if kind is dict:
        pairs = [part for pair, _ in zip(item.items(), range(_SIZED_ITEMS), strict=False) for part in pair]
        return size + _sized(pairs, 2 * len(item))
    return size


def _sized(items: Iterable[Any], count: int) -> int:
    return int(mean_size(items) * count)
