"""``blfs-mr lab``: experiments that show on this machine what the design rests on."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from blfs_mr.errors import VolumeError
from blfs_mr.lab.coherence import ROUNDS, observe
from blfs_mr.lab.coherence_observation import Observation


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
