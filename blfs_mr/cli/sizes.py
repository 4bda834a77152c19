"""A command's argument or option that is a size."""

from __future__ import annotations

import click

from blfs_mr.units import parse_size


def size_of(context: click.Context, parameter: click.Parameter, given: str | None) -> int | None:
    """The bytes that a size such as "32MiB" says; a callback of click's. None where none is given."""
    if given is None:
        return None
    try:
        return parse_size(given)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error
