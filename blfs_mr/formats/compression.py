"""Input files as streams of bytes, decompressed where the end of the name says that they are compressed.

A compressed file cannot be entered in the middle, so it is one split. Another compression is one more entry
in :data:`_OPENERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from blfs_mr.errors import InputError


def is_compressed(path: str) -> bool:
    """Tell whether :class:`InputStream` would decompress the file at ``path``."""
    return path.endswith(tuple(_OPENERS))


class InputStream:
    """The (decompressed) bytes of the file at ``path``, a bounded part of it in memory at a time.

    Every failure is an :class:`InputError` that names the file. A context manager.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        opener = next((opener for suffix, opener in _OPENERS.items() if path.endswith(suffix)), _open_plain)
        try:
            self._file = opener(path)
        except OSError as error:
            raise InputError(f"cannot read the input {path}: {error.strerror or error}") from error

    def __enter__(self) -> InputStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def seek(self, offset: int) -> None:
        """Go to ``offset``, in (decompressed) bytes from the file's start."""
        self._file.seek(offset)

    def read(self, size: int) -> bytes:
        """Return at least one and at most ``size`` bytes; none at the file's end only."""
        try:
            content: bytes = self._file.read(size)
        except _read_errors() as error:
            cause = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise InputError(f"cannot read the input {self.path}: {cause}") from error
        return content


def _open_plain(path: str) -> Any:
    # Unbuffered: the readers ask for large pieces, and a buffer between would only copy them once more.
    return open(path, "rb", buffering=0)


def _open_gzip(path: str) -> Any:
    import gzip  # most jobs never need it

    return gzip.open(path, "rb")


def _read_errors() -> tuple[type[Exception], ...]:
    import zlib  # evaluated on failure only

    return OSError, EOFError, zlib.error


_OPENERS: dict[str, Callable[[str], Any]] = {".gz": _open_gzip}
