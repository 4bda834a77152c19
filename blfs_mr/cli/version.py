"""``blfs-mr version``."""

from __future__ import annotations

import click

from blfs_mr import __version__


@click.command
def version() -> None:
    """Print the version."""
    click.echo(f"blfs-mr {__version__}")
