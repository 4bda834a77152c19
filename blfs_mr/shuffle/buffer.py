"""The mapper's buffer: pairs in as the user's map yields them, sorted partitions out when memory is used up.

Two ways of holding pairs, since data comes in two kinds. *Groups* (a dict of lists) suits keys that repeat: a
pair costs one append, the sort sees each key once, and a combiner can shrink the buffer while it fills.
*Pairs* (a plain list) suits keys that are mostly unique, for which a list each would double the cost. The
first records decide, and each spill decides again for the next.

All loops over pairs stand in ``blfs_mr.shuffle.holding``; this module decides when to spill.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any

from blfs_mr.shuffle.batch import Batch, Order
from blfs_mr.shuffle.columns import check_values
from blfs_mr.shuffle.combine import Combine, Combiner, refuse_unless_pair
from blfs_mr.shuffle.holding import Groups, Holding, Pairs
from blfs_mr.shuffle.keys import check_keys
from blfs_mr.shuffle.memory import FIRST_SAMPLE, SAMPLE, MemoryGauge, mean_size
from blfs_mr.shuffle.partition import Partitioner

DECIDING_RECORDS = 32_768
"""Records after which the first fill decides how to hold the rest."""

UNIQUE_SO_FAR = 0.95
"""Share of distinct keys among those first records above which the rest is held as pairs. High, since the
share falls as more records come: of 300,000 random keys, 95 % are distinct here, 30 % after a million."""

MOSTLY_UNIQUE = 0.6
"""The same for a whole spill, which decides for the next one. Measured: here both take equal time."""

COMBINE_RECORDS = 1 << 18
"""Records between two rounds of the combiner while filling: enough for many values per key."""

COMBINE_GROWTH = 16
"""The next round waits until the buffer holds this many times what the last one left: a combiner that does
not reduce is soon called no more while filling."""

COMBINED_SAMPLE = 4 * SAMPLE
"""Combined values that are sized after a round: a key may have several, and they differ more than a map's."""


class MapBuffer:
    """Holds about ``memory`` bytes of pairs, and gives them out by partition in key order.

    ``resident()`` returns the resident bytes of this process (a few microseconds; called every some thousand
    records). ``partition`` and ``combine`` are the job's own functions, or None. ``combiner`` holds the
    counts of the combiner; ``records`` counts the pairs taken, and is
    complete once the buffer is drained.

    Exceptions that the iterator of pairs or a function of the user's raises pass through unchanged; the
    buffer is of no use afterwards.
    """

    def __init__(
        self,
        partitions: int,
        *,
        memory: int,
        resident: Callable[[], int],
        partition: Callable[[Any, int], int] | None = None,
        combine: Combine | None = None,
        order: Order = "key",
    ) -> None:
        self.combiner = Combiner(combine) if combine is not None else None
        self.records = 0
        self._partitioner = Partitioner(partitions, partition)
        self._order: Order = order
        self._gauge = MemoryGauge(memory, resident)
        self._held: Holding = Groups()
        self._decided = False
        self._sample = FIRST_SAMPLE
        self._combine_at = COMBINE_RECORDS

    @property
    def fault(self) -> tuple[str, Any] | None:
        """Which of ``partition`` and ``combine`` raised, and the key it was given; None if neither did."""
        if self._partitioner.refused:
            return "partition", self._partitioner.refused[0]
        if self.combiner is not None and self.combiner.running:
            return "combine", self.combiner.key
        return None

    def fill(self, pairs: Iterator[tuple[Any, Any]]) -> bool:
        """Take pairs until there are no more (False) or the buffer must be drained (True).

        Raises :class:`UserCodeError` for what is no pair, :class:`KeyNotSupported` and
        :class:`ValueNotSupported` for what cannot be carried, as far as it is seen while filling.
        """
        if not self._held.records:
            self._gauge.start_fill()
        while sample := list(islice(pairs, self._sample)):
            self._take_stretch(sample, pairs)
            if not self._decided and self._held.records >= DECIDING_RECORDS:
                self._decide()
            due = self._spill_is_due()
            if due or self._held.records >= self._combine_at:
                due = not self._combined_to_half() and due
            if due:
                return True
        return False

    def drain(self) -> Iterator[tuple[int, Batch]]:
        """All that is held, as (partition, batch): partitions rising, the batches of each in key order.

        Batches hold at most ``BATCH_RECORDS`` records; the buffer empties as they are taken, and must be
        drained to the end. Raises :class:`KeyNotSupported`, :class:`KeysNotComparable` and, in key-and-value
        order, :class:`ValueNotSupported`.
        """
        held = self._held
        yield from held.drain(self._partitioner, self.combiner, self._order)
        self.records += held.taken
        self._decided = held.taken >= DECIDING_RECORDS
        self._held = Pairs() if self._decided and held.distinct_share > MOSTLY_UNIQUE else Groups()
        self._combine_at = COMBINE_RECORDS

    def _take_stretch(self, sample: list[Any], pairs: Iterator[tuple[Any, Any]]) -> None:
        """Hold ``sample``, and as many pairs after it as its sizes say can be taken without another look.

        The sample is checked strictly: the tight loop takes a string of two characters for a pair, and what
        cannot be carried is best seen close to the record that it comes from, instead of at the spill.
        """
        for pair in sample:
            refuse_unless_pair(pair, "map")
        keys = [key for key, _ in sample]
        values = [value for _, value in sample]
        check_keys(keys)
        check_values(Batch(keys, None, values))
        key_size, value_size = mean_size(keys), mean_size(values)

        held = self._held
        records, distinct = held.records, held.distinct
        stretch = self._gauge.stretch(held.cost(1, 1, key_size, value_size))
        held.take(sample, len(sample))
        held.take(islice(pairs, stretch), stretch)
        self._gauge.add(held.cost(held.records - records, held.distinct - distinct, key_size, value_size))
        self._sample = min(SAMPLE, 1 + stretch // 16)

    def _spill_is_due(self) -> bool:
        return self._gauge.spill_is_due(self._held.drain_reserve(self._partitioner))

    def _decide(self) -> None:
        self._decided = True
        held = self._held
        if isinstance(held, Groups) and held.distinct > UNIQUE_SO_FAR * held.records:
            self._held = Pairs(held.pairs())

    def _combined_to_half(self) -> bool:
        """Combine what is held, where that is possible; whether half of the memory is free then."""
        held = self._held
        if self.combiner is None or not isinstance(held, Groups):
            return False
        held.combine(self.combiner)
        self._combine_at = max(COMBINE_RECORDS, COMBINE_GROWTH * held.records)
        keys = list(islice(held.groups, SAMPLE))
        values = list(islice(chain.from_iterable(map(held.groups.__getitem__, keys)), COMBINED_SAMPLE))
        self._gauge.restart_fill(held.cost(held.records, held.distinct, mean_size(keys), mean_size(values)))
        return self._gauge.half_free
