"""The rows of one partition: encoded in memory while they fit, divided into buckets on scratch beyond that.

Takes the place of ``blfs_mr.taskrun.runs.RunStore`` under the reader of segments. Payloads wait as they
were read: one copy off the buffer of the direct read, which the device's next bytes need, and none until
rows are sorted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import pyarrow as pa

from blfs_mr.arrow.blocks import decode_payload
from blfs_mr.arrow.buckets import BucketRule, Buckets, HashBuckets, RangeBuckets, ScratchFolder, sample_of
from blfs_mr.arrow.dividing import sort_by_keys
from blfs_mr.errors import BadBlock
from blfs_mr.taskrun.runs import HeldRun
from blfs_mr.taskrun.scratch import ScratchRun

HELD_SHARE = 0.5
"""Of the budget, for rows that wait; the rest is for what ``reduce_batch`` makes of them."""

SORTED_SHARE = 0.3
"""The same where they are sorted: rows in one piece and in order stand beside each other for a moment."""

FIRST_EXPANSION = 4.0
"""How many times its size a compressed payload takes when decoded, until larger ones are met."""


class HeldRows:
    """Takes runs of encoded batches, and gives out tables of rows whose keys stand in no other one."""

    def __init__(
        self,
        scratch: str,
        *,
        budget: int,
        block_size: int,
        keys: Sequence[str],
        in_order: bool,
        compressed: bool = False,
    ) -> None:
        self.rows = 0
        self._decoded_capacity = int(budget * (SORTED_SHARE if in_order else HELD_SHARE))
        self._expansion = FIRST_EXPANSION if compressed else 1.0
        self._folder, self._block_size = ScratchFolder(scratch), block_size
        self._keys, self._in_order = list(keys), in_order
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._buckets: Buckets | None = None
        self._overflowed = 0

    @property
    def capacity(self) -> int:
        """Bytes of runs that can be held in memory at all, so that they fit when they are decoded too."""
        return int(self._decoded_capacity / self._expansion)

    @property
    def room(self) -> int:
        """Bytes of further runs that can be held in memory now."""
        return self.capacity - self._held_bytes

    @property
    def bytes_overflowed(self) -> int:
        """Bytes written to scratch so far."""
        return self._overflowed + (self._buckets.bytes_written if self._buckets else 0)

    def new_scratch_run(self) -> ScratchRun:
        """A run for a segment that is larger than memory; :meth:`add` takes it, finished."""
        return self._folder.new_run()

    def add(self, run: HeldRun) -> None:
        """One more run. Raises BadBlock, KeyNotSupported, and OutputError for scratch."""
        self.rows += run.records
        if run.scratch is None:
            self._measure(run.payloads[0])
            self._held.extend(run.take())
            self._held_bytes += run.size
            return
        self._overflowed += run.size
        self.overflow()
        payloads = run.take()
        first = next(payloads)
        self._divide(iter((first,)), sample=[first])
        self._divide(payloads, sample=[])

    def overflow(self) -> None:
        """Make room: divide what is held into buckets on scratch."""
        if self._held:
            self._divide(self._take_held(), sample=list(self._held))

    def tables(self) -> Iterator[pa.Table]:
        """All rows, each table's keys in it alone; sorted, and in order, if that was asked for.

        All of them in one table unless memory was short. Raises BadBlock where rows are missing or too many.
        """
        if self._buckets is None:
            pieces = iter([list(self._take_held())] if self._held else [])
        else:
            self.overflow()
            pieces = self._buckets.tables()
        rows = 0
        for payloads in pieces:
            table = pa.Table.from_batches([decode_payload(payload) for payload in payloads])
            # The batches hold what they need of them; what is left are the payloads of compressed ones.
            payloads.clear()
            rows += table.num_rows
            if rows > self.rows:
                break
            yield sort_by_keys(table, self._keys) if self._in_order else table
            del table
        if rows != self.rows:
            raise BadBlock(f"at least {rows} rows were decoded where the index promises {self.rows}")

    def _take_held(self) -> Iterator[bytes]:
        self._held_bytes = 0
        while self._held:
            yield self._held.popleft()

    def _measure(self, payload: bytes) -> None:
        self._expansion = max(self._expansion, decode_payload(payload).nbytes / len(payload))

    def _divide(self, payloads: Iterator[bytes], sample: list[bytes]) -> None:
        if self._buckets is None:
            self._buckets = Buckets(
                self._rule(sample), self._keys, self._folder, self._block_size, self._decoded_capacity
            )
        sample.clear()
        self._buckets.add(payloads)

    def _rule(self, sample: list[bytes]) -> BucketRule:
        if not self._in_order:
            return HashBuckets(self._keys)
        keys = [sample_of(pa.Table.from_batches([decode_payload(payload)]), self._keys) for payload in sample]
        return RangeBuckets.of_sample(self._keys, pa.concat_tables(keys))
