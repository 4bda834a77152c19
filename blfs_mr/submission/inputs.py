"""What the INPUT arguments of a submission stand for: files of this host, or files on workers' disks.

An argument is a file, a folder or a glob of this host; a ``.meta`` file, which lists files of workers, as the
output of an earlier job; or the name of an input that was put on workers. The latter two need a master.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from blfs_mr.errors import InputError, RequestFailed, UsageError
from blfs_mr.formats.cutting import check_cut
from blfs_mr.formats.inputs import InputFile, expand_argument
from blfs_mr.formats.meta import MetaEntry, read_meta
from blfs_mr.model import WorkerName
from blfs_mr.submission.client import Client
from blfs_mr.values import dataclass
from blfs_mr.worker_folders import NAME

META = ".meta"


@dataclass(frozen=True, slots=True)
class Listed:
    """INPUT argument number ``source``, a ``.meta`` file at ``path``."""

    source: int
    path: str
    entries: tuple[MetaEntry, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """INPUT argument number ``source``, which may be the name of an input that was put on workers.

    ``files`` are those that are here under that name: then it must not be both.
    """

    source: int
    name: str
    files: tuple[InputFile, ...]


Argument = tuple[InputFile, ...] | Listed | Named


def read_arguments(arguments: Sequence[str], *, have_master: bool) -> tuple[Argument, ...]:
    """What can be told of the INPUT arguments on this host. Raises InputError."""
    return tuple(_read(argument, source, have_master) for source, argument in enumerate(arguments))


def find_files(arguments: Iterable[Argument], client: Client, format_name: str) -> tuple[InputFile, ...]:
    """All files of the ``arguments``, in their order, which are to be read as ``format_name``.

    Raises InputError where there is no such input, or a worker cannot be asked.
    """
    found: list[InputFile] = []
    for argument in arguments:
        match argument:
            case Listed():
                found += _measured(argument, client)
            case Named():
                found += _named(argument, client, format_name)
            case _:
                found += argument
    return tuple(found)


def _read(argument: str, source: int, have_master: bool) -> Argument:
    if argument.endswith(META) and os.path.isfile(argument):
        if not have_master:
            raise UsageError(
                f"{argument} lists files on the workers of a cluster: name it with --master or --config"
            )
        return Listed(source, argument, read_meta(argument))
    if have_master and NAME.fullmatch(argument):
        is_here = os.path.lexists(argument)
        return Named(source, argument, tuple(expand_argument(argument, source)) if is_here else ())
    return tuple(expand_argument(argument, source))


def _measured(listed: Listed, client: Client) -> list[InputFile]:
    """The entries of a list, in its order, with the sizes that their workers tell."""
    by_worker: dict[WorkerName, list[str]] = {}
    for entry in listed.entries:
        if not os.path.isabs(entry.path):
            raise InputError(f"{listed.path}: {entry.path} on {entry.worker} is no absolute path")
        by_worker.setdefault(entry.worker, []).append(entry.path)
    sizes: dict[MetaEntry, int] = {}
    for worker, paths in by_worker.items():
        try:
            told = client.measure(worker, tuple(paths))
        except RequestFailed as error:
            raise InputError(f"{listed.path}: {error}") from error
        sizes |= {MetaEntry(path, worker): size for path, size in zip(paths, told, strict=True)}
    return [InputFile(entry.path, sizes[entry], listed.source, (entry.worker,)) for entry in listed.entries]


def _named(named: Named, client: Client, format_name: str) -> list[InputFile]:
    try:
        described = client.describe_input(named.name)
    except RequestFailed as error:
        if named.files:
            return list(named.files)
        raise InputError(f"no such input: {named.name}: no file is here, and {error}") from error
    if named.files:
        raise InputError(
            f"{named.name} is here, and also the name of an input on the workers: write ./{named.name} for "
            "what is here"
        )
    check_cut(f"the input {named.name}", described.boundary, format_name)
    return [InputFile(file.path, file.size, named.source, file.holders) for file in described.files]
