"""``blfs-mr lab``: experiments that show on this machine what the design rests on."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

import click

from blfs_mr.errors import VolumeError
from blfs_mr.lab.coherence import ROUNDS, observe


@click.group("lab", no_args_is_help=False)
def lab_family() -> None:
    """Show on this machine what the design rests on (needs root)."""


@lab_family.command
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--rounds", type=click.IntRange(1), default=ROUNDS, show_default=True, help="Of the contract.")
def coherence(as_json: bool, rounds: int) -> None:
    """Show what one host sees of a disk that another writes, with the contract broken and kept.

    Makes disks of its own on loop devices. Once it drops all caches of this host, which slows other programs
    for a while. Fails when something is not as the documentation says.
    """
    try:
        observations = observe(rounds)
    except OSError as error:
        raise VolumeError(f"{error.filename or 'the experiment'}: {error.strerror}") from error
    if as_json:
        machine = f"Linux {os.uname().release}"
        click.echo(
            json.dumps({"machine": machine, "observations": [asdict(o) for o in observations]}, indent=2)
        )
    else:
        click.echo("| what was done | what the peer saw | seconds |\n|---|---|---|")
        for seen in observations:
            surprise = "" if seen.expected else " (not as documented)"
            click.echo(f"| {seen.action} | {seen.outcome}{surprise} | {seen.seconds:.3f} |")
    if surprises := sum(not seen.expected for seen in observations):
        raise VolumeError(f"{surprises} observations are not as documented: do not rely on the contract here")
