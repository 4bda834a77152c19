"""``blfs-mr output``: results that stay on the workers, named here by their ``.meta`` file."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from blfs_mr.cli.session import Session, inventory_options, pass_session
from blfs_mr.cluster import outputs
from blfs_mr.cluster.fleet import Fleet
from blfs_mr.console import write_out
from blfs_mr.errors import OutputError, UsageError
from blfs_mr.formats.meta import MetaEntry, read_meta, write_meta


@click.group("output", no_args_is_help=False)
@inventory_options
@click.pass_context
def output_family(context: click.Context, path: Path | None, accept_new: bool) -> None:
    """Read and remove results that stay on the workers; META is the file NAME.meta that a job left here."""
    context.obj = Session(path, accept_new)


_meta = click.argument("meta", type=click.Path(path_type=Path))


@output_family.command
@click.option("-s", "--sort", is_flag=True, help="Sort all lines.")
@_meta
@pass_session
def cat(session: Session, meta: Path, sort: bool) -> None:
    """Print the parts of an output in their order. Where a worker is down, the rest is printed."""
    entries = read_meta(str(meta))
    with tempfile.TemporaryDirectory(prefix="blfs-mr-output-") as name:
        folder = Path(name)
        try:
            _fetch(session, entries, folder)
        finally:
            parts = [folder / outputs.local_name(entry) for entry in entries]
            _print([part for part in parts if part.exists()], sort)


@output_family.command
@_meta
@click.argument("folder", type=click.Path(path_type=Path))
@pass_session
def get(session: Session, meta: Path, folder: Path) -> None:
    """Bring the parts of an output into the new FOLDER. Where a worker is down, the rest is there."""
    entries = read_meta(str(meta))
    try:
        folder.mkdir()
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}; name a new folder") from error
    _fetch(session, entries, folder)
    click.echo(f"{len(entries)} parts are in {folder}")


@output_family.command
@_meta
@pass_session
def rm(session: Session, meta: Path) -> None:
    """Remove an output on its workers. META stays, with what is left, where a worker is down."""
    entries = read_meta(str(meta))
    done: set[str] = set()

    async def act(fleet: Fleet) -> None:
        outcome = await outputs.remove(fleet, entries)
        done.update(outcome.results)
        outcome.check("removing")

    try:
        _on_workers(session, entries, act)
    finally:
        left = [entry for entry in entries if entry.worker not in done]
        if left:
            write_meta(str(meta), left)
        else:
            meta.unlink()


def _fetch(session: Session, entries: Sequence[MetaEntry], folder: Path) -> None:
    async def act(fleet: Fleet) -> None:
        (await outputs.fetch(fleet, entries, folder)).check("fetching")

    _on_workers(session, entries, act)


def _on_workers(session: Session, entries: Sequence[MetaEntry], act: outputs.OnFleet) -> None:
    """Raises ClusterError for hosts that cannot be reached, after the others have done their part."""
    config = session.config()
    workers = sorted({str(entry.worker) for entry in entries})
    unknown = set(workers) - {worker.name for worker in config.cluster.workers}
    if unknown:
        raise UsageError(
            f"the inventory has no worker {', '.join(sorted(unknown))}: name with --config the configuration "
            "of the cluster that ran the job"
        )
    if workers:
        session.on_hosts(config, act, names=workers, tolerate=True)


def _print(parts: Sequence[Path], sort: bool) -> None:
    if sort:
        # Only this ends a line: keys may hold all else that ``splitlines`` would cut at.
        contents = filter(None, (part.read_bytes() for part in parts))
        lines = [line for content in contents for line in content.removesuffix(b"\n").split(b"\n")]
        write_out(b"".join(line + b"\n" for line in sorted(lines)))
    else:
        for part in parts:
            with part.open("rb") as file:
                while chunk := file.read(1 << 20):
                    write_out(chunk)
    sys.stdout.flush()
