"""Files written and read, as the tests of all formats need it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from blfs_mr.formats.inputs import InputFile, make_splits
from blfs_mr.formats.outputs import open_writer
from blfs_mr.formats.reading import open_split


def write(folder: Path, data: bytes, name: str = "input") -> str:
    """Write ``data`` to a file and return its path."""
    path = folder / name
    path.write_bytes(data)
    return str(path)


def read_records(path: str, format_name: str, split_size: int = 1 << 30) -> list[Any]:
    """The records of all splits of a file."""
    splits = make_splits([InputFile(path, os.path.getsize(path), 0)], split_size, format_name)
    return [record for split in splits for record in open_split(split, format_name).records()]


def written_by(format_name: str, pairs: Iterable[Any]) -> bytes:
    """What a writer makes of ``pairs``."""
    file = io.BytesIO()
    writer = open_writer(file, format_name)
    writer.write_all(pairs)
    writer.finish()
    return file.getvalue()
