r"""The format ``lines``: a record is a line of text, as a str without its ``\n``.

Only ``\n`` ends a line: a ``\r`` before it stays in the record, and so do form feeds, U+2028 and all else
that ``str.splitlines`` would cut at. The last line need not end. An empty line is a record, ``""``.

Text is UTF-8 with ``surrogateescape`` (PEP 383): bytes that are not UTF-8 become lone surrogates, which the
text output writes back as the very same bytes. No input is refused, no byte is lost.

A line belongs to the split in which its first byte stands, so every line belongs to exactly one split,
wherever the bounds fall. This is the rule of Hadoop's ``LineRecordReader``.
"""

from __future__ import annotations

from collections.abc import Iterator

from blfs_mr.errors import InputError
from blfs_mr.formats.compression import InputStream

CHUNK = 256 * 1024
"""Bytes read, decoded and split at a time: more gains no speed, and costs memory, a str for each line."""

LAST_LINE_CHUNK = 64 * 1024
"""Bytes read at a time past a split's end, where all but the rest of one line is the next split's."""

MAX_RECORD = 256 * 1024 * 1024
"""Bytes of one record of any format: as much as a task's whole memory by default."""

MAX_LINE = MAX_RECORD
"""Bytes of a line. A file with a longer one holds no lines."""


def whole_lines(stream: InputStream, offset: int, end: int | None) -> Iterator[bytes]:
    r"""Yield the lines that begin from ``offset`` up to, not including, ``end``, in pieces of whole lines.

    Each piece ends with ``\n``, save for a last line at the file's end that does not. ``end`` is None for "to
    the file's end". Raises :class:`InputError` if the file ends before ``end``, or for a line above
    :data:`MAX_LINE`.
    """
    reader = _Reader(stream, offset, end)
    started: list[bytes] = [reader.skip_to_first_line()]
    started_length = len(started[0])
    while chunk := reader.read_inside():
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield b"".join((*started, chunk[:cut]))
            started, started_length = [], 0
            chunk = chunk[cut:]
        started.append(chunk)
        started_length += len(chunk)
        _check_length(started_length, reader)
    rest = b"".join(started)
    if rest and not rest.endswith(b"\n"):
        rest += b"".join(reader.rest_of_line(len(rest)))
    if rest:
        yield rest


class _Reader:
    """Reads a range of a stream, and knows where in it it stands."""

    def __init__(self, stream: InputStream, offset: int, end: int | None) -> None:
        self.stream, self.offset, self.end = stream, offset, end
        # One byte early: only if that is a line end does a line begin at the offset itself.
        self.position = max(offset - 1, 0)
        if self.position:
            stream.seek(self.position)

    def skip_to_first_line(self) -> bytes:
        """Read up to the first line that begins in the range; return what came with it, at most a chunk."""
        if self.offset == 0:
            return b""
        while chunk := self.read_inside():
            line_end = chunk.find(b"\n")
            if line_end >= 0:
                return chunk[line_end + 1 :]
        return b""

    def read_inside(self) -> bytes:
        """Return some bytes of the range, none when it is used up."""
        wanted = CHUNK if self.end is None else min(CHUNK, self.end - self.position)
        if wanted <= 0:
            return b""
        chunk = self.stream.read(wanted)
        if not chunk and self.end is not None:
            raise InputError(f"the input {self.stream.path} is shorter than when the job was submitted")
        self.position += len(chunk)
        return chunk

    def rest_of_line(self, length: int) -> Iterator[bytes]:
        """Yield the rest, behind the range, of a line of which ``length`` bytes were read."""
        while chunk := self.stream.read(LAST_LINE_CHUNK):
            self.position += len(chunk)
            line_end = chunk.find(b"\n")
            if line_end >= 0:
                yield chunk[: line_end + 1]
                return
            length += len(chunk)
            _check_length(length, self)
            yield chunk


def _check_length(length: int, reader: _Reader) -> None:
    if length > MAX_LINE:
        raise InputError(
            f"the input {reader.stream.path} has a line of more than {MAX_LINE // 1024 // 1024} MiB before"
            f" byte {reader.position}; is it a text file?"
        )
