"""Cutting a file into pieces that are files of its format themselves, to be kept apart on several hosts.

Unlike splits, which share a file and read on past their end, pieces end where a record ends. Pieces of
``csv-dict`` begin with the file's header, each of them. What cannot be cut, as a compressed file, is one
piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO

from blfs_mr.errors import InputError
from blfs_mr.formats.compression import is_compressed
from blfs_mr.formats.inputs import InputFile
from blfs_mr.formats.lines import MAX_LINE
from blfs_mr.formats.reading import LINE_ENDS, LINE_ENDS_BELOW_A_HEADER, InputFormat, input_format
from blfs_mr.values import dataclass

_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """``length`` bytes from ``offset`` of the file at ``path``, with ``header`` before them."""

    path: str
    offset: int
    length: int
    header: bytes = b""

    @property
    def size(self) -> int:
        """Its bytes, the header's among them."""
        return len(self.header) + self.length


def cut_file(file: InputFile, most: int, format: InputFormat) -> tuple[Piece, ...]:
    """Cut ``file`` into pieces of nearly ``most`` bytes; they are longer by what ends their last record.

    An empty file has none, unless it is a record of its format. Raises :class:`InputError` where it cannot be
    read or cannot be of the format.
    """
    whole = (Piece(file.path, 0, file.size),) if file.size or format.empty_files else ()
    wanted = -(-file.size // most)
    if not format.boundary or is_compressed(file.path):
        return whole
    if format.boundary not in (LINE_ENDS, LINE_ENDS_BELOW_A_HEADER):
        units, left = divmod(file.size, format.unit)
        if left:
            raise InputError(
                f"the input {file.path} of {file.size} bytes does not consist of whole records of "
                f"{format.unit} bytes"
            )
        wanted = min(wanted, units)
        bounds = [units * number // wanted * format.unit for number in range(wanted + 1)] if wanted else []
        return tuple(Piece(file.path, begin, end - begin) for begin, end in pairwise(bounds))
    if wanted < 2:
        return whole
    try:
        with open(file.path, "rb") as opened:
            header = _header(opened) if format.boundary == LINE_ENDS_BELOW_A_HEADER else b""
            return tuple(_cut_lines(opened, file, wanted, header))
    except OSError as error:
        raise InputError(f"cannot read the input {file.path}: {error.strerror}") from error


def check_cut(what: str, boundary: str, format_name: str) -> None:
    """Raise :class:`InputError` unless pieces that were cut at ``boundary`` can be read as ``format_name``.

    ``boundary`` is empty for files that are whole; ``what`` names the input.
    """
    if boundary and boundary != input_format(format_name).boundary:
        raise InputError(
            f"{what} was cut at {boundary}, and cannot be read as {format_name}: put it again with "
            f"--format {format_name}"
        )


def _cut_lines(opened: BinaryIO, file: InputFile, wanted: int, header: bytes) -> Iterator[Piece]:
    begin = 0
    for number in range(1, wanted):
        target = max(file.size * number // wanted, len(header) + 1)
        # A long line may have gone beyond it already.
        if target > begin:
            end = _line_start(opened, target, file)
            yield Piece(file.path, begin, end - begin, header if begin else b"")
            begin = end
    if begin < file.size:
        yield Piece(file.path, begin, file.size - begin, header if begin else b"")


def _line_start(opened: BinaryIO, offset: int, file: InputFile) -> int:
    """Where the first line begins at or after ``offset``, which is above 0; the file's end for none."""
    # One byte early: only if that is a line end does a line begin at the offset itself.
    position = offset - 1
    opened.seek(position)
    while chunk := opened.read(_CHUNK):
        line_end = chunk.find(b"\n")
        if line_end >= 0:
            return min(position + line_end + 1, file.size)
        position += len(chunk)
        if position - offset > MAX_LINE:
            raise InputError(
                f"the input {file.path} has a line of more than {MAX_LINE >> 20} MiB before byte {position}; "
                "is it a text file? (--format)"
            )
    return file.size


def _header(opened: BinaryIO) -> bytes:
    """The bytes up to the end of the first line that is not empty."""
    read = b""
    while line := opened.readline(MAX_LINE):
        read += line
        if line.strip(b"\r\n"):
            break
    return read
