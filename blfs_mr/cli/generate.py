"""``blfs-mr input generate``: random input."""

from __future__ import annotations

from pathlib import Path

import click

from blfs_mr.cli.sizes import size_of
from blfs_mr.generate import DEFAULT_VOCABULARY, DEFAULT_WORDS_PER_LINE, generate_records, generate_text


@click.command
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("size", callback=size_of)
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
