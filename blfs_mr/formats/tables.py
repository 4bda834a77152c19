r"""The formats ``csv`` and ``csv-dict``: comma-separated values as RFC 4180 has them, read and written.

Reading: a record of ``csv`` is a row, a list of str. One of ``csv-dict`` is a dict: the first row of every
file is its header, and names the columns, and all others must have as many fields. Empty lines are no rows.

A row is a line, so large files are divided. A quoted field may hold a line end too, and then no place in the
middle of a file shows whether it is inside of quotes. Such a row is never taken for two: the first of its
lines ends inside of quotes, wherever the splits' bounds fall, and the task fails with its number.
``csv:multiline`` and ``csv-dict:multiline`` read such files, each as one split.

Writing: a row is the key and the value; of a value (or key) that is a tuple or list, each item is a field.
None is an empty field. Other items are written as ``text`` does, and quoted where they need it; lines end
with ``\n``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from blfs_mr.errors import InputError, UsageError, UserCodeError
from blfs_mr.formats.compression import InputStream
from blfs_mr.formats.lines import MAX_RECORD, whole_lines
from blfs_mr.formats.outputs import OutputWriter, check_pair, encode_text, format_item, shorten
from blfs_mr.formats.reading import (
    ENCODING,
    ENCODING_ERRORS,
    LINE_ENDS,
    LINE_ENDS_BELOW_A_HEADER,
    BadRecord,
    InputFormat,
)
from blfs_mr.model import InputSplit

MAX_FIELD = 1 << 30
"""Characters of a field that the csv module takes. Its own default, 128 KiB, is too few for documents; a line
is bounded already."""


class Rows(InputFormat):
    """Reads ``csv``: rows as lists of str."""

    cut_at = LINE_ENDS

    def __init__(self, argument: str = "") -> None:
        if argument not in ("", "multiline"):
            raise UsageError(
                f"the input formats csv and csv-dict take 'multiline' after the colon, not {argument!r}"
            )
        self.divisible = not argument
        self.boundary = self.cut_at if self.divisible else ""
        csv.field_size_limit(MAX_FIELD)

    def cut(self, stream: InputStream, offset: int, end: int | None) -> Iterator[bytes]:
        pieces = whole_lines(stream, offset, end)
        return pieces if self.divisible else _whole_rows(pieces, stream.path)

    def parse(self, piece: bytes) -> list[list[str]]:
        lines = piece.decode(ENCODING, ENCODING_ERRORS).split("\n")
        if not lines[-1]:
            del lines[-1]
        rows = csv.reader([f"{line}\n" for line in lines], strict=True)
        try:
            found = list(rows)
        except csv.Error as error:
            raise self._bad(lines, rows.line_num, str(error)) from error
        if self.divisible and len(found) != len(lines):
            raise self._bad(lines, rows.line_num, "a row of several lines")
        return [row for row in found if row]

    def _bad(self, lines: list[str], line: int, reason: str) -> BadRecord:
        if not self.divisible:
            return BadRecord(max(line - 1, 0), reason)
        for number, text in enumerate(lines):
            try:
                if len(list(csv.reader([f"{text}\n"], strict=True))) == 1:
                    continue
            except csv.Error as error:
                reason = str(error)
            return BadRecord(
                number,
                f"no row of its own: {reason}; fields with line ends need the input format csv:multiline (or "
                "csv-dict:multiline)",
            )
        return BadRecord(max(line - 1, 0), reason)


class NamedRows(Rows):
    """Reads ``csv-dict``: rows as dicts by the file's header."""

    cut_at = LINE_ENDS_BELOW_A_HEADER

    def parse_all(self, pieces: Iterable[bytes], split: InputSplit) -> Iterator[list[Any]]:
        header = _named(self._header(split.path), split.path) if split.offset else None
        for piece in pieces:
            rows = self.parse(piece)
            header_lines = 0
            if header is None:
                if not rows:
                    continue
                header, header_lines = _named(rows.pop(0), split.path), 1
            if not set(map(len, rows)) <= {len(header)}:
                raise _uneven(piece, len(header), header_lines)
            yield [dict(zip(header, row, strict=True)) for row in rows]

    def _header(self, path: str) -> list[str]:
        """The first row of the file, for a split that does not begin with it."""
        with InputStream(path) as stream:
            for piece in whole_lines(stream, 0, None):
                for line in piece.split(b"\n"):
                    try:
                        rows = self.parse(line)
                    except BadRecord as error:
                        raise InputError(f"the input {path} has no header: {error.reason}") from error
                    if rows:
                        return rows[0]
        return []


class TableWriter(OutputWriter):
    """Writes ``csv``."""

    def format(self, batch: list[tuple[Any, Any]]) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for pair in batch:
            key, value = check_pair(pair)
            try:
                writer.writerow([*_fields(key), *_fields(value)])
            except Exception as error:
                raise UserCodeError(
                    f"reduce yielded a pair that cannot be written as CSV, {shorten(pair)}: {error}"
                ) from error
        return encode_text(text.getvalue())


def _fields(item: Any) -> list[Any]:
    return [_field(part) for part in item] if isinstance(item, list | tuple) else [_field(item)]


def _field(item: Any) -> Any:
    if type(item) in _WRITTEN_AS_THEY_ARE:
        return item
    return format_item(item).decode(ENCODING, ENCODING_ERRORS)


_WRITTEN_AS_THEY_ARE = frozenset({str, int, float, bool, type(None)})


def _named(header: list[str], path: str) -> list[str]:
    """The names of the columns, without the byte order mark that some programs put before them."""
    names = [header[0].removeprefix("\ufeff"), *header[1:]] if header else []
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(f"the header of the input {path} names {sorted(twice)[0]!r} twice")
    return names


def _uneven(piece: bytes, width: int, header_lines: int) -> BadRecord:
    """Which row of ``piece``, which can be parsed, has not ``width`` fields; the header is not among them."""
    rows = csv.reader(io.StringIO(piece.decode(ENCODING, ENCODING_ERRORS), newline="\n"), strict=True)
    uneven = (row for row in islice(filter(None, rows), header_lines, None) if len(row) != width)
    fields = len(next(uneven))
    return BadRecord(rows.line_num - 1, f"{fields} fields in a row, while the header names {width}")


def _whole_rows(pieces: Iterable[bytes], path: str) -> Iterator[bytes]:
    """Join pieces until none ends inside of quotes, which is where a number of quotes that is odd ends."""
    waiting: list[bytes] = []
    size = quotes = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        quotes += piece.count(b'"')
        if quotes % 2 == 0:
            yield b"".join(waiting)
            waiting, size = [], 0
        elif size > MAX_RECORD:
            raise InputError(f"the input {path} has a quote that does not end within {MAX_RECORD >> 20} MiB")
    if waiting:
        yield b"".join(waiting)
