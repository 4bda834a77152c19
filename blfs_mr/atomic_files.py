"""Files that appear, or are replaced, in one step: written beside their place, flushed, then renamed.

Whoever reads such a file sees all of it, of this time or of the last. Neither function makes folders, and
both raise OSError, leaving nothing behind.
"""

from __future__ import annotations

import os
from pathlib import Path


def write_beside(path: Path, contents: bytes, mode: int) -> Path:
    """Write ``contents`` to a new file in the folder of ``path``, to be renamed or linked; returns its path.

    ``mode`` holds from the first byte on, less what the process' umask takes.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink()
        raise
    return temporary


def replace_file(path: Path, contents: bytes, mode: int) -> None:
    """Make ``contents`` the file at ``path``, with ``mode``, whether there is one or not; for good."""
    temporary = write_beside(path, contents, mode)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise
    # Until then a loss of power may bring the old file back.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
