"""Inputs on workers: pieces in a folder of each holder, and a manifest on the master's host that lists them.

Each put has a folder of its own for its pieces, named in no manifest until all of them are in place and
verified. So writing the manifest, beside its place and by renaming, is what makes an input, or replaces one;
and whatever is in no manifest is left over from a put that was cut short.
"""

from __future__ import annotations

import heapq
import shlex
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from blfs_mr.cluster.places import HOME
from blfs_mr.cluster.ssh import SshHost
from blfs_mr.config import Config
from blfs_mr.errors import ClusterError, InputError
from blfs_mr.formats.manifest import SUFFIX, Manifest, Summary, parse_manifest, parse_summary
from blfs_mr.values import dataclass

MAX_PIECES = 50_000
"""Pieces of one input: its manifest is read through an SSH command, and travels in one message."""

_ABSENT = 44
"""Exit code of our commands for a manifest that is not there, or that is there already, or a lock that is
taken."""


@dataclass(frozen=True, slots=True)
class InputPlaces:
    """Where inputs stand on hosts: the folder of each worker, by name, and that of the master's manifests."""

    folders: Mapping[str, str]
    manifests: str

    def of(self, host: SshHost) -> str:
        """The folder for input of the worker on ``host``."""
        return self.folders[host.address.name]


def input_places(config: Config) -> InputPlaces:
    """The places that the daemons of the inventory's hosts know."""
    template = config.worker.input.replace("{home}", HOME)
    return InputPlaces(
        {worker.name: template.replace("{name}", worker.name) for worker in config.cluster.workers},
        config.master.manifests.replace("{home}", HOME),
    )


def place_pieces(
    count: int, workers: Sequence[str], held: Mapping[str, int], replicas: int
) -> list[tuple[str, ...]]:
    """The holders of each of ``count`` pieces: the ``replicas`` of ``workers`` that have the fewest then.

    ``held`` counts the pieces that each has already. Among equals, those named first.
    """
    load = Counter({worker: held.get(worker, 0) for worker in workers})
    order = {worker: number for number, worker in enumerate(workers)}
    placed = []
    for _ in range(count):
        holders = heapq.nsmallest(replicas, workers, key=lambda worker: (load[worker], order[worker]))
        load.update(holders)
        placed.append(tuple(holders))
    return placed


# ---------------------------------------------------------------- manifests, on the master's host


async def read_summaries(master: SshHost, places: InputPlaces) -> dict[str, Summary]:
    """The inputs that there are, by name, those that are being removed among them."""
    said = await master.check(
        f"cd {shlex.quote(places.manifests)} 2>/dev/null || exit 0\n"
        f'for file in *{SUFFIX}; do [ ! -f "$file" ] || {{ echo "$file"; head -qn 1 "$file"; }}; done'
    )
    lines = said.splitlines()
    where = f"{master.address.name}:{places.manifests}"
    found = [
        parse_summary(line, f"{where}/{file}") for file, line in zip(lines[::2], lines[1::2], strict=False)
    ]
    return {summary.name: summary for summary in found}


@asynccontextmanager
async def locked(master: SshHost, places: InputPlaces, name: str) -> AsyncIterator[None]:
    """Nobody else puts or removes the input ``name`` meanwhile.

    The lock goes with the connection, however that ends. Raises InputError where somebody has it, and
    ClusterError where it cannot be had at all.
    """
    file = shlex.quote(f"{places.manifests}/.{name}.lock")
    command = (
        f"exec 2>&1; mkdir -p {shlex.quote(places.manifests)} || exit\n"
        f"flock -n -E {_ABSENT} {file} cat; [ $? -ne {_ABSENT} ] || echo taken"
    )
    async with master.conversation(command) as holding:
        await holding.send(b"locked\n")
        said = (await holding.receive()).decode(errors="replace").strip()
        if said == "taken":
            raise InputError(f"the input {name} is being put or removed by somebody else: try again later")
        if said != "locked":
            why = said or "the connection ended"
            raise ClusterError(f"{master.address}: the input {name} cannot be locked: {why}")
        yield


async def read_manifest(master: SshHost, places: InputPlaces, name: str) -> Manifest | None:
    """The manifest of ``name``, also of an input that is being removed; None where there is none."""
    path = f"{places.manifests}/{name}{SUFFIX}"
    completed = await master.run(f"[ -e {shlex.quote(path)} ] || exit {_ABSENT}; cat {shlex.quote(path)}")
    if completed.exit_code == _ABSENT:
        return None
    if completed.exit_code != 0:
        raise ClusterError(f"{master.address}: {path} cannot be read: {completed.reason}")
    return parse_manifest(completed.output, f"{master.address.name}:{path}")


async def write_manifest(master: SshHost, places: InputPlaces, manifest: Manifest, *, replace: bool) -> None:
    """Make the input what ``manifest`` says. Raises InputError where it is there and not to be replaced."""
    path = f"{places.manifests}/{manifest.name}{SUFFIX}"
    unfinished = shlex.quote(f"{places.manifests}/.{manifest.name}.{manifest.identity}.unfinished")
    # A hard link, other than a rename, fails where the name is taken.
    into_place = (
        f"mv -fT {unfinished} {shlex.quote(path)}"
        if replace
        else f"ln -T {unfinished} {shlex.quote(path)} || exit {_ABSENT}"
    )
    completed = await master.run(
        f"set -e; umask 022; mkdir -p {shlex.quote(places.manifests)}\n"
        f"trap 'rm -f {unfinished}' EXIT\n"
        f"cat > {unfinished}; sync {unfinished}\n"
        f"{into_place}; sync -f {shlex.quote(places.manifests)}",
        input=manifest.text().encode(),
    )
    if completed.exit_code == _ABSENT:
        raise name_taken(manifest.name)
    if completed.exit_code != 0:
        raise ClusterError(f"{master.address}: {path} cannot be written: {completed.reason}")


async def remove_manifest(master: SshHost, places: InputPlaces, name: str) -> None:
    """Forget the input."""
    await master.check(["rm", "-f", "--", f"{places.manifests}/{name}{SUFFIX}"])


def name_taken(name: str) -> InputError:
    """What is told where an input of that name is there."""
    return InputError(f"there is an input named {name} already: choose another name, or replace it (--force)")


# ---------------------------------------------------------------- pieces, on a worker's host


async def prepare_folder(host: SshHost, places: InputPlaces, name: str, folder: str, keep: str) -> int:
    """Make ``folder`` for pieces of ``name``; the bytes that are free there.

    What earlier puts of that name left goes, but for the folder ``keep``.
    """
    base, user = places.of(host), host.address.user
    new = shlex.quote(f"{base}/{folder}")
    said = await host.check(
        f"set -e; umask 022; mkdir -p {shlex.quote(base)}\n"
        f"{_remove(base, name, keep)}\n"
        f"mkdir {new}\n"
        + (f"chown {shlex.quote(user)} {new}\n" if user != "root" else "")
        + f"df -B1 --output=avail {new} | tail -n 1"
    )
    return int(said)


async def finish_folder(host: SshHost, places: InputPlaces, folder: str) -> None:
    """All pieces in ``folder`` are verified: let tasks read them, and have them on the disk."""
    path = shlex.quote(f"{places.of(host)}/{folder}")
    await host.check(f"chmod -R u=rwX,go=rX {path} && sync -f {path}")


async def remove_pieces(host: SshHost, places: InputPlaces, name: str, keep: str = "") -> None:
    """Remove all pieces of ``name`` but those in the folder ``keep``."""
    base = places.of(host)
    await host.check(f"[ -d {shlex.quote(base)} ] || exit 0\n{_remove(base, name, keep)}")


async def remove_folder(host: SshHost, places: InputPlaces, folder: str) -> None:
    """Remove the folder of one put."""
    await host.check(["rm", "-rf", "--", f"{places.of(host)}/{folder}"])


async def found_pieces(host: SshHost, places: InputPlaces, folder: str) -> dict[str, int]:
    """The sizes of the pieces that are in ``folder``, by path as a manifest has it."""
    path = shlex.quote(f"{places.of(host)}/{folder}")
    said = await host.check(f"[ ! -d {path} ] || find {path} -type f -printf '%s %f\\n'")
    split = (line.partition(" ") for line in said.splitlines())
    return {f"{folder}/{name}": int(size) for size, _, name in split}


def missing_on(manifest: Manifest, found: Mapping[str, Mapping[str, int]]) -> Iterable[tuple[str, str]]:
    """The pieces (paths) that are missing on workers that hold them, of those that were ``found`` there."""
    for piece in manifest.pieces:
        for holder in piece.holders:
            if holder in found and found[holder].get(piece.path) != piece.size:
                yield piece.path, holder


def _remove(base: str, name: str, keep: str) -> str:
    # Names hold nothing that find would take for a pattern.
    return (
        f"find {shlex.quote(base)} -mindepth 1 -maxdepth 1 -type d -name {shlex.quote(f'{name}.*')} "
        f"! -name {shlex.quote(keep)} -exec rm -rf -- {{}} +"
    )
