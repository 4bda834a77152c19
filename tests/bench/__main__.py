"""``python -m tests.bench NAME``: run a benchmark and print what came of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import click

from blfs_mr.units import parse_size

from . import lab_io, page, set_up, shuffle_io, sort, start_up, tls, wordcount
from .harness import FEWEST_ROUNDS, Comparison, Report, measure
from .processes import CommandFailed, none_left_behind


@dataclass(frozen=True, slots=True)
class Benchmark:
    """``comparisons`` makes the rows for a size in bytes: the usual one, or the one that ``all`` takes."""

    comparisons: Callable[[int], AbstractContextManager[list[Comparison]]]
    usual_size: int
    size_in_all: int


BENCHMARKS = {
    "start-up": Benchmark(lambda _size: start_up.comparisons(), 0, 0),
    "tls": Benchmark(lambda _size: tls.comparisons(), 0, 0),
    "set-up": Benchmark(lambda _size: set_up.comparisons(), 0, 0),
    "wordcount": Benchmark(wordcount.comparisons, wordcount.TEXT_SIZE, 1 << 30),
    "sort": Benchmark(sort.comparisons, sort.DEFAULT_SIZE, 1 << 30),
    "lab-io": Benchmark(lab_io.comparisons, lab_io.DEFAULT_SIZE, lab_io.DEFAULT_SIZE),
    "shuffle-io": Benchmark(shuffle_io.comparisons, shuffle_io.DEFAULT_SIZE, shuffle_io.DEFAULT_SIZE),
}


@click.command
@click.argument("name", type=click.Choice([*BENCHMARKS, "all"]))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object (a list of them for all).")
@click.option("--rounds", type=click.IntRange(FEWEST_ROUNDS), default=FEWEST_ROUNDS, show_default=True)
@click.option("--size", metavar="SIZE", help="Bytes of input, such as 1GiB, instead of the usual ones.")
@click.option("--without", multiple=True, type=click.Choice([*BENCHMARKS]), help="Leave it out of all.")
def main(name: str, as_json: bool, rounds: int, size: str | None, without: tuple[str, ...]) -> None:
    """Run the benchmark NAME; all runs every one and writes docs/benchmarks.md.

    One that fails does not cost the others: they are measured, shown and written, and the exit code is 1.
    """
    try:
        asked = parse_size(size) if size else 0
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--size") from error
    reports: list[Report] = []
    failed = False
    for each, benchmark in BENCHMARKS.items():
        if name not in (each, "all") or each in without:
            continue
        usual = benchmark.size_in_all if name == "all" else benchmark.usual_size
        try:
            with none_left_behind(), benchmark.comparisons(asked or usual) as comparisons:
                reports.append(measure(each, comparisons, rounds))
        except CommandFailed as error:
            failed = True
            print(f"error: {each}: {error}", file=sys.stderr)
    if name == "all" and reports:
        page.write(reports)
    if as_json:
        objects = [report.as_json() for report in reports]
        print(json.dumps(objects if name == "all" else next(iter(objects), None), indent=2))
    else:
        print("\n".join(report.as_markdown() for report in reports), end="")
    sys.exit(failed)


if __name__ == "__main__":
    main()
