"""``python -m tests.bench NAME``: run a benchmark and print what came of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

import click

from . import start_up, wordcount
from .harness import FEWEST_ROUNDS, Comparison, Report, describe_machine, measure
from .processes import REPOSITORY, CommandFailed, none_left_behind

BENCHMARKS: dict[str, Callable[[], AbstractContextManager[list[Comparison]]]] = {
    "start-up": start_up.comparisons,
    "wordcount": wordcount.comparisons,
}

PAGE = REPOSITORY / "docs" / "benchmarks.md"

PREFACE = """# Benchmarks

Written by `python -m tests.bench all`. A ratio says how many times faster than the reference we are: above 1
is faster. Times mean little by themselves, since they are of this one machine; the ratios are the figures.
"""


@click.command
@click.argument("name", type=click.Choice([*BENCHMARKS, "all"]))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object (a list of them for all).")
@click.option("--rounds", type=click.IntRange(FEWEST_ROUNDS), default=FEWEST_ROUNDS, show_default=True)
def main(name: str, as_json: bool, rounds: int) -> None:
    """Run the benchmark NAME; all runs every one and writes docs/benchmarks.md."""
    try:
        with none_left_behind():
            reports = [_run(each, rounds) for each in BENCHMARKS if name in (each, "all")]
    except CommandFailed as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    if name == "all":
        PAGE.write_text(_page(reports))
    if as_json:
        objects = [report.as_json() for report in reports]
        print(json.dumps(objects if name == "all" else objects[0], indent=2))
    else:
        print("\n".join(report.as_markdown() for report in reports), end="")


def _run(name: str, rounds: int) -> Report:
    with BENCHMARKS[name]() as comparisons:
        return measure(name, comparisons, rounds)


def _page(reports: list[Report]) -> str:
    machine = [f"- {key.replace('_', ' ')}: {value}" for key, value in describe_machine().items()]
    return "\n".join([PREFACE, *machine, "", *(report.as_markdown() for report in reports)])


if __name__ == "__main__":
    main()
