"""The shared files of a volume that is to be formatted: their names and sizes, and the text they come from.

A volume is made of ``count`` files of one size, or of the files listed in a text of lines ``name:size``. That
text is the one the storage of a node was described with before there was ``blfs-mr volume format``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from blfs_mr.errors import UsageError
from blfs_mr.linux import PAGE
from blfs_mr.units import format_size, parse_size

MAX_SHARED_FILES = 100_000
"""Files of one volume: the table of them is read at each start, and 100,000 take 6.5 MB."""

MAX_NAME = 48
"""Bytes of a name: what an entry of the superblock's table has room for."""

SMALLEST_FILE = 2 * PAGE
"""A page for the index of a run and a page for its data."""

SUPERBLOCK_NAME, LOCK_NAME = "volume.superblock", "volume.lock"
"""The files of a volume in the file layout that are not shared files."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_RESERVED = {SUPERBLOCK_NAME, LOCK_NAME, "lost+found"}


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A shared file before it has a place: ``size`` bytes under ``name``."""

    name: str
    size: int


def is_name(name: str) -> bool:
    """Whether a shared file can have this name: one component of a path, and none of our own files."""
    return len(name) <= MAX_NAME and _NAME.fullmatch(name) is not None and name not in _RESERVED


def uniform_files(count: int, size: int) -> tuple[NamedFile, ...]:
    """``count`` files of ``size`` bytes. Raises UsageError where the figures cannot be."""
    _check_count(count)
    _check_size(size, "a shared file")
    return tuple(NamedFile(f"shared-{number:05d}", size) for number in range(count))


def parse_shared_files(text: str) -> tuple[NamedFile, ...]:
    """The files of a text of lines ``name:size``; empty lines and those that begin with ``#`` are skipped.

    A size is a number of bytes or has a unit, as ``2MiB``; in the older texts ``2M``. Raises UsageError with
    the number of the line.
    """
    files: dict[str, NamedFile] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, size = line.strip().rpartition(":")
        if not colon:
            raise UsageError(f"line {number}: {line!r} is not of the form name:size")
        name = name.strip()
        if not is_name(name):
            raise UsageError(
                f"line {number}: {name!r} cannot be a shared file's name: allowed are up to {MAX_NAME} "
                "letters, digits, -, _ and ., beginning with none of - and ., and no name of our own"
            )
        if name in files:
            raise UsageError(f"line {number}: {name} stands there twice")
        try:
            files[name] = NamedFile(name, parse_size(size.strip()))
        except ValueError as error:
            raise UsageError(f"line {number}: {error}") from error
        _check_size(files[name].size, f"line {number}: {name}")
    _check_count(len(files))
    return tuple(files.values())


def format_shared_files(files: Sequence[NamedFile]) -> str:
    """The text that :func:`parse_shared_files` reads as ``files``, with sizes in bytes."""
    return "".join(f"{file.name}:{file.size}\n" for file in files)


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_SHARED_FILES:
        raise UsageError(f"a volume has 1 to {MAX_SHARED_FILES} shared files, not {count}")


def _check_size(size: int, whose: str) -> None:
    if size < SMALLEST_FILE or size % PAGE:
        raise UsageError(
            f"{whose} must have a multiple of {PAGE} bytes, at least {format_size(SMALLEST_FILE)}, not {size}"
        )
