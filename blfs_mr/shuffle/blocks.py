"""Cutting a run into payloads of about one size, whatever the sizes of its records.

How many bytes a record takes is only known once it is encoded, so each block is cut by the size per record of
the one before it, and cut again when that guess was far off. A key with more values than fit into a block is
repeated in the next one. No block holds more than ``BATCH_RECORDS`` records, however small they are: a block
of constants has no bytes per record, but a reader has to hold its lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from blfs_mr.shuffle.batch import BATCH_RECORDS, Batch
from blfs_mr.shuffle.columns import encode_batch

_FIRST_GUESS = 1
"""Records of the first block tried: one, since each may be megabytes large."""

_FASTEST_GROWTH = 16
"""How many times more records the next try takes at most: those after a few small ones may be large."""


@dataclass(frozen=True, slots=True)
class EncodedBlock:
    """A payload and its number of records. ``oversized`` if its one record exceeds the hard maximum."""

    payload: bytes
    records: int
    oversized: bool


def encode_in_blocks(run: Iterable[Batch], target_size: int, max_size: int) -> Iterator[EncodedBlock]:
    """Encode the records of ``run`` in blocks of about ``target_size`` bytes and at most ``max_size``.

    A single record larger than ``max_size`` is given out as a block of its own, marked ``oversized``. Raises
    :class:`ValueNotSupported`.
    """
    guess = _FIRST_GUESS
    for batch in _joined(run):
        records = len(batch)
        start = 0
        while start < records:
            block, guess = _encode_some(batch, start, guess, target_size, max_size)
            yield block
            start += block.records


def _encode_some(
    batch: Batch, start: int, guess: int, target_size: int, max_size: int
) -> tuple[EncodedBlock, int]:
    """One block from record ``start`` on, and how many records the next block should hold."""
    left = len(batch) - start
    count = min(guess, left)
    shrunk = False
    while True:
        payload = encode_batch(batch.cut(start, start + count))
        size = len(payload)
        fitting = max(1, count * target_size // size)
        if size > max_size and count > 1:
            count = min(fitting, count // 2)
            shrunk = True  # do not grow back: sizes within this stretch are uneven
        elif not shrunk and size < target_size // 2 and count < min(left, fitting):
            count = min(fitting, left, count * _FASTEST_GROWTH)
        else:
            return EncodedBlock(payload, count, size > max_size), fitting


def _joined(run: Iterable[Batch]) -> Iterator[Batch]:
    """Batches of at most ``BATCH_RECORDS``; small neighbours as one, to fill their blocks."""
    waiting: list[Batch] = []
    records = 0
    for batch in run:
        for piece in batch.pieces(BATCH_RECORDS):
            if records and records + len(piece) > BATCH_RECORDS:
                yield _concatenated(waiting)
                waiting, records = [], 0
            waiting.append(piece)
            records += len(piece)
    if records:
        yield _concatenated(waiting)


def _concatenated(batches: list[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    keys = [key for batch in batches for key in batch.keys]
    values = [value for batch in batches for value in batch.values]
    if all(batch.counts is None for batch in batches):
        return Batch(keys, None, values)
    counts = [count for batch in batches for count in batch.counts or [1] * len(batch.keys)]
    return Batch(keys, counts, values)
