"""Side files as the command line names them, read into what travels with the job."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from blfs_mr.errors import InputError, UsageError
from blfs_mr.job.side_files import problem_with_name
from blfs_mr.model import SideFile
from blfs_mr.units import format_size

MAX_TOTAL = 8 * 1024 * 1024
"""Bytes of all side files of a job. They travel inside the message that submits it, whose frame is bounded,
and from the master to every worker. What is larger is data: it belongs into the input."""

_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can hold; for all files, so that the same package is the same bytes."""


def read_side_files(files: Iterable[str], modules: Iterable[Path]) -> tuple[SideFile, ...]:
    """Read the files of ``--file PATH[:NAME]`` and the modules of ``--py-module PATH``.

    A module is a ``.py`` file, a ``.zip``, or the folder of a package, which is zipped. Raises
    :class:`InputError` for what cannot be read, :class:`UsageError` for names that clash or sizes beyond
    :data:`MAX_TOTAL`.
    """
    found = [*map(_plain, files), *map(_module, modules)]
    for number, side_file in enumerate(found):
        if problem := problem_with_name(side_file.name):
            raise UsageError(f"--file: {problem}; give another one as PATH:NAME")
        if any((o.name, o.importable) == (side_file.name, side_file.importable) for o in found[:number]):
            raise UsageError(f"two side files would be called {side_file.name!r}; rename one, as PATH:NAME")
    total = sum(len(side_file.content) for side_file in found)
    if total > MAX_TOTAL:
        raise _too_large("all side files together", total)
    return tuple(found)


def _plain(option: str) -> SideFile:
    path, colon, name = option, "", ""
    if not os.path.exists(option):  # first: a file's own name may hold a colon
        path, colon, name = option.rpartition(":")
    if not colon:
        path, name = option, os.path.basename(option)
    return SideFile(name, _content(Path(path)), importable=False)


def _module(path: Path) -> SideFile:
    path = Path(os.path.abspath(path))  # of "." and "..", too, a name is needed
    if path.is_dir():
        return SideFile(f"{path.name}.zip", _zipped(path), importable=True)
    if path.suffix not in (".py", ".zip"):
        raise UsageError(f"--py-module {path}: a module is a .py file, a .zip, or the folder of a package")
    return SideFile(path.name, _content(path), importable=True)


def _content(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InputError(f"the side file {path} is no regular file")
            if status.st_size > MAX_TOTAL:
                raise _too_large(str(path), status.st_size)
            return file.read(MAX_TOTAL)
    except OSError as error:
        raise InputError(f"cannot read the side file {path}: {error.strerror}") from error


def _too_large(what: str, size: int) -> UsageError:
    return UsageError(
        f"{what}: {format_size(size)}, of which {format_size(MAX_TOTAL)} may travel with a job; put what is "
        "larger on a disk that all workers see, or into the input"
    )


def _zipped(package: Path) -> bytes:
    """The package's files below a folder of its name, as zipimport wants them; compiled ones are left out."""
    import zipfile  # takes longer to import than most submissions take to read their job

    content = io.BytesIO()
    size = 0
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in _files_of(package):
            data = _content(path)
            size += len(data)
            if size > MAX_TOTAL:
                raise _too_large(str(package), size)
            name = str(path.relative_to(package.parent))
            archive.writestr(zipfile.ZipInfo(name, _EARLIEST), data, zipfile.ZIP_DEFLATED)
        if not any(name.endswith(".py") for name in archive.namelist()):
            raise UsageError(f"--py-module {package}: there is no .py file in this folder")
    return content.getvalue()


def _files_of(package: Path) -> Iterator[Path]:
    for path in sorted(package.rglob("*")):
        inside = path.relative_to(package).parts
        if path.is_file() and path.suffix != ".pyc" and not any(part.startswith(".") for part in inside):
            yield path
