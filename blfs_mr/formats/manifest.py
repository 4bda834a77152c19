"""Manifests: what an input consists of that was put on workers, and who holds which piece.

A manifest is a text: a line of JSON about the whole input, then a line of JSON for each piece. Its file is
written when all pieces are in their places, and replaced as a whole, so an input is there when its manifest
is. The master's host has it; pieces are found by it alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blfs_mr.errors import InputError
from blfs_mr.model import WorkerName
from blfs_mr.values import dataclass
from blfs_mr.worker_folders import NAME

SUFFIX = ".manifest"

_VERSION = 1


@dataclass(frozen=True, slots=True)
class HeldPiece:
    """A piece: ``size`` bytes with the SHA-256 ``digest`` (hex), as a file of each of ``holders``.

    ``path`` is relative to the folder that each worker keeps for input.
    """

    path: str
    size: int
    digest: str
    holders: tuple[WorkerName, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """The first line. ``held`` counts the pieces on each worker, ``boundary`` is where files were cut.

    ``identity`` is new with every put, and part of the pieces' paths: those of an earlier input of the name
    are others. ``removed`` is True while the pieces are being removed: then it is no input any more.
    """

    name: str
    identity: str
    boundary: str
    pieces: int
    size: int
    held: Mapping[str, int]
    removed: bool = False

    @property
    def folder(self) -> str:
        """The folder of its pieces, in each holder's folder for input."""
        return f"{self.name}.{self.identity}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A whole manifest."""

    name: str
    identity: str
    boundary: str
    pieces: tuple[HeldPiece, ...]
    removed: bool = False

    @property
    def summary(self) -> Summary:
        """What its first line says."""
        held = Counter(str(holder) for piece in self.pieces for holder in piece.holders)
        size = sum(piece.size for piece in self.pieces)
        return Summary(
            self.name, self.identity, self.boundary, len(self.pieces), size, dict(held), self.removed
        )

    def text(self) -> str:
        """What its file holds."""
        summary = self.summary
        first = {"version": _VERSION} | {key: getattr(summary, key) for key in _KEYS}
        rest = [[piece.path, piece.size, piece.digest, piece.holders] for piece in self.pieces]
        return "".join(f"{json.dumps(line, separators=(',', ':'))}\n" for line in (first, *rest))


_KEYS = ("name", "identity", "boundary", "pieces", "size", "held", "removed")


def check_name(name: str) -> None:
    """Raise :class:`InputError` unless ``name`` can name an input."""
    if not NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot name an input: allowed are 1 to 64 letters, digits, - and _")


def parse_summary(line: str, source: str) -> Summary:
    """What the first line of the manifest ``source`` says. Raises :class:`InputError`."""
    try:
        told: dict[str, Any] = json.loads(line)
        if told.pop("version") == _VERSION:
            return Summary(**{key: told[key] for key in _KEYS})
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise InputError(f"{source} is no manifest that this version reads: remove it, and put its input again")


def parse_manifest(text: str, source: str) -> Manifest:
    """The manifest ``source`` of which ``text`` is all. Raises :class:`InputError`."""
    first, _, rest = text.partition("\n")
    summary = parse_summary(first, source)
    try:
        pieces = tuple(
            HeldPiece(path, size, digest, tuple(map(WorkerName, holders)))
            for path, size, digest, holders in map(json.loads, rest.splitlines())
        )
    except (ValueError, TypeError) as error:
        raise InputError(f"{source} holds what is no piece of an input: {error}") from error
    if len(pieces) != summary.pieces:
        raise InputError(f"{source} lists {len(pieces)} pieces and should have {summary.pieces}")
    return Manifest(summary.name, summary.identity, summary.boundary, pieces, summary.removed)


def read_manifest(folder: Path, name: str) -> Manifest:
    """The manifest of the input ``name`` in ``folder``. Raises InputError where there is no such input."""
    check_name(name)
    path = folder / f"{name}{SUFFIX}"
    try:
        manifest = parse_manifest(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise InputError(f"there is no input named {name} on the cluster") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the manifest {path} cannot be read: {error}") from error
    if manifest.removed:
        raise InputError(f"the input {name} is being removed")
    return manifest
