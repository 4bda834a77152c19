"""``blfs-mr status``: what a master knows of its workers, their volumes and its jobs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from blfs_mr.client_config import parse_address
from blfs_mr.config import load_config
from blfs_mr.submission.client import Client, read_secret
from blfs_mr.units import format_size
from blfs_mr.wire.messages.client import ClusterDescription, VolumeDescription


@click.command
@click.option("--master", metavar="HOST:PORT", help="The master; without it, the configuration's.")
@click.option("--config", type=click.Path(path_type=Path), help="The configuration file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def status(master: str | None, config: Path | None, as_json: bool) -> None:
    """Print workers, their volumes with who reads them, and the jobs that run."""
    loaded = load_config(config, os.environ)
    host, port = parse_address(master) if master else (loaded.master.host, loaded.master.port)
    client = Client(host, port, loaded.cluster.id, read_secret(loaded.secret_path), loaded.tls_folder)
    try:
        description = client.describe()
    finally:
        client.close()
    if as_json:
        click.echo(json.dumps(as_document(description), indent=2))
    else:
        click.echo("\n".join(as_lines(description)))


def as_document(description: ClusterDescription) -> dict[str, Any]:
    """The description as plain values; each volume has its readers too."""
    document = asdict(description)
    for volume, told in zip(document["volumes"], description.volumes, strict=True):
        volume["readers"] = readers_of(told, description)
    for worker in document["workers"]:
        worker["shared_files_leased"] = worker["shared_files"] - worker["shared_files_free"]
    return document


def readers_of(volume: VolumeDescription, description: ClusterDescription) -> list[str]:
    """The registered workers that read ``volume``."""
    blind = {by.worker for by in volume.unreadable_by}
    return [worker.name for worker in description.workers if worker.name not in blind]


def as_lines(description: ClusterDescription) -> Iterator[str]:
    """The description as tables, each trouble on a line of its own."""
    yield from _table(
        ("WORKER", "SLOTS", "RUNNING", "SHARED FILES", "FREE", "LEASED"),
        [
            (
                worker.name,
                str(worker.slots),
                str(worker.running),
                f"{worker.shared_files} of {format_size(worker.shared_file_size)}",
                str(worker.shared_files_free),
                str(worker.shared_files - worker.shared_files_free),
            )
            for worker in description.workers
        ],
    )
    for worker in description.workers:
        if worker.blamed:
            yield f"{worker.name} gets no reduce tasks: {worker.blamed}"
        for process in worker.hung:
            yield f"{worker.name} has a process that hangs: {process}"
    yield ""
    present = {worker.name for worker in description.workers}
    yield from _table(
        ("VOLUME", "OWNER", "LAYOUT", "READERS"),
        [
            (
                volume.volume,
                volume.owner if volume.owner in present else f"{volume.owner} (gone)",
                volume.layout.value,
                ", ".join(readers_of(volume, description)) or "none",
            )
            for volume in description.volumes
        ],
    )
    for volume in description.volumes:
        if volume.quarantined:
            yield f"the volume of {volume.owner} is quarantined: {volume.quarantined}"
        for by in volume.unreadable_by:
            yield f"{by.worker} cannot read the volume of {volume.owner}: {by.problem}"
    yield ""
    yield from _table(
        ("JOB", "NAME", "MAPS", "REDUCES", "RUNNING", "SECONDS"),
        [
            (
                job.job,
                job.name,
                f"{job.maps_done}/{job.maps_total}",
                f"{job.reduces_done}/{job.reduces_total}",
                str(job.running),
                f"{job.seconds:.0f}",
            )
            for job in description.jobs
        ],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
