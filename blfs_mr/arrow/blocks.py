"""The payloads of columnar jobs: one record batch each, as an Arrow IPC stream of schema and batch.

Each block stands for itself, schema included: a few hundred bytes beside 256 KiB. Compression is Arrow's
own, of each column's buffers, so that what is read back is one payload, of which the columns are views.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from blfs_mr.errors import BadBlock
from blfs_mr.shuffle import EncodedBlock
from blfs_mr.spill.format import MAX_PAYLOAD

_MARKS = 4096
"""Bytes of a stream beside its schema and batch, at most."""

_GROWTH, _BESIDE_BUFFER = 64, 256
"""Data that cannot be compressed grows by one part in so many at most, and by so many bytes for each
buffer."""


def encode_table(table: pa.Table, target_size: int, compression: str) -> Iterator[EncodedBlock]:
    """The rows of ``table`` in payloads of about ``target_size`` bytes before compression.

    ``compression`` is ``zstd``, ``lz4`` or empty. A single row that no block can take is marked
    ``oversized``. A payload is valid until the next one is asked for: all are written to the same memory,
    which costs a third of what fresh memory for each does.
    """
    encoder = _Encoder(pa.ipc.IpcWriteOptions(compression=compression or None, use_threads=False))
    start, left = 0, table.num_rows
    fitting = max(target_size * left // max(table.nbytes, 1), 1)
    while left:
        rows = min(fitting, left)
        payload = encoder.encode(table.slice(start, rows))
        while len(payload) > MAX_PAYLOAD and rows > 1:
            rows //= 2
            payload = encoder.encode(table.slice(start, rows))
        yield EncodedBlock(payload, rows, oversized=len(payload) > MAX_PAYLOAD)
        start += rows
        left -= rows


def decode_payload(payload: bytes | memoryview) -> pa.RecordBatch:
    """The batch in ``payload``; its columns use that memory, nothing is copied unless it was compressed.

    Raises BadBlock.
    """
    try:
        return pa.ipc.open_stream(pa.py_buffer(payload)).read_next_batch()
    except (pa.ArrowException, StopIteration, OSError) as error:
        raise BadBlock(f"a payload of {len(payload)} bytes that is no Arrow stream: {error}") from error


class _Encoder:
    def __init__(self, options: pa.ipc.IpcWriteOptions) -> None:
        self._options = options
        self._buffer = pa.allocate_buffer(0)

    def encode(self, table: pa.Table) -> memoryview:
        # A slice in several chunks would become as many batches.
        (batch,) = table.combine_chunks().to_batches()
        size = pa.ipc.get_record_batch_size(batch)
        buffers = sum(len(column.buffers()) for column in batch.columns)
        room = batch.schema.serialize().size + size + size // _GROWTH + buffers * _BESIDE_BUFFER + _MARKS
        if room > self._buffer.size:
            self._buffer = pa.allocate_buffer(room)
        sink = pa.FixedSizeBufferWriter(self._buffer)
        with pa.ipc.new_stream(sink, batch.schema, options=self._options) as writer:
            writer.write_batch(batch)
        return memoryview(self._buffer)[: sink.tell()]
