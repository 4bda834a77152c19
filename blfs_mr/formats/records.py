"""The format ``records``: (key, value) pairs with their very types, read and written. Steps speak it.

A file is a marker of 16 random bytes and then blocks. A block is that marker again, a header (little-endian:
u32 bytes of the payload, u64 xxh3 checksum of the payload) and a payload as spill blocks have it
(``blfs_mr.shuffle.columns``). The marker is what divides a file: a split owns the blocks whose marker begins
in it, as Avro's and Hadoop's container files do. It is random so that no data can hold it but by the chance
of 1 to 2**128, not even another file of this format.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any

from xxhash import xxh3_64_intdigest

from blfs_mr.errors import InputError, UserCodeError, ValueNotSupported
from blfs_mr.formats.compression import InputStream
from blfs_mr.formats.lines import CHUNK, MAX_RECORD
from blfs_mr.formats.outputs import OutputWriter, WritableFile, check_pair
from blfs_mr.formats.reading import InputFormat
from blfs_mr.shuffle.batch import Batch
from blfs_mr.shuffle.columns import decode_batch, encode_batch

MARKER_SIZE = 16
_HEADER = struct.Struct("<IQ")

PAIRS_AT_ONCE = 4096
"""Pairs in a block at most. A column's types are looked at once for all of them, so few would cost time."""


class RecordWriter(OutputWriter):
    """Writes ``records``."""

    most_pairs_at_once = PAIRS_AT_ONCE

    def __init__(self, file: WritableFile) -> None:
        super().__init__(file)
        self._marker = os.urandom(MARKER_SIZE)
        self._begun = False

    def format(self, batch: list[tuple[Any, Any]]) -> bytes:
        for pair in batch:
            check_pair(pair)
        try:
            # The pairs stand as values: as such they may be of any type that can be carried at all.
            payload = encode_batch(Batch([None] * len(batch), None, batch))
        except ValueNotSupported as error:
            raise UserCodeError(f"reduce yielded a pair that the next step cannot get: {error}") from error
        header = _HEADER.pack(len(payload), xxh3_64_intdigest(payload))
        begin = b"" if self._begun else self._marker
        self._begun = True
        return b"".join((begin, self._marker, header, payload))


class Records(InputFormat):
    """Reads ``records``."""

    def cut(self, stream: InputStream, offset: int, end: int | None) -> Iterator[bytes]:
        reader = _Reader(stream, _read(stream, MARKER_SIZE), max(offset, MARKER_SIZE))
        while reader.find_marker() and (end is None or reader.position < end):
            yield reader.take_block()

    def parse(self, piece: bytes) -> list[Any]:
        return decode_batch(piece).values


class _Reader:
    """A window over the file, whose first byte stands at ``position``."""

    def __init__(self, stream: InputStream, marker: bytes, position: int) -> None:
        self.position = position
        self._stream, self._marker = stream, marker
        self._window = bytearray()
        stream.seek(position)

    def find_marker(self) -> bool:
        """Go to the next marker; False if there is none any more."""
        while (found := self._window.find(self._marker)) < 0:
            self._drop(max(len(self._window) - MARKER_SIZE + 1, 0))
            if not self._fill(len(self._window) + 1):
                return False
        self._drop(found)
        return True

    def take_block(self) -> bytes:
        """The verified payload of the block that begins here; go behind it."""
        begin = MARKER_SIZE + _HEADER.size
        self._need(begin)
        length, checksum = _HEADER.unpack_from(self._window, MARKER_SIZE)
        if length > 2 * MAX_RECORD:
            raise self._harmed("a block of an impossible size")
        self._need(begin + length)
        payload = bytes(memoryview(self._window)[begin : begin + length])
        if xxh3_64_intdigest(payload) != checksum:
            raise self._harmed("a block that does not match its checksum")
        self._drop(begin + length)
        return payload

    def _need(self, size: int) -> None:
        if not self._fill(size):
            raise self._harmed("no end of its last block")

    def _fill(self, size: int) -> bool:
        while len(self._window) < size:
            chunk = self._stream.read(max(CHUNK, size - len(self._window)))
            if not chunk:
                return False
            self._window += chunk
        return True

    def _drop(self, size: int) -> None:
        del self._window[:size]
        self.position += size

    def _harmed(self, what: str) -> InputError:
        return InputError(f"the input {self._stream.path} has {what} at byte {self.position}")


def _read(stream: InputStream, size: int) -> bytes:
    content = b""
    while len(content) < size and (piece := stream.read(size - len(content))):
        content += piece
    return content
