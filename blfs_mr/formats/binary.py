"""The format ``binary``: bytes without any structure but the one that they are cut by, read and written.

Reading: ``binary:N`` gives records of N bytes. A file that does not consist of whole records is refused.
Writing: the bytes of key and value, one after the other, and nothing between or behind them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from struct import Struct
from typing import Any

from blfs_mr.errors import InputError, UsageError, UserCodeError
from blfs_mr.formats.compression import InputStream
from blfs_mr.formats.lines import CHUNK, MAX_RECORD
from blfs_mr.formats.outputs import OutputWriter, check_pair, shorten
from blfs_mr.formats.reading import InputFormat


class FixedSize(InputFormat):
    """Reads ``binary:N``."""

    def __init__(self, argument: str = "") -> None:
        if not (argument.isascii() and argument.isdigit() and 1 <= int(argument) <= MAX_RECORD):
            raise UsageError(
                f"the input format binary takes the bytes of a record, 1 to {MAX_RECORD}, as in "
                f"'binary:100'; {argument!r} is not that"
            )
        self.unit = int(argument)
        self.boundary = f"records of {self.unit} bytes"
        self._record = Struct(f"{self.unit}s")

    def cut(self, stream: InputStream, offset: int, end: int | None) -> Iterator[bytes]:
        begin = self._record_from(offset)
        if begin:
            stream.seek(begin)
        wanted = max(CHUNK // self.unit, 1) * self.unit
        left = None if end is None else self._record_from(end) - begin
        while piece := _read(stream, wanted if left is None else min(wanted, left)):
            if len(piece) % self.unit:
                raise InputError(
                    f"the input {stream.path} does not consist of whole records of {self.unit} bytes"
                )
            yield piece
            if left is not None:
                left -= len(piece)
        if left:
            raise InputError(f"the input {stream.path} is shorter than when the job was submitted")

    def _record_from(self, offset: int) -> int:
        """Where the first record begins from ``offset`` on."""
        return -(-offset // self.unit) * self.unit

    def parse(self, piece: bytes) -> list[bytes]:
        return list(chain.from_iterable(self._record.iter_unpack(piece)))


class BinaryWriter(OutputWriter):
    """Writes ``binary``."""

    def format(self, batch: list[tuple[Any, Any]]) -> bytes:
        try:
            if set(map(len, batch)) == {2} and set(map(type, batch)) == {tuple}:
                return b"".join(chain.from_iterable(batch))
        except TypeError:
            pass  # The slow way finds and names what is no pair of bytes.
        return b"".join(map(_format_pair, batch))


def _format_pair(pair: Any) -> bytes:
    key, value = check_pair(pair)
    if not isinstance(key, bytes | bytearray) or not isinstance(value, bytes | bytearray):
        raise UserCodeError(f"the output format binary takes bytes as key and value; got {shorten(pair)}")
    return bytes(key) + value


def _read(stream: InputStream, size: int) -> bytes:
    """``size`` bytes, fewer at the file's end only."""
    pieces: list[bytes] = []
    while size and (piece := stream.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
