"""Input files as streams of bytes, decompressed where the end of the name says that they are compressed.

A compressed file cannot be entered in the middle, so it is one split. Another compression is one more entry
in :data:`_OPENERS`. A class of files to read from has ``read(size)``, ``seek(offset)`` and ``close()``.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from blfs_mr.errors import InputError

ZSTANDARD_CHUNK = 4096
"""Compressed bytes fed to the decompressor at once. It returns all that they stand for, and a block of
128 KiB may take as few as four bytes: so a hostile file costs 128 MiB, and an ordinary one some calls."""


def is_compressed(path: str) -> bool:
    """Tell whether :class:`InputStream` would decompress the file at ``path``."""
    return path.endswith(tuple(_OPENERS))


def check_readable(path: str) -> None:
    """Raise :class:`InputError` if ``path`` is compressed in a way that nothing installed here can read."""
    if path.endswith(".zst"):
        _zstandard(path)


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


def _zstandard(path: str) -> Any:
    try:
        import zstandard  # an optional dependency
    except ImportError:
        raise InputError(
            f"the input {path} is compressed with Zstandard, which cannot be read here: "
            "pip install 'blfs-mr[compression]', on every worker as well"
        ) from None
    return zstandard


class _ZstandardFile:
    """Reads a file of one or more Zstandard frames, and tells when the last of them is cut short.

    The library's own stream reader takes a truncated file for a complete one.
    """

    def __init__(self, path: str) -> None:
        self._decompressor = _zstandard(path).ZstdDecompressor()
        self._file = open(path, "rb")  # noqa: SIM115 - closed by close()
        self._frame: Any = None
        self._compressed = b""
        self._ready = memoryview(b"")

    def read(self, size: int) -> bytes:
        while not self._ready:
            chunk = self._compressed or self._file.read(ZSTANDARD_CHUNK)
            if not chunk:
                if self._frame is not None:
                    raise EOFError("it ends before the end of its last frame")
                return b""
            if self._frame is None:
                self._frame = self._decompressor.decompressobj()
            self._ready = memoryview(self._frame.decompress(chunk))
            self._compressed = b""
            if self._frame.eof:
                self._compressed = self._frame.unused_data
                self._frame = None
        content = bytes(self._ready[:size])
        self._ready = self._ready[size:]
        return content

    def seek(self, offset: int) -> None:
        while offset and (skipped := self.read(offset)):
            offset -= len(skipped)

    def close(self) -> None:
        self._file.close()


def _read_errors() -> tuple[type[Exception], ...]:
    import sys  # all this is evaluated on failure only
    import zlib

    zstandard = sys.modules.get("zstandard")
    more = (zstandard.ZstdError,) if zstandard is not None else ()
    return OSError, EOFError, zlib.error, *more


_OPENERS: dict[str, Callable[[str], Any]] = {".gz": _open_gzip, ".zst": _ZstandardFile}
