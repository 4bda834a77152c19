r"""The format ``jsonl``: a JSON text on each line (https://jsonlines.org), read and written.

Reading: a record is the value of a line. Lines of white space only are no records. A line that is no JSON
fails the task with the file's name and the line's number; a job that is to skip such lines takes ``lines``
and parses them itself.

Writing: a line is the array ``[key, value]``. Tuples become arrays, keys of dicts str, as ``json.dumps`` has
it; NaN and infinities are written as Python's parser (and no standard) reads them. What JSON has no form for,
as bytes, is refused. Text that is not UTF-8 (a lone surrogate) is written as a ``\udcXX`` escape, so it comes
back as it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from blfs_mr.errors import UserCodeError
from blfs_mr.formats.compression import InputStream
from blfs_mr.formats.lines import whole_lines
from blfs_mr.formats.outputs import OutputWriter, check_pair, shorten
from blfs_mr.formats.reading import ENCODING, ENCODING_ERRORS, LINE_ENDS, BadRecord, InputFormat

_decode = json.JSONDecoder().decode
_encode = json.JSONEncoder(ensure_ascii=False).encode
_encode_escaped = json.JSONEncoder().encode


class JsonLines(InputFormat):
    """Reads ``jsonl``."""

    boundary = LINE_ENDS

    def cut(self, stream: InputStream, offset: int, end: int | None) -> Iterator[bytes]:
        return whole_lines(stream, offset, end)

    def parse(self, piece: bytes) -> list[Any]:
        lines = piece.decode(ENCODING, ENCODING_ERRORS).split("\n")
        try:
            # Not all lines at once as one array, although that is faster: "[1" and "2]" would pass.
            return list(map(_decode, filter(str.strip, lines)))
        except (ValueError, RecursionError):
            _refuse(lines)
            raise


class JsonLinesWriter(OutputWriter):
    """Writes ``jsonl``."""

    def format(self, batch: list[tuple[Any, Any]]) -> bytes:
        for pair in batch:
            check_pair(pair)
        try:
            text = "\n".join(map(_encode, batch))
        except (TypeError, ValueError, RecursionError):
            _refuse_pair(batch)
            raise
        try:
            return f"{text}\n".encode()
        except UnicodeEncodeError:
            return ("\n".join(map(_encode_escaped, batch)) + "\n").encode()


def _refuse(lines: list[str]) -> None:
    for number, line in enumerate(lines):
        try:
            if line.strip():
                _decode(line)
        except (ValueError, RecursionError) as error:
            raise BadRecord(number, f"no JSON: {error}; the line is {shorten(line)}") from error


def _refuse_pair(batch: list[tuple[Any, Any]]) -> None:
    for pair in batch:
        try:
            _encode(pair)
        except (TypeError, ValueError, RecursionError) as error:
            raise UserCodeError(
                f"reduce yielded a pair that cannot be written as JSON, {shorten(pair)}: {error}"
            ) from error
