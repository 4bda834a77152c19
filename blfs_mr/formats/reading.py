"""From a split to its records.

A format is one subclass of :class:`InputFormat` and an entry in :data:`INPUT_FORMATS`. Records arrive in
lists, a chunk of the split at a time, so that what runs per record is C code only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import chain
from typing import Any, ClassVar

from blfs_mr.errors import UsageError
from blfs_mr.formats.compression import InputStream, is_compressed
from blfs_mr.formats.lines import whole_lines
from blfs_mr.model import InputSplit

ENCODING, ENCODING_ERRORS = "utf-8", "surrogateescape"


class InputFormat(ABC):
    """How the bytes of a file become records, in two steps: whole records as bytes, then as objects."""

    divisible: ClassVar[bool] = True
    """Whether the first record after any byte of a file can be found without reading what is before it."""

    @abstractmethod
    def cut(self, stream: InputStream, offset: int, end: int | None) -> Iterator[bytes]:
        """Yield the records that begin from ``offset`` up to, not including, ``end``.

        They come in pieces of whole records, of bounded size where the records are small. ``end`` is None
        for a file that is one split: it ends where its (decompressed) bytes do.
        """

    @abstractmethod
    def parse(self, piece: bytes) -> list[Any]:
        """Return the records of one piece that :meth:`cut` yielded."""


class LineFormat(InputFormat):
    """Lines of text; see ``blfs_mr.formats.lines`` for what a line is."""

    def cut(self, stream: InputStream, offset: int, end: int | None) -> Iterator[bytes]:
        return whole_lines(stream, offset, end)

    def parse(self, piece: bytes) -> list[str]:
        lines = piece.decode(ENCODING, ENCODING_ERRORS).split("\n")
        if not lines[-1]:
            del lines[-1]  # what stands behind the last line end is no line
        return lines


INPUT_FORMATS: dict[str, InputFormat] = {"lines": LineFormat()}
"""By the name that a job gives as its ``input_format``."""


def input_format(name: str) -> InputFormat:
    """Return the format called ``name``. Raises :class:`UsageError` if there is none."""
    try:
        return INPUT_FORMATS[name]
    except KeyError:
        raise UsageError(f"no input format {name!r}; there are: {', '.join(INPUT_FORMATS)}") from None


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
        parse = INPUT_FORMATS["lines"].parse
        return chain.from_iterable(map(parse, self.pieces()))

    def record_chunks(self) -> Iterator[list[Any]]:
        """Yield the split's records in lists."""
        return map(self._format.parse, self.pieces())

    def records(self) -> RecordCursor:
        """Return a cursor over the split's records."""
        return RecordCursor(self.record_chunks())


def open_split(split: InputSplit, format_name: str = "lines") -> SplitReader:
    """Return a reader of ``split``, not opened yet. Raises :class:`UsageError` for an unknown format."""
    return SplitReader(split, input_format(format_name))
