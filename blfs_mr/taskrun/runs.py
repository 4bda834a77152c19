"""Sorted runs within a memory budget: kept encoded in memory, merged to scratch beyond it, merged at the end.

Two things take memory. What is held waits *encoded*. While runs are merged, each shows one block *decoded*,
as Python objects, several times its encoded size; how many times is measured as blocks are decoded. Each gets
a share of the budget. Where so many runs are held that one block of each would be too much, some are merged
into one on scratch first, in as many passes as it takes.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from blfs_mr.errors import BadBlock, InternalError
from blfs_mr.shuffle import (
    Batch,
    Combiner,
    Order,
    Run,
    batch_size,
    combine_run,
    decode_batch,
    encode_in_blocks,
    merge_runs,
    runs_to_merge_first,
    sort_batches,
)
from blfs_mr.shuffle.compression import Compress
from blfs_mr.spill.format import MAX_PAYLOAD
from blfs_mr.taskrun.scratch import ScratchRun

HELD_SHARE = 0.6
"""Of the budget, for runs that wait in memory."""

DECODED_SHARE = 0.3
"""Of the budget, for the decoded blocks of runs that are being merged. The rest is for what one merge step
puts together from them, for writing, and for the error of both estimates."""

FIRST_EXPANSION = 6.0
"""How many times its encoded size a block takes when decoded, until one is measured: short strings and
numbers."""

SMALLEST_MEASURED = 1 << 10
"""Bytes that a measured block counts for at least: what is there in any case makes tiny ones seem to grow
most."""

SMALLEST_BLOCK, LARGEST_BLOCK = 8 << 10, 256 << 10
"""Bounds for blocks of scratch runs: below, the cost per block shows; above, nothing is gained."""

WIDTH = 64
"""Runs that should fit into one merge; the blocks of scratch runs are cut for it. Each holds about half the
budget, so one pass is enough for thirty times the budget."""

MOST_OPEN = 256
"""Runs on scratch merged at once at most: each is an open file, of which a process has 1024 as a rule."""

COMBINER_GAIN = 0.9
"""A combiner that leaves more than this share of values is not called in further merges."""


@dataclass(slots=True)
class HeldRun:
    """A run that waits: in ``payloads``, or on ``scratch``. ``largest`` is the longest payload's length."""

    size: int
    records: int
    largest: int
    payloads: deque[bytes]
    scratch: ScratchRun | None = None

    @classmethod
    def in_memory(cls, payloads: Iterable[bytes], records: int) -> Self:
        """A run in memory; ``payloads`` are not empty."""
        kept = deque(payloads)
        sizes = [len(payload) for payload in kept]
        return cls(sum(sizes), records, max(sizes), kept)

    @classmethod
    def on_scratch(cls, run: ScratchRun) -> Self:
        """A run on scratch, which is finished."""
        return cls(run.size, run.records, run.largest, deque(), run)

    def take(self) -> Iterator[bytes]:
        """Its payloads, each let go once it is taken."""
        if self.scratch is not None:
            yield from self.scratch.payloads()
        while self.payloads:
            yield self.payloads.popleft()


class RunStore:
    """Takes the runs of one partition, and gives them out as one.

    ``budget`` are the bytes that all this may occupy. The job's ``combiner`` is called where runs are merged
    to scratch, to make those smaller; not in the last merge, where it would do ``reduce``'s work a second
    time.
    """

    def __init__(
        self,
        scratch: str,
        *,
        budget: int,
        block_size: int,
        order: Order,
        combiner: Combiner | None = None,
        compress: Compress | None = None,
    ) -> None:
        self.combiner = combiner
        self.bytes_overflowed = 0
        self._folder, self._order, self._compress = scratch, order, compress
        self._held_budget = int(budget * HELD_SHARE)
        self._decoded_budget = int(budget * DECODED_SHARE)
        self._block_size = block_size
        self._expansion = 0.0
        self._in_memory: list[HeldRun] = []
        self._on_scratch: list[HeldRun] = []
        self._held = self._decoded = 0
        self._files = self._looks = 0

    @property
    def room(self) -> int:
        """Bytes of further runs that can be held in memory now."""
        return self._held_budget - self._held

    @property
    def capacity(self) -> int:
        """Bytes of runs that can be held in memory at all."""
        return self._held_budget

    def new_scratch_run(self) -> ScratchRun:
        """A run on scratch, for the caller to write."""
        self._files += 1
        return ScratchRun(os.path.join(self._folder, f"run-{self._files:05d}"))

    def add(self, run: HeldRun) -> None:
        """Take a run. May merge what is held already, and raise what :meth:`merged` does."""
        if run.scratch is not None:
            self.bytes_overflowed += run.size
            self._on_scratch.append(run)
            return
        self._look_at(run)
        decoded = self._decoded_size(run.largest)
        if self._decoded + decoded > self._decoded_budget or run.size > self.room:
            self.overflow()
        self._in_memory.append(run)
        self._held += run.size
        self._decoded += decoded

    def overflow(self) -> None:
        """Merge what is in memory into one run on scratch."""
        runs, self._in_memory = self._in_memory, []
        if runs:
            self._merge_to_scratch(runs)
        self._held = self._decoded = 0

    def merged(self) -> Run:
        """All records of all runs, in order. The runs are used up.

        Raises BadBlock where a run does not hold what was promised, InternalError where a merge lost or
        invented records, OutputError and CorruptData for scratch.
        """
        blocks = [run.largest for run in (*self._in_memory, *self._on_scratch)]
        if self._decoded_size(sum(blocks)) > self._decoded_budget or len(self._on_scratch) > MOST_OPEN:
            self.overflow()
        while first := runs_to_merge_first([run.size for run in self._on_scratch], self._fan_in()):
            runs = [self._on_scratch[position] for position in first]
            self._on_scratch = [run for run in self._on_scratch if run not in runs]
            self._merge_to_scratch(runs)
        runs = [*self._in_memory, *self._on_scratch]
        self._in_memory, self._on_scratch = [], []
        return self._counted(self._merge(runs), sum(run.records for run in runs))

    def _fan_in(self) -> int:
        """Runs on scratch that can be merged at once. Two must be, whatever their blocks take."""
        largest = max((run.largest for run in self._on_scratch), default=1)
        return max(2, min(MOST_OPEN, self._decoded_budget // max(1, self._decoded_size(largest))))

    def _merge(self, runs: list[HeldRun]) -> Run:
        short = [run for run in runs if len(run.payloads) == 1]
        long = [self._decode(run) for run in runs if len(run.payloads) != 1]
        return merge_runs([*long, *self._sort_together(short)], self._order)

    def _sort_together(self, short: list[HeldRun]) -> Iterator[Run]:
        """Runs of one block each as fewer and longer ones: a round of a merge costs a bit for each run, and
        thousands of small segments would take as many rounds."""
        gathered: list[HeldRun] = []
        size = 0
        for run in short:
            if size + run.size > LARGEST_BLOCK and gathered:
                yield self._sorted(gathered)
                gathered, size = [], 0
            gathered.append(run)
            size += run.size
        if gathered:
            yield self._sorted(gathered)

    def _sorted(self, runs: list[HeldRun]) -> Run:
        yield sort_batches([batch for run in runs for batch in self._decode(run)], self._order)

    def _merge_to_scratch(self, runs: list[HeldRun]) -> None:
        merged = self._counted(self._merge(runs), sum(run.records for run in runs))
        if (combiner := self._useful_combiner()) is not None:
            merged = combine_run(merged, combiner)
        fitting = self._decoded_budget // WIDTH * 1024 // self._decoded_size(1024)
        block_size = min(max(fitting, SMALLEST_BLOCK), LARGEST_BLOCK, self._block_size)
        scratch = self.new_scratch_run()
        for block in encode_in_blocks(merged, block_size, MAX_PAYLOAD, self._compress):
            scratch.append(block.payload, block.records)
        scratch.finish()
        self.bytes_overflowed += scratch.size
        self._on_scratch.append(HeldRun.on_scratch(scratch))

    def _useful_combiner(self) -> Combiner | None:
        """The combiner, unless it does not reduce, or would spoil the order.

        A run may hold the values of a key in several batches. Combined values of one batch need not be below
        those of the next, so with sorted values a merge leaves them alone.
        """
        combiner = self.combiner
        if combiner is None or self._order == "key-and-value":
            return None
        return combiner if combiner.values_out <= COMBINER_GAIN * combiner.values_in else None

    def _decode(self, run: HeldRun) -> Run:
        records = 0
        for payload in run.take():
            batch = decode_batch(payload)
            if records == 0:
                self._measure(batch, len(payload))
            records += len(batch)
            del payload
            yield batch
            del batch
        if records != run.records:
            raise BadBlock(f"a run of {run.records} records by its index holds {records}")

    def _counted(self, run: Run, records: int) -> Run:
        """``run``, which must give out just so many records."""
        given = 0
        for batch in run:
            given += len(batch)
            yield batch
            del batch
        if given != records:
            raise InternalError(f"a merge of {records} records gave out {given}")

    def _look_at(self, run: HeldRun) -> None:
        """Measure the first, second, fourth, eighth … run that comes: what all are like, at no cost."""
        self._looks += 1
        if self._looks & (self._looks - 1) == 0:
            self._measure(decode_batch(run.payloads[0]), len(run.payloads[0]))

    def _measure(self, batch: Batch, encoded: int) -> None:
        self._expansion = max(self._expansion, batch_size(batch) / max(encoded, SMALLEST_MEASURED))

    def _decoded_size(self, encoded: int) -> int:
        return int(encoded * (self._expansion or FIRST_EXPANSION))
