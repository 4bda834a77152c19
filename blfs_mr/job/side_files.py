"""Files that travel with a job: where a task finds them, and what they may be called.

Plain files stand in the working folder of all tasks of the job on a worker. Modules stand in a folder beside
it that is on the module search path; a package is a zip file there, which Python imports without unpacking
it. Submitter and launcher place them in the same way, so that a job file that loads here loads there.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator

from blfs_mr.errors import JobFileError
from blfs_mr.model import SideFile

FILES, MODULES = "files", "modules"
"""The folders: apart from each other, so that no plain file is imported in place of an installed module, and
from all else in a job's folder, so that no name that a user gives can be in its way."""

MAX_NAME = 255
"""Bytes of a file's name, as in every file system in use here (NAME_MAX)."""


def problem_with_name(name: str) -> str | None:
    """Return why ``name`` cannot be the name of a side file; None if it can."""
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        return f"{name!r} is no plain file name"
    if len(os.fsencode(name)) > MAX_NAME:
        return f"the name {name[:40]!r}... is longer than {MAX_NAME} bytes"
    return None


def place(side_files: Iterable[SideFile], folder: str) -> None:
    """Write the files below ``folder``, make it the working folder, and its modules importable.

    Raises :class:`JobFileError` for a name that could lead elsewhere, OSError where the disk is full.
    """
    files, modules = os.path.join(folder, FILES), os.path.join(folder, MODULES)
    os.mkdir(files)
    found: list[str] = []
    for side_file in side_files:
        if problem := problem_with_name(side_file.name):
            raise JobFileError(f"a side file: {problem}")
        if side_file.importable and not found:
            os.mkdir(modules)
            found.append(modules)
        path = os.path.join(modules if side_file.importable else files, side_file.name)
        with open(path, "xb") as file:
            file.write(side_file.content)
        if side_file.importable and side_file.name.endswith(".zip"):
            found.append(path)
    sys.path[:0] = found
    os.chdir(files)


@contextlib.contextmanager
def placed(side_files: Iterable[SideFile]) -> Iterator[None]:
    """Have the files placed for a while, in a temporary folder; without any, nothing is changed."""
    side_files = tuple(side_files)
    if not side_files:
        yield
        return
    import tempfile

    back, search_path = os.getcwd(), list(sys.path)
    with tempfile.TemporaryDirectory(prefix="blfs-mr-side-files-") as folder:
        try:
            place(side_files, folder)
            yield
        finally:
            sys.path[:] = search_path
            os.chdir(back)
