"""``blfs-mr input``: the commands over the input of jobs."""

from __future__ import annotations

from pathlib import Path

import click

from blfs_mr.generate import DEFAULT_VOCABULARY, DEFAULT_WORDS_PER_LINE, generate_records, generate_text
from blfs_mr.units import parse_size


def _size(context: click.Context, parameter: click.Parameter, given: str) -> int:
    try:
        return parse_size(given)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


@click.group("input", no_args_is_help=False)
def input_family() -> None:
    """Make the input of jobs."""


@input_family.command
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("size", callback=_size)
@click.option(
    "--kind",
    type=click.Choice(["words", "records"]),
    default="words",
    show_default=True,
    help="Lines of random words, or 100-byte records with random 10-byte keys, to sort.",
)
@click.option(
    "--vocabulary", default=DEFAULT_VOCABULARY, show_default=True, help="The number of different words."
)
@click.option(
    "--words-per-line", default=DEFAULT_WORDS_PER_LINE, show_default=True, help="The words in a line."
)
@click.option("--seed", default=0, show_default=True, help="Another number gives another input.")
@click.option("--force", is_flag=True, help="Replace PATH where it exists.")
def generate(
    path: Path, size: int, kind: str, vocabulary: int, words_per_line: int, seed: int, force: bool
) -> None:
    """Write random input to PATH, SIZE bytes of it (such as 32MiB).

    The same arguments always give the same bytes.
    """
    if kind == "records":
        written = generate_records(path, size, seed=seed, replace=force)
    else:
        written = generate_text(
            path, size, vocabulary=vocabulary, words_per_line=words_per_line, seed=seed, replace=force
        )
    click.echo(f"{path}: {written} bytes")
