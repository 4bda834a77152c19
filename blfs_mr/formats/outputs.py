r"""Writing result pairs.

A format is one subclass of :class:`OutputWriter` and an entry in :data:`OUTPUT_FORMATS`. The format ``text``
writes ``key<TAB>value\n`` for each pair:

=================================  =====================================================================
str                                as it is, UTF-8; lone surrogates that stand for a byte become that byte
bytes, bytearray                   as they are
int, float, bool                   as ``str()`` shows them
None                               nothing: the other one stands alone, without a tab
tuple, list, dict                  JSON (tuples as arrays, no escapes for non-ASCII text); ``repr()`` where
                                   JSON has no form for it
anything else                      as ``str()`` shows it
=================================  =====================================================================

Tabs and line ends inside a str or bytes are written as they are: what must be read back unambiguously is
better yielded as a list, whose JSON escapes them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from itertools import islice
from typing import Any, ClassVar, Protocol

from blfs_mr.errors import UsageError, UserCodeError

MOST_PAIRS_AT_ONCE = 256
"""Pairs formatted together. More gains no speed, and all are in memory before their size is known."""

BATCH_TARGET = 256 * 1024
"""Bytes that the pairs formatted together should come to; fewer are taken while they are large."""

WRITE_SIZE = 1024 * 1024
"""Bytes handed to the file at a time."""

_PLAIN = frozenset({str, int, float, bool})
_BYTES = frozenset({bytes})


class WritableFile(Protocol):
    """What a writer needs of a file opened for writing bytes."""

    def write(self, data: memoryview, /) -> int | None: ...


class OutputWriter(ABC):
    """Writes pairs to a binary file, which stays the caller's to flush and close."""

    most_pairs_at_once: ClassVar[int] = MOST_PAIRS_AT_ONCE
    """What the number of pairs formatted together may grow to, while they turn out to be small."""

    def __init__(self, file: WritableFile) -> None:
        self._file = file
        self._unwritten: list[bytes] = []
        self._unwritten_length = 0
        self._pairs_at_once = min(MOST_PAIRS_AT_ONCE, self.most_pairs_at_once)

    def write_all(self, pairs: Iterable[tuple[Any, Any]]) -> int:
        """Write all ``pairs`` and return how many there were.

        What the iterator raises passes through unchanged. Raises :class:`UserCodeError` for what is no pair,
        or cannot be formatted.
        """
        written = 0
        remaining = iter(pairs)
        while batch := list(islice(remaining, self._pairs_at_once)):
            formatted = self.format(batch)
            self._write(formatted)
            written += len(batch)
            fitting = BATCH_TARGET * len(batch) // (len(formatted) + 1)
            self._pairs_at_once = min(max(fitting, 1), self.most_pairs_at_once)
        return written

    @abstractmethod
    def format(self, batch: list[tuple[Any, Any]]) -> bytes:
        """Return the bytes of some pairs, which the user's code yielded and nothing has checked yet."""

    def finish(self) -> None:
        """Hand the file all that is still here. Call it once, at the end."""
        self._hand_over()

    def _write(self, content: bytes) -> None:
        self._unwritten.append(content)
        self._unwritten_length += len(content)
        if self._unwritten_length >= WRITE_SIZE:
            self._hand_over()

    def _hand_over(self) -> None:
        view = memoryview(b"".join(self._unwritten))
        self._unwritten, self._unwritten_length = [], 0
        while view:
            taken = self._file.write(view)  # an unbuffered file may take less than it is offered
            view = view[len(view) if taken is None else taken :]


class TextWriter(OutputWriter):
    """The format ``text``; see this module's docstring."""

    def format(self, batch: list[tuple[Any, Any]]) -> bytes:
        if set(map(type, batch)) == {tuple}:
            # Columns that are all of one kind, which most are, need no decision per pair. A tuple that is no
            # pair makes the unpacking below fail; the slow way then finds and names it.
            columns = list(zip(*batch, strict=False))
            if len(columns) == 2:
                types = set(map(type, columns[0])).union(map(type, columns[1]))
                try:
                    if types <= _PLAIN:
                        return "".join([f"{key}\t{value}\n" for key, value in batch]).encode(
                            "utf-8", "surrogateescape"
                        )
                    if types == _BYTES:
                        return b"".join([b"%b\t%b\n" % (key, value) for key, value in batch])
                except ValueError:  # also: text that is not UTF-8, an int too long for str()
                    pass
        return b"".join(map(_format_pair, batch))


OUTPUT_FORMATS: dict[str, tuple[str, str]] = {
    "text": ("outputs", "TextWriter"),
    "jsonl": ("json_lines", "JsonLinesWriter"),
    "csv": ("tables", "TableWriter"),
    "binary": ("binary", "BinaryWriter"),
    "records": ("records", "RecordWriter"),
    "parquet": ("columnar", "TableFile"),
    "arrow": ("columnar", "TableFile"),
}
"""By the name that a job gives as its ``output_format``: the module of this package and the class in it."""


def output_format(name: str) -> type[OutputWriter]:
    """Return the class of the format called ``name``. Raises :class:`UsageError` if there is none."""
    if name not in OUTPUT_FORMATS:
        raise UsageError(f"no output format {name!r}; there are: {', '.join(OUTPUT_FORMATS)}")
    module, class_name = OUTPUT_FORMATS[name]
    if class_name == TextWriter.__name__:
        return TextWriter
    from importlib import import_module

    found: type[OutputWriter] = getattr(import_module(f"blfs_mr.formats.{module}"), class_name)
    return found


def open_writer(file: WritableFile, format_name: str = "text") -> OutputWriter:
    """Return a writer of the format called ``format_name``. Raises :class:`UsageError` if there is none."""
    return output_format(format_name)(file)


def check_pair(pair: Any) -> tuple[Any, Any]:
    """Return ``pair``. Raises :class:`UserCodeError` if it is none."""
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise UserCodeError(f"reduce must yield (key, value) pairs; got {shorten(pair)}")
    return pair


def _format_pair(pair: object) -> bytes:
    key, value = check_pair(pair)
    try:
        if value is None:
            return format_item(key) + b"\n"
        if key is None:
            return format_item(value) + b"\n"
        return b"%b\t%b\n" % (format_item(key), format_item(value))
    except Exception as error:
        raise UserCodeError(
            f"reduce yielded a pair that cannot be written as text, {shorten(pair)}: {error}"
        ) from error


def format_item(item: object) -> bytes:
    """The bytes of a key or value in the format ``text``."""
    if isinstance(item, str):
        return encode_text(item)
    if isinstance(item, bytes | bytearray):
        return bytes(item)
    if item is None:
        return b""
    if isinstance(item, tuple | list | dict):
        return encode_text(_format_nested(item))
    return encode_text(str(item))


def _format_nested(item: object) -> str:
    import json  # many jobs never need it

    try:
        return json.dumps(item, ensure_ascii=False)
    except (TypeError, ValueError):
        return repr(item)


def encode_text(text: str) -> bytes:
    """UTF-8 for any str there is."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # Half of a pair of surrogates, as it comes out of cut JSON. UTF-8 has no form for it, but a job is
        # not to fail at its very end for that: write the three bytes that others write for it (WTF-8).
        return b"".join(
            character.encode(
                "utf-8", "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
            )
            for character in text
        )


def shorten(item: object) -> str:
    """A part of ``repr(item)`` for an error message."""
    try:
        shown = repr(item)
    except Exception:  # noqa: BLE001  # a user's __repr__ may do anything, and must not hide the real error
        return f"a {type(item).__name__} whose repr() fails"
    return shown if len(shown) <= 200 else f"{shown[:200]}..."
