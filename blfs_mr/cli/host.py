"""``blfs-mr host``: the host's half of ``blfs-mr cluster``; that and the units run it, as root."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from pathlib import Path

import click
from pydantic import ValidationError

from blfs_mr.cluster.host.attaching import attach_all, attach_missing, detach_all
from blfs_mr.cluster.host.phases import Phase, steps_of
from blfs_mr.cluster.host.steps import StepDone, carry_out
from blfs_mr.cluster.host.system import LocalSystem
from blfs_mr.cluster.places import ATTACH_LOCK_FILE, CONFIG_FILE, LOCK_FILE
from blfs_mr.cluster.plan import HostPlan
from blfs_mr.config import load_config
from blfs_mr.console import EXIT_FAILED
from blfs_mr.errors import ClusterError, UsageError, VolumeError


@click.group("host", no_args_is_help=False)
def host_family() -> None:
    """Carry out what `blfs-mr cluster` plans for this host (needs root)."""


@host_family.command("apply")
@click.argument("phase", type=click.Choice([phase.value for phase in Phase]))
@click.pass_context
def apply_command(context: click.Context, phase: str) -> None:
    """Bring this host to the plan on standard input, and print what came of each step, a JSON line each."""
    try:
        plan = HostPlan.model_validate_json(sys.stdin.read())
    except ValidationError as error:
        # Without the values: secrets are among them.
        wrong = ", ".join(".".join(map(str, problem["loc"])) or "the text" for problem in error.errors())
        raise UsageError(f"no plan of this version on standard input: {wrong}; run upgrade first") from None
    with open(LOCK_FILE, "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ClusterError("another command is at work on this host: wait for it, or stop it") from error
        if not carry_out(steps_of(plan, Phase(phase)), LocalSystem(), _tell):
            context.exit(EXIT_FAILED)


def _tell(done: StepDone) -> None:
    line = {"step": done.name, "outcome": done.outcome, "reason": done.reason}
    print(json.dumps(line), flush=True)


_config_option = click.option(
    "--config", "path", type=click.Path(path_type=Path), default=CONFIG_FILE, show_default=True,
    help="This host's configuration.",
)  # fmt: skip
_name_option = click.option("--name", required=True, help="The worker of this host.")


@host_family.command("attach")
@_config_option
@_name_option
@click.option("--missing", is_flag=True, help="Only those of peers that are not attached yet.")
def attach_command(path: Path, name: str, missing: bool) -> None:
    """Attach the volume of this host's worker, and those of its peers that can be reached."""
    attach = attach_missing if missing else attach_all
    try:
        with open(ATTACH_LOCK_FILE, "w", encoding="ascii") as lock:
            # Two at a time would mount a volume twice.
            fcntl.flock(lock, fcntl.LOCK_EX)
            attach(load_config(path, os.environ), name, click.echo)
    except OSError as error:
        raise VolumeError(f"{error.filename or 'the volume'}: {error.strerror}") from error


@host_family.command("detach")
@_config_option
@_name_option
def detach_command(path: Path, name: str) -> None:
    """Detach all volumes."""
    try:
        detach_all(load_config(path, os.environ), name, click.echo)
    except OSError as error:
        raise VolumeError(f"{error.filename or 'the volume'}: {error.strerror}") from error
