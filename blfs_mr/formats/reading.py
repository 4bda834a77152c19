"""From a split to its records.

A format is one subclass of :class:`InputFormat` and an entry in :data:`INPUT_FORMATS`. Records arrive in
lists, a chunk of the split at a time, so that what runs per record is C code only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, ClassVar

from blfs_mr.errors import InputError, UsageError
from blfs_mr.formats.compression import InputStream, is_compressed
from blfs_mr.formats.lines import whole_lines
from blfs_mr.model import InputSplit

ENCODING, ENCODING_ERRORS = "utf-8", "surrogateescape"

LINE_ENDS = "line ends"
LINE_ENDS_BELOW_A_HEADER = "line ends below a header"


class BadRecord(Exception):
    """A line that is no record of its format: line ``line``, from 0, of the piece that is being parsed."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line, self.reason = line, reason


class InputFormat(ABC):
    """How the bytes of a file become records, in two steps: whole records as bytes, then as objects.

    ``argument`` is what follows the colon in the format's name (``binary:100``), empty where nothing does.
    """

    divisible: bool = True
    """Whether the first record after any byte of a file can be found without reading what is before it."""

    unit: int = 1
    """Bytes that the bounds of splits, and the sizes of uncompressed files, are a multiple of."""

    boundary: str = ""
    """What a file can be cut at for its pieces to be files of this format themselves, in words; empty where
    it must stay whole."""

    empty_files: ClassVar[bool] = False
    """Whether a file without a byte holds a record nevertheless."""

    def __init__(self, argument: str = "") -> None:
        if argument:
            raise UsageError(f"this input format takes no argument; {argument!r} follows its name")

    @abstractmethod
    def cut(self, stream: InputStream, offset: int, end: int | None) -> Iterator[bytes]:
        """Yield the records that begin from ``offset`` up to, not including, ``end``.

        They come in pieces of whole records, of bounded size where the records are small. ``end`` is None
        for a file that is one split: it ends where its (decompressed) bytes do.
        """

    @abstractmethod
    def parse(self, piece: bytes) -> list[Any]:
        """Return the records of one piece that :meth:`cut` yielded. Raises :class:`BadRecord`."""

    def parse_all(self, pieces: Iterable[bytes], split: InputSplit) -> Iterator[list[Any]]:
        """Return the records of all pieces of ``split``, in lists."""
        return map(self.parse, pieces)


class LineFormat(InputFormat):
    """Lines of text; see ``blfs_mr.formats.lines`` for what a line is."""

    boundary = LINE_ENDS

    def cut(self, stream: InputStream, offset: int, end: int | None) -> Iterator[bytes]:
        return whole_lines(stream, offset, end)

    def parse(self, piece: bytes) -> list[str]:
        lines = piece.decode(ENCODING, ENCODING_ERRORS).split("\n")
        if not lines[-1]:
            del lines[-1]  # what stands behind the last line end is no line
        return lines


INPUT_FORMATS: dict[str, tuple[str, str]] = {
    "lines": ("reading", "LineFormat"),
    "jsonl": ("json_lines", "JsonLines"),
    "csv": ("tables", "Rows"),
    "csv-dict": ("tables", "NamedRows"),
    "binary": ("binary", "FixedSize"),
    "file": ("whole_files", "WholeFiles"),
    "records": ("records", "Records"),
    "parquet": ("columnar", "Parquet"),
    "arrow": ("columnar", "Arrow"),
}
"""By the name that a job gives as its ``input_format``: the module of this package and the class in it. A
task imports the one that it needs."""


def input_format(name: str) -> InputFormat:
    """Return the format called ``name`` or ``name:argument``. Raises :class:`UsageError` if there is none."""
    known, _, argument = name.partition(":")
    if known not in INPUT_FORMATS:
        raise UsageError(f"no input format {name!r}; there are: {', '.join(INPUT_FORMATS)}")
    if known == "lines" and not argument:
        return _LINES
    from importlib import import_module

    module, class_name = INPUT_FORMATS[known]
    made: InputFormat = getattr(import_module(f"blfs_mr.formats.{module}"), class_name)(argument)
    return made


_LINES = LineFormat()


class RecordCursor:
    """Iterates over the records in chunks, and can tell which record was handed out last.

    That is for error messages, so it costs nothing per record: the iteration is a C chain over list
    iterators, and the position is what the current one says it has left (``__length_hint__``, PEP 424).
    """

    __slots__ = ("_before", "_chunk", "_chunks", "_left")

    def __init__(self, chunks: Iterator[list[Any]]) -> None:
        self._chunks = chunks
        self._chunk: list[Any] = []
        self._left = iter(self._chunk)
        self._before = 0

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self._iterators())

    def _iterators(self) -> Iterator[Iterator[Any]]:
        for chunk in self._chunks:
            self._before += len(self._chunk)
            self._chunk = chunk
            self._left = iter(chunk)
            yield self._left

    @property
    def current(self) -> Any:
        """The record handed out last; None before the first."""
        handed_out = self._handed_out()
        return self._chunk[handed_out - 1] if handed_out else None

    @property
    def count(self) -> int:
        """How many records were handed out."""
        return self._before + self._handed_out()

    def _handed_out(self) -> int:
        return len(self._chunk) - self._left.__length_hint__()  # type: ignore[attr-defined, no-any-return]


class SplitReader:
    """A split, opened in a format: what ``map_split`` gets (it is a ``blfs_mr.job.Split``).

    Every method reads the file anew, so they can be called in any order and more than once. All raise
    :class:`InputError` for a file that cannot be read.
    """

    __slots__ = ("_format", "_split")

    def __init__(self, split: InputSplit, format: InputFormat) -> None:
        self._split, self._format = split, format

    @property
    def path(self) -> str:
        """The absolute path of the file."""
        return self._split.path

    @property
    def offset(self) -> int:
        """Where in the file the split begins, in bytes; compressed ones in a compressed file."""
        return self._split.offset

    @property
    def length(self) -> int:
        """How long the split is, in bytes. Its records may begin later and end later."""
        return self._split.length

    @property
    def source(self) -> int:
        """Which INPUT argument, from 0, the file came from."""
        return self._split.source

    def pieces(self) -> Iterator[bytes]:
        """Yield the split's whole records as bytes, a bounded part of the file at a time."""
        with InputStream(self.path) as stream:
            end = None if is_compressed(self.path) else self.offset + self.length
            yield from self._format.cut(stream, self.offset, end)

    def read(self) -> bytes:
        """Return the split's whole records as bytes."""
        return b"".join(self.pieces())

    def text(self) -> str:
        """Return the split's whole records as text: UTF-8, any other byte as a lone surrogate."""
        return self.read().decode(ENCODING, ENCODING_ERRORS)

    def lines(self) -> Iterator[str]:
        r"""Yield the lines of the split's whole records, without their ``\n``."""
        return chain.from_iterable(map(_LINES.parse, self.pieces()))

    def record_chunks(self) -> Iterator[list[Any]]:
        """Yield the split's records in lists."""
        before = 0

        def counted() -> Iterator[bytes]:
            nonlocal before
            for number, piece in enumerate(self.pieces()):
                before = number
                yield piece

        try:
            yield from self._format.parse_all(counted(), self._split)
        except BadRecord as error:
            line = self._lines_before(before) + error.line + 1
            raise InputError(f"the input {self.path}, line {line}: {error.reason}") from error

    def records(self) -> RecordCursor:
        """Return a cursor over the split's records."""
        return RecordCursor(self.record_chunks())

    def _lines_before(self, pieces: int) -> int:
        """How many lines stand in the file before the piece with that number. It is read again for that."""
        lines = 0
        if self.offset:
            # The first record begins after the first line end at or after the byte before the split.
            left = self.offset - 1
            with InputStream(self.path) as stream:
                while left and (chunk := stream.read(min(left, 1 << 20))):
                    lines += chunk.count(b"\n")
                    left -= len(chunk)
            lines += 1
        return lines + sum(piece.count(b"\n") for piece in islice(self.pieces(), pieces))


def open_split(split: InputSplit, format_name: str = "lines") -> SplitReader:
    """Return a reader of ``split``, not opened yet. Raises :class:`UsageError` for an unknown format."""
    return SplitReader(split, input_format(format_name))
