"""``blfs-mr input``: the input of jobs, made here, and put on workers."""

from __future__ import annotations

from pathlib import Path

import click

from blfs_mr.cli.lazy import LazyGroup
from blfs_mr.cli.session import Session, inventory_options

_ON_WORKERS = "blfs_mr.cli.input_on_workers"


@click.group(
    "input",
    cls=LazyGroup,
    places={
        "generate": "blfs_mr.cli.generate:generate",
        "put": f"{_ON_WORKERS}:put",
        "list": f"{_ON_WORKERS}:list_command",
        "rm": f"{_ON_WORKERS}:rm",
    },
)
@inventory_options
@click.pass_context
def input_family(context: click.Context, path: Path | None, accept_new: bool) -> None:
    """Make the input of jobs, and put it on the workers of a cluster."""
    context.obj = Session(path, accept_new)
