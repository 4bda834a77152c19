"""The input format ``file``: a record is a whole file, as the tuple of its absolute path and its bytes.

For many files that make sense only as a whole (images, documents, JSON of many lines). Each is one map task
and is in memory at once, decompressed where it is compressed. An empty file is a record too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from blfs_mr.errors import InputError
from blfs_mr.formats.compression import InputStream
from blfs_mr.formats.lines import CHUNK, MAX_RECORD
from blfs_mr.formats.reading import InputFormat
from blfs_mr.model import InputSplit


class WholeFiles(InputFormat):
    """Reads ``file``."""

    divisible = False
    empty_files = True

    def cut(self, stream: InputStream, offset: int, end: int | None) -> Iterator[bytes]:
        size = 0
        while piece := stream.read(CHUNK):
            size += len(piece)
            if size > MAX_RECORD:
                raise InputError(
                    f"the input {stream.path} has more than {MAX_RECORD >> 20} MiB for one record"
                )
            yield piece

    def parse(self, piece: bytes) -> list[bytes]:
        return [piece]

    def parse_all(self, pieces: Iterable[bytes], split: InputSplit) -> Iterator[list[Any]]:
        yield [(split.path, b"".join(pieces))]
