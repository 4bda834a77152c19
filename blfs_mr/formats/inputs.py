"""From the INPUT arguments of a job to files, and from files to splits.

An argument is a file, a folder (all files below it) or a glob, which may come quoted. In folders, names that
begin with ``.`` or ``_`` are left out, as Hadoop does: they are the bookkeeping of editors and of other jobs.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from blfs_mr.errors import InputError
from blfs_mr.formats.compression import check_readable, is_compressed
from blfs_mr.formats.reading import input_format
from blfs_mr.model import InputSplit, WorkerName
from blfs_mr.values import dataclass

MIB = 1024 * 1024

SMALLEST_DEFAULT_SPLIT = 1 * MIB
"""Below this, starting a task costs more than reading its split."""

LARGEST_DEFAULT_SPLIT = 32 * MIB
"""Above this, a task that is tried again repeats too much, and the last tasks leave slots idle for long."""

SPLITS_PER_SLOT = 4
"""Splits for each slot by default, so that slots that are done early take over from slow ones."""

MAX_SPLITS = 100_000
"""Map tasks of one job: all splits travel in one message, and the master keeps a state for each."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A regular file at ``path``, ``size`` bytes, named by INPUT argument number ``source``.

    ``holders`` are the workers on whose disks it is, each at that path, which is as in an ``InputSplit``;
    empty for a file on this host.
    """

    path: str
    size: int
    source: int
    holders: tuple[WorkerName, ...] = ()


def expand_inputs(arguments: Sequence[str]) -> tuple[InputFile, ...]:
    """Return the files that the INPUT arguments name: in the arguments' order, sorted by path within each.

    A file that two arguments name is there twice, with two sources (a join of a file with itself). Raises
    :class:`InputError` for what is missing, unreadable, or neither a file nor a folder.
    """
    if not arguments:
        raise InputError("no input: name at least one file, folder or glob")
    return tuple(
        file for source, argument in enumerate(arguments) for file in expand_argument(argument, source)
    )


def default_split_size(total_bytes: int, slots: int) -> int:
    """Return a split size in bytes that keeps ``slots`` slots busy with ``total_bytes`` of input."""
    wanted = total_bytes // (SPLITS_PER_SLOT * max(slots, 1))
    return min(max(wanted, SMALLEST_DEFAULT_SPLIT), LARGEST_DEFAULT_SPLIT)


def make_splits(
    files: Iterable[InputFile], split_size: int, format_name: str = "lines"
) -> tuple[InputSplit, ...]:
    """Divide ``files`` into splits of at most ``split_size`` bytes and of nearly equal length within a file.

    Compressed files, and files of a format whose records cannot be found from the middle, are one split
    each. An empty file has none, unless it is a record of its format. Splits of records of a fixed size hold
    whole records, at least one. Raises :class:`InputError` above :data:`MAX_SPLITS`, and for a file that
    cannot be of the format, or be decompressed.
    """
    if split_size < 1:
        raise InputError(f"a split size of {split_size} bytes is not possible; it is at least 1 byte")
    format = input_format(format_name)
    splits: list[InputSplit] = []
    for file in files:
        check_readable(file.path)
        unit = 1 if is_compressed(file.path) else format.unit
        if file.size % unit:
            raise InputError(
                f"the input {file.path} of {file.size} bytes does not consist of whole records of {unit}"
                " bytes"
            )
        units = file.size // unit
        if format.divisible and not is_compressed(file.path):
            pieces = min(-(-file.size // split_size), units)
        else:
            pieces = 1 if file.size or format.empty_files else 0
        if len(splits) + pieces > MAX_SPLITS:
            raise InputError(
                f"the input makes more than {MAX_SPLITS} splits of {split_size} bytes; choose a larger"
                " --split-size, or join small files into fewer"
            )
        bounds = [units * piece // pieces * unit for piece in range(pieces + 1)] if pieces else []
        for offset, end in pairwise(bounds):
            splits.append(InputSplit(file.path, offset, end - offset, file.source, file.holders))
    return tuple(splits)


def expand_argument(argument: str, source: int) -> list[InputFile]:
    """The files that one INPUT argument names; see :func:`expand_inputs`."""
    if os.path.lexists(argument):  # first: a file's own name may hold what a glob would take for a pattern
        return _expand_path(argument, source)
    if not glob.has_magic(argument):
        raise InputError(f"no such input: {argument}")
    asked_for = [part for part in argument.split(os.sep) if part.startswith("_")]
    matches = [
        path
        for path in sorted(glob.glob(argument, recursive=True))  # which leaves names with a dot out itself
        if all(
            any(fnmatch.fnmatchcase(name, pattern) for pattern in asked_for)
            for name in path.split(os.sep)
            if name.startswith("_")
        )
    ]
    files = {file.path: file for path in matches for file in _expand_path(path, source, may_be_empty=True)}
    if not files:
        raise InputError(f"no input file matches {argument}")
    return list(files.values())


def _expand_path(path: str, source: int, *, may_be_empty: bool = False) -> list[InputFile]:
    if not os.path.isdir(path):
        return [_input_file(path, source)]
    files = [_input_file(found, source) for found in _files_below(path, ())]
    if not files and not may_be_empty:
        raise InputError(
            f"no input file in the folder {path} (names that begin with '.' or '_' are left out)"
        )
    return files


def _files_below(folder: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """Yield the paths of all files below ``folder``, sorted; ``above`` are the folders on the way here."""
    try:
        status = os.stat(folder)
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise InputError(f"cannot read the input folder {folder}: {error.strerror}") from error
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        raise InputError(f"the input folder {folder} is a link to a folder that it lies in")
    for name in names:
        path = os.path.join(folder, name)
        if _is_left_out(name):
            continue
        if os.path.isdir(path):
            yield from _files_below(path, (*above, identity))
        else:
            yield path


def _is_left_out(name: str) -> bool:
    return name.startswith((".", "_"))


def _input_file(path: str, source: int) -> InputFile:
    try:
        status = os.stat(path)
    except OSError as error:
        raise InputError(f"cannot read the input {path}: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"the input {path} is {_kind_of(status.st_mode)}; inputs are regular files")
    if not os.access(path, os.R_OK):
        raise InputError(f"cannot read the input {path}: permission denied")
    return InputFile(os.path.abspath(path), status.st_size, source)


def _kind_of(mode: int) -> str:
    kinds = (
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISBLK, "a block device"),
        (stat.S_ISCHR, "a character device"),
    )
    return next((name for is_kind, name in kinds if is_kind(mode)), "no regular file")
