"""Cutting a run into payloads of about one size, whatever the sizes of its records.

How many bytes a record takes is only known once it is encoded, so each block is cut by the size per record of
the one before it, and cut again when that guess was far off. A key with more values than fit into a block is
repeated in the next one. No block holds more than ``BATCH_RECORDS`` records, however small they are: a block
of constants has no bytes per record, but a reader has to hold its lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from blfs_mr.shuffle.batch import BATCH_RECORDS, Batch
from blfs_mr.shuffle.columns import encode_batch
from blfs_mr.shuffle.compression import Compress
from blfs_mr.shuffle.memory import batch_size, mean_size
from blfs_mr.values import dataclass

_FIRST_GUESS = 1
"""Records of the first block tried: one, since each may be megabytes large."""

_FASTEST_GROWTH = 16
"""How many times more records the next try takes at most: those after a few small ones may be large."""

_SIZED = 16
"""Values of a block that are sized before it is tried: a guess from small records must not have thousands of
large ones encoded, only to be cut to a few."""


_LARGE_VALUE = 4 << 10
"""Bytes of a value from which on its size in memory says enough about its size in a payload."""

_FIRST_GATHERED = 4
"""How many times a block's target small batches may occupy in memory before the first block shows how many
records make a block. Objects take several times the bytes of their payload."""


@dataclass(frozen=True, slots=True)
class EncodedBlock:
    """A payload and its number of records. ``oversized`` if its one record exceeds the hard maximum."""

    payload: bytes | memoryview
    records: int
    oversized: bool


def encode_in_blocks(
    run: Iterable[Batch], target_size: int, max_size: int, compress: Compress | None = None
) -> Iterator[EncodedBlock]:
    """Encode the records of ``run`` in blocks of about ``target_size`` bytes and at most ``max_size``.

    Both sizes are before compression, since that is what a reader has to hold. A single record larger than
    ``max_size`` is given out as a block of its own, marked ``oversized``. Raises :class:`ValueNotSupported`.
    """
    cutter = _Cutter(target_size, max_size, compress)
    for batch in run:
        for piece in batch.pieces(BATCH_RECORDS):
            yield from cutter.add(piece)
    yield from cutter.finish()


class _Cutter:
    """Gathers small batches until a block is full, and cuts large ones."""

    def __init__(self, target_size: int, max_size: int, compress: Compress | None) -> None:
        self._target_size, self._max_size, self._compress = target_size, max_size, compress
        self._waiting: list[Batch] = []
        self._records = 0
        self._guess = _FIRST_GUESS
        self._learning: int | None = 0

    def add(self, batch: Batch) -> Iterator[EncodedBlock]:
        """Take ``batch``, and give out the blocks that are full."""
        self._waiting.append(batch)
        self._records += len(batch)
        if self._learning is not None:
            self._learning += batch_size(batch)
            if self._learning < _FIRST_GATHERED * self._target_size:
                return
            self._learning = None
        if self._records >= self._guess:
            yield from self._cut(all_of_it=False)

    def finish(self) -> Iterator[EncodedBlock]:
        """Give out what is left."""
        if self._records:
            yield from self._cut(all_of_it=True)

    def _cut(self, *, all_of_it: bool) -> Iterator[EncodedBlock]:
        batch = _concatenated(self._waiting)
        self._waiting.clear()
        start, records = 0, len(batch)
        while start < records and (all_of_it or records - start >= self._guess):
            block = self._encode_some(batch, start)
            start += block.records
            yield block
        if start < records:
            self._waiting.append(batch.cut(start, records))
        self._records = records - start

    def _encode_some(self, batch: Batch, start: int) -> EncodedBlock:
        """One block from record ``start`` on; learns how many records the next block should hold."""
        left = min(len(batch) - start, BATCH_RECORDS)
        count = self._affordable(batch, start, min(self._guess, left))
        shrunk = False
        while True:
            payload = encode_batch(batch.cut(start, start + count))
            size = len(payload)
            fitting = max(1, min(count * self._target_size // size, BATCH_RECORDS))
            if size > self._max_size and count > 1:
                count = min(fitting, count // 2)
                shrunk = True  # do not grow back: sizes within this stretch are uneven
            elif not shrunk and size < self._target_size // 2 and count < min(left, fitting):
                wanted = min(fitting, left, count * _FASTEST_GROWTH)
                grown = self._affordable(batch, start, wanted)
                shrunk = grown < wanted
                count = max(count, grown)
            else:
                self._guess = fitting
                oversized = size > self._max_size
                stored = payload if self._compress is None or oversized else self._compress(payload)
                return EncodedBlock(stored, count, oversized)

    def _affordable(self, batch: Batch, start: int, count: int) -> int:
        """``count``, or less where so many values would be far more than a block holds."""
        while count > 1:
            sample = batch.values[start : start + count : -(-count // _SIZED)]
            mean = mean_size(sample)
            if mean < _LARGE_VALUE or mean * count <= 2 * self._max_size:
                break
            count //= 2
        return count


def _concatenated(batches: list[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    keys = list(chain.from_iterable(batch.keys for batch in batches))
    values = list(chain.from_iterable(batch.values for batch in batches))
    if all(batch.counts is None for batch in batches):
        return Batch(keys, None, values)
    counts = [count for batch in batches for count in batch.counts or [1] * len(batch.keys)]
    return Batch(keys, counts, values)
