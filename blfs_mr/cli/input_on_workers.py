"""``blfs-mr input put``, ``list`` and ``rm``: input on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext

import click
import uvloop
from tqdm import tqdm

from blfs_mr.cli.session import Session, pass_session, unreachable
from blfs_mr.cli.sizes import size_of
from blfs_mr.cluster import inputs
from blfs_mr.cluster.inputs import InputPlaces, input_places
from blfs_mr.cluster.putting import put_input
from blfs_mr.cluster.ssh import SshHost
from blfs_mr.config import Config
from blfs_mr.errors import ClusterError, InputError, UsageError
from blfs_mr.formats.cutting import Piece, cut_file
from blfs_mr.formats.inputs import default_split_size, expand_inputs
from blfs_mr.formats.manifest import Manifest, Summary, check_name
from blfs_mr.formats.reading import input_format
from blfs_mr.units import format_size


@click.command
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.argument("name")
@click.option(
    "-w", "--worker", "workers", multiple=True, metavar="WORKER", help="Only these; may be repeated."
)
@click.option(
    "--replicas", type=click.IntRange(1), help="Workers that hold each piece; 2 by default, where there are."
)
@click.option(
    "--format",
    "format_name",
    default="lines",
    show_default=True,
    metavar="FORMAT",
    help="The input format that jobs are to read it with: it says where files may be cut.",
)
@click.option("--split-size", "most", callback=size_of, help="Bytes of a piece, such as 32MiB.")
@click.option("--force", is_flag=True, help="Replace the input NAME where it exists.")
@pass_session
def put(
    session: Session,
    sources: tuple[str, ...],
    name: str,
    workers: tuple[str, ...],
    replicas: int | None,
    format_name: str,
    most: int | None,
    force: bool,
) -> None:
    """Put files, folders or globs on workers, as the input NAME of jobs.

    Each SOURCE is cut at line ends (or at what its format has instead), and each piece goes to the workers
    that have the fewest. The input is there when all of it is, and before that not at all.
    """
    check_name(name)
    config = session.config()
    chosen = _chosen(config, workers)
    replicas = replicas or min(2, len(chosen))
    if replicas > len(chosen):
        raise UsageError(
            f"{replicas} replicas need as many workers, and there are {len(chosen)} to choose from"
        )
    pieces, boundary = _cut(sources, format_name, most, len(chosen))

    async def act(master: SshHost, places: InputPlaces) -> None:
        known = await inputs.read_summaries(master, places)
        replaced = known.get(name)
        if replaced is not None and not force:
            if replaced.removed:
                raise InputError(f"the input {name} is being removed: run `blfs-mr input rm {name}` again")
            raise inputs.name_taken(name)
        others = [summary for other, summary in known.items() if other != name]
        held = {worker: sum(one.held.get(worker, 0) for one in others) for worker in chosen}
        holders = inputs.place_pieces(len(pieces), chosen, held, replicas)
        needed = [worker for worker in chosen if any(worker in those for those in holders)]
        total = sum(piece.size * replicas for piece in pieces)
        async with session.connected(config, needed) as (fleet, errors):
            if errors:
                raise unreachable("nothing was sent (-w names the workers to use instead)", errors)
            with tqdm(total=total, unit="B", unit_scale=True, desc=name, disable=None) as bar:
                manifest = await put_input(
                    master,
                    fleet,
                    places,
                    pieces,
                    holders,
                    name=name,
                    boundary=boundary,
                    replaced=replaced,
                    progress=bar.update,
                )
        click.echo(f"{_told(manifest.summary)}; replicas: {replicas}")
        if replaced is not None:
            await _forget(session, config, places, replaced, keep=manifest.summary.folder)

    _with_master(session, config, act, alone_with=name)


@click.command("list")
@click.argument("name", required=False)
@pass_session
def list_command(session: Session, name: str | None) -> None:
    """Print the inputs that there are; or the pieces of NAME, after a look whether they are there."""
    config = session.config()

    async def all_of_them(master: SshHost, places: InputPlaces) -> None:
        for _, summary in sorted((await inputs.read_summaries(master, places)).items()):
            click.echo(_told(summary))

    async def one(master: SshHost, places: InputPlaces) -> None:
        manifest = await _manifest(master, places, str(name))
        summary = manifest.summary
        click.echo(_told(summary))
        async with session.connected(config, _in_inventory(config, summary)) as (fleet, errors):

            async def look(host: SshHost) -> dict[str, int]:
                return await inputs.found_pieces(host, places, summary.folder)

            found = await fleet.each(look)
        missing = set(inputs.missing_on(manifest, found.results))
        for piece in manifest.pieces:
            those = (f"{h} (missing)" if (piece.path, h) in missing else str(h) for h in piece.holders)
            click.echo(f"  {piece.path}  {format_size(piece.size)}  {', '.join(those)}")
        failed = {**errors, **found.errors}
        if failed:
            raise unreachable("not all holders could be asked", failed)
        if missing:
            raise ClusterError(f"{len(missing)} pieces are missing where they should be")

    if name is not None:
        check_name(name)
    _with_master(session, config, all_of_them if name is None else one)


@click.command
@click.argument("name")
@pass_session
def rm(session: Session, name: str) -> None:
    """Remove the input NAME from its workers. Where one is down, run it again when it is back."""
    check_name(name)
    config = session.config()

    async def act(master: SshHost, places: InputPlaces) -> None:
        manifest = await _manifest(master, places, name)
        going = Manifest(name, manifest.identity, manifest.boundary, manifest.pieces, removed=True)
        # From here on it is no input, whatever becomes of the rest.
        await inputs.write_manifest(master, places, going, replace=True)
        await _forget(session, config, places, going.summary)
        await inputs.remove_manifest(master, places, name)

    _with_master(session, config, act, alone_with=name)


OnMaster = Callable[[SshHost, InputPlaces], Awaitable[None]]


def _with_master(session: Session, config: Config, act: OnMaster, *, alone_with: str = "") -> None:
    """Do ``act`` with a connection to the master's host; where an input is named, as its only changer."""
    name = config.cluster.master_section.name

    async def connected() -> None:
        async with session.connected(config, [name]) as (fleet, errors):
            if errors:
                raise unreachable("the master's host, which knows the inputs, cannot be reached", errors)
            master, places = fleet.hosts[name], input_places(config)
            async with inputs.locked(master, places, alone_with) if alone_with else nullcontext():
                await act(master, places)

    uvloop.run(connected())


async def _forget(
    session: Session, config: Config, places: InputPlaces, summary: Summary, keep: str = ""
) -> None:
    """Remove the pieces of an input from its holders, but for the folder ``keep``. Raises ClusterError."""

    async def remove(host: SshHost) -> None:
        await inputs.remove_pieces(host, places, summary.name, keep)

    for gone in sorted(set(summary.held) - set(_in_inventory(config, summary))):
        click.echo(f"{gone} is no worker of the inventory any more: what it holds stays there", err=True)
    async with session.connected(config, _in_inventory(config, summary)) as (fleet, errors):
        removed = await fleet.each(remove)
    failed = {**errors, **removed.errors}
    if failed:
        again = "put it again with --force" if keep else f"run `blfs-mr input rm {summary.name}` again"
        raise unreachable(f"pieces stay on hosts; when they are back, {again}", failed)


async def _manifest(master: SshHost, places: InputPlaces, name: str) -> Manifest:
    manifest = await inputs.read_manifest(master, places, name)
    if manifest is None:
        raise InputError(f"there is no input named {name}; `blfs-mr input list` prints those that there are")
    return manifest


def _in_inventory(config: Config, summary: Summary) -> list[str]:
    return [worker.name for worker in config.cluster.workers if worker.name in summary.held]


def _chosen(config: Config, named: Sequence[str]) -> list[str]:
    """The workers to put pieces on, each once. Raises UsageError for one that there is not."""
    there = [worker.name for worker in config.cluster.workers]
    unknown = sorted(set(named) - set(there))
    if unknown:
        raise UsageError(f"the inventory has no worker {', '.join(unknown)}; it has {', '.join(there)}")
    return [name for name in there if name in named] if named else there


def _cut(sources: Sequence[str], format_name: str, most: int | None, workers: int) -> tuple[list[Piece], str]:
    """The pieces of all ``sources``, and where they were cut; that is empty where all files are whole."""
    format = input_format(format_name)
    files = expand_inputs(sources)
    if most == 0:
        raise UsageError("--split-size 0: a piece has at least a byte")
    size = most or default_split_size(sum(file.size for file in files), workers)
    cut = [cut_file(file, size, format) for file in files]
    pieces = [piece for of_file in cut for piece in of_file]
    if len(pieces) > inputs.MAX_PIECES:
        raise InputError(
            f"{len(pieces)} pieces, at most {inputs.MAX_PIECES} may be: choose a larger --split-size, or "
            "join small files into fewer"
        )
    return pieces, format.boundary if any(len(of_file) > 1 for of_file in cut) else ""


def _told(summary: Summary) -> str:
    held = ", ".join(f"{worker} ({count})" for worker, count in summary.held.items()) or "no worker"
    state = ", being removed" if summary.removed else ""
    cut = f", cut at {summary.boundary}" if summary.boundary else ""
    return f"{summary.name}: {summary.pieces} pieces, {format_size(summary.size)}{cut}, on {held}{state}"
