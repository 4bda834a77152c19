"""Measuring two things beside each other, and saying what came of it.

Time by itself means little on a shared machine: the ratio is the figure. So the two sides run in turn, each
round in the other order, and are compared by their medians; a machine that slows down for a while slows both.
One round before is not counted: it compiles bytecode and fills the page cache for both.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FEWEST_ROUNDS = 5
"""With fewer, one disturbed round could be the median's neighbour on both sides."""

TABLE_HEAD = (
    "| benchmark | case | ours | reference | ratio | goal | met |",
    "|---|---|---|---|---|---|---|",
)

Measure = Callable[[], float]
"""Does the work once and returns the seconds it took."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row to be measured. ``goal`` is the least ratio that is good enough (above 1: we are faster).

    With ``size``, the bytes that either side moves, its figures are bytes per second instead of seconds.
    ``unavailable`` says why it cannot be measured here; the row is then skipped by that name.
    """

    case: str
    ours: Measure
    reference: Measure
    reference_name: str
    goal: float
    unavailable: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Times:
    """The seconds of all rounds of one side; with ``size``, told as bytes per second."""

    seconds: tuple[float, ...]
    size: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def as_json(self) -> dict[str, Any]:
        if self.size:
            rates = [round(self.size / seconds) for seconds in self._figures()]
            return {"bytes_per_second": {"median": rates[0], "spread": sorted(rates[1:])}}
        middle, *spread = [round(seconds, 4) for seconds in self._figures()]
        return {"seconds": {"median": middle, "spread": spread}}

    def __str__(self) -> str:
        if self.size:
            middle, best, worst = (self.size / seconds / 1e6 for seconds in self._figures())
            return f"{middle:.0f} MB/s ({worst:.0f} to {best:.0f})"
        middle, least, most = self._figures()
        return f"{middle:.3f} s ({least:.3f} to {most:.3f})"

    def _figures(self) -> tuple[float, float, float]:
        return self.median, min(self.seconds), max(self.seconds)


@dataclass(frozen=True, slots=True)
class Row:
    """What a comparison came to."""

    comparison: Comparison
    ours: Times
    reference: Times

    @property
    def ratio(self) -> float:
        """How many times faster than the reference we are."""
        return self.reference.median / self.ours.median

    @property
    def met(self) -> bool:
        return self.ratio >= self.comparison.goal


@dataclass(frozen=True, slots=True)
class Report:
    """All rows of one benchmark. A skipped comparison stands as itself, without times."""

    name: str
    rounds: int
    rows: tuple[Row | Comparison, ...]

    def as_json(self) -> dict[str, Any]:
        rows = [_row_as_json(row) if isinstance(row, Row) else _skip_as_json(row) for row in self.rows]
        return {"name": self.name, "machine": describe_machine(), "rounds": self.rounds, "rows": rows}

    def as_markdown(self) -> str:
        return "\n".join([*TABLE_HEAD, *self.table_rows()]) + "\n"

    def table_rows(self) -> list[str]:
        """The lines of this report in a table under TABLE_HEAD."""
        lines: list[str] = []
        for row in self.rows:
            if isinstance(row, Row):
                comparison = row.comparison
                reference = f"{comparison.reference_name}: {row.reference}"
                lines.append(
                    f"| {self.name} | {comparison.case} | {row.ours} | {reference} "
                    f"| {row.ratio:.2f} | {comparison.goal:.2f} | {'yes' if row.met else 'no'} |"
                )
            else:
                lines.append(
                    f"| {self.name} | {row.case} | skipped: {row.unavailable} | {row.reference_name} "
                    f"| | {row.goal:.2f} | |"
                )
        return lines


def measure(name: str, comparisons: Sequence[Comparison], rounds: int) -> Report:
    """Measure every comparison in turn, telling on stderr what is being done."""
    rows: list[Row | Comparison] = []
    for comparison in comparisons:
        if comparison.unavailable:
            _tell(f"{name}: {comparison.case}: skipped: {comparison.unavailable}")
            rows.append(comparison)
            continue
        row = _measure(comparison, rounds)
        _tell(f"{name}: {comparison.case}: ratio {row.ratio:.2f}, goal {comparison.goal:.2f}")
        rows.append(row)
    return Report(name, rounds, tuple(rows))


def describe_machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _measure(comparison: Comparison, rounds: int) -> Row:
    comparison.ours()
    comparison.reference()
    ours: list[float] = []
    reference: list[float] = []
    turns = [(comparison.ours, ours), (comparison.reference, reference)]
    for _ in range(rounds):
        for work, seconds in turns:
            seconds.append(work())
        turns.reverse()
    size = comparison.size
    return Row(comparison, Times(tuple(ours), size), Times(tuple(reference), size))


def _row_as_json(row: Row) -> dict[str, Any]:
    return {
        "case": row.comparison.case,
        "ours": row.ours.as_json(),
        "reference": row.reference.as_json(),
        "reference_name": row.comparison.reference_name,
        "ratio": round(row.ratio, 3),
        "goal": round(row.comparison.goal, 3),
        "met": row.met,
    }


def _skip_as_json(comparison: Comparison) -> dict[str, Any]:
    return {
        "case": comparison.case,
        "reference_name": comparison.reference_name,
        "goal": round(comparison.goal, 3),
        "skipped": comparison.unavailable,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
