"""``.meta`` files: which worker holds which file, one ``path:worker`` a line.

They stand beside inputs that were distributed and outputs that were left on the workers. The worker is what
follows the last colon, so paths may hold colons; they may not hold line ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from blfs_mr.atomic_files import replace_file
from blfs_mr.errors import InputError, OutputError
from blfs_mr.model import WorkerName
from blfs_mr.values import dataclass


@dataclass(frozen=True, slots=True)
class MetaEntry:
    """A file at ``path`` on the disk of ``worker``."""

    path: str
    worker: WorkerName


def read_meta(path: str) -> tuple[MetaEntry, ...]:
    """Return the entries of the file at ``path``, in its order; empty lines are skipped.

    Raises :class:`InputError` if it cannot be read, or naming the first line that is no entry.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            lines = file.read().split("\n")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        held, _, worker = line.rpartition(":")
        if not held or not worker:
            raise InputError(f"{path}, line {number}: {line!r} is not of the form path:worker")
        entries.append(MetaEntry(held, WorkerName(worker)))
    return tuple(entries)


def write_meta(path: str, entries: Iterable[MetaEntry]) -> None:
    """Write ``entries`` to the file at ``path``, replacing it as a whole or not at all.

    Raises :class:`OutputError` if it cannot be written, or if an entry cannot be told apart on one line.
    """
    lines = []
    for entry in entries:
        if (
            "\n" in entry.path
            or "\n" in entry.worker
            or ":" in entry.worker
            or not (entry.path and entry.worker)
        ):
            raise OutputError(f"{entry.path!r} on {entry.worker!r} cannot be written as a line of {path}")
        lines.append(f"{entry.path}:{entry.worker}\n")
    try:
        replace_file(Path(path), "".join(lines).encode(errors="surrogateescape"), 0o666)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
