"""``blfs-mr lab``: a cluster of nodes with shared disks on one machine, and experiments with such disks."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from blfs_mr.errors import UsageError, VolumeError
from blfs_mr.lab import running
from blfs_mr.lab.coherence import ROUNDS, observe
from blfs_mr.lab.coherence_observation import Observation
from blfs_mr.lab.plan import ADDRESS, MOST_NODES, Backend, LabPlan, node_names
from blfs_mr.model import VolumeLayout
from blfs_mr.units import parse_duration, parse_size

FOLDER = Path("/var/lib/blfs-mr-lab")
"""Where a lab is kept. Only root can write there, which takes it away as root as well."""


@click.group("lab", no_args_is_help=False)
def lab_family() -> None:
    """Show on this machine what the design rests on (needs root)."""


@lab_family.command
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--rounds", type=click.IntRange(1), default=ROUNDS, show_default=True, help="Of the contract.")
@click.option("--owner-device", default="", help="A disk as its owner sees it, instead of a loop device.")
@click.option("--peer-device", default="", help="The same disk as a peer sees it.")
@click.option("--force", is_flag=True, help="Destroy what the given disk holds.")
def coherence(as_json: bool, rounds: int, owner_device: str, peer_device: str, force: bool) -> None:
    """Show what one host sees of a disk that another writes, with the contract broken and kept.

    Makes disks of its own on loop devices, or uses the disk that two given devices lead to. A few times it
    drops all caches of this host, which slows other programs for a while. Fails when something is not as the
    documentation says.
    """
    if not as_json:
        click.echo("| experiment | what was done | what the peer saw | seconds |\n|---|---|---|---|")

    def tell(seen: Observation) -> None:
        if not as_json:
            surprise = "" if seen.as_expected else f" (**expected: {seen.expected}**)"
            click.echo(f"| {seen.name} | {seen.did} | {seen.saw}{surprise} | {seen.seconds:.2f} |")

    try:
        findings = observe(rounds, owner_device, peer_device, force=force, tell=tell)
    except OSError as error:
        raise VolumeError(f"{error.filename or 'the experiment'}: {error.strerror}") from error
    if as_json:
        click.echo(json.dumps(asdict(findings), indent=2))
    else:
        for name, why in findings.left_out.items():
            click.echo(f"left out: {name}: {why}")
        versions = ", ".join(f"{name} {version}" for name, version in findings.versions.items())
        click.echo(f"on {findings.disk}; {versions}")
    if surprises := sum(not seen.as_expected for seen in findings.experiments):
        raise VolumeError(
            f"{surprises} experiments ended otherwise than documented: do not rely on the contract here"
        )


_folder_option = click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=FOLDER,
    show_default=True,
    help="Where everything of the lab is kept.",
)


@lab_family.command
@_folder_option
@click.option("--nodes", type=click.IntRange(1, MOST_NODES), default=4, show_default=True)
@click.option("--backend", type=click.Choice([backend.value for backend in Backend]), required=True)
@click.option("--layout", type=click.Choice(["file", "raw"]), default="file", show_default=True)
@click.option(
    "--count", type=click.IntRange(1), default=32, show_default=True, help="Shared files of a volume."
)
@click.option("--size", default="4MiB", show_default=True, help="The size of each.")
@click.option(
    "--slots", type=click.IntRange(1), default=1, show_default=True, help="Tasks at once on a node."
)
@click.option(
    "--session-timeout", default="20s", show_default=True,
    help="How long reads and writes wait for a target that is gone.",
)  # fmt: skip
def up(
    folder: Path,
    nodes: int,
    backend: str,
    layout: str,
    count: int,
    size: str,
    slots: int,
    session_timeout: str,
) -> None:
    """Bring up a master and workers, each with a volume of its own that all others read."""
    try:
        shared_file_size, timeout = parse_size(size), parse_duration(session_timeout)
    except ValueError as error:
        raise UsageError(str(error)) from error
    plan = running.new_plan(
        folder,
        Backend(backend),
        VolumeLayout(layout),
        node_names(nodes),
        shared_files=count,
        shared_file_size=shared_file_size,
        slots=slots,
        session_timeout=timeout,
    )
    # Stopped by a signal, it must still take away what it made.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _told_plainly():
        running.up(plan)
    for line in _description(plan):
        click.echo(line)


@lab_family.command
@_folder_option
def down(folder: Path) -> None:
    """Stop the lab and remove everything of it, also where it was only half made."""
    if not folder.exists():
        click.echo(f"{folder} does not exist: there is no lab")
        return
    with _told_plainly():
        running.down(running.load_plan(folder))
    click.echo(f"{folder} is gone, and all that was in it")


def _description(plan: LabPlan) -> Iterator[str]:
    reached = "loop devices"
    if plan.backend is Backend.ISCSI:
        initiator = "open-iscsi" if plan.in_kernel else "one qemu-storage-daemon for each session"
        reached = f"iSCSI (tgt; {initiator})"
    volumes = f"volumes in the {plan.layout.value} layout over {reached}"
    yield f"{plan.folder}: a master and {len(plan.nodes)} workers, {volumes}"
    submit = ["python", "-m", "blfs_mr.submit", "--master", f"{ADDRESS}:{plan.master_port}"]
    yield f"submit: {shlex.join([*submit, '--config', str(plan.config)])} JOB INPUT... -o OUT"
    yield f"end it: {shlex.join(['blfs-mr', 'lab', 'down', '--folder', str(plan.folder)])}"


@contextmanager
def _told_plainly() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise VolumeError(f"{error.filename or 'the lab'}: {error.strerror}") from error
