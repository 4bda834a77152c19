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

Measure = Callable[[], float]
"""Does the work once and returns the seconds it took."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row to be measured. ``goal`` is the least ratio that is good enough (above 1: we are faster).

    ``unavailable`` says why the reference cannot run here; the row is then skipped by that name.
    """

    case: str
    ours: Measure
    reference: Measure
    reference_name: str
    goal: float
    unavailable: str = ""


@dataclass(frozen=True, slots=True)
class Times:
    """The seconds of all rounds of one side."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def as_json(self) -> dict[str, Any]:
        spread = [round(min(self.seconds), 4), round(max(self.seconds), 4)]
        return {"seconds": {"median": round(self.median, 4), "spread": spread}}

    def __str__(self) -> str:
        return f"{self.median:.3f} s ({min(self.seconds):.3f} to {max(self.seconds):.3f})"


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
        lines = [
            f"## {self.name}",
            "",
            f"Medians of {self.rounds} alternating rounds, with the least and the greatest.",
            "",
            "| case | ours | reference | ratio | goal | met |",
            "|---|---|---|---|---|---|",
        ]
        for row in self.rows:
            if isinstance(row, Row):
                comparison = row.comparison
                lines.append(
                    f"| {comparison.case} | {row.ours} | {comparison.reference_name}: {row.reference} "
                    f"| {row.ratio:.2f} | {comparison.goal:.2f} | {'yes' if row.met else 'no'} |"
                )
            else:
                lines.append(f"| {row.case} | skipped: {row.unavailable} | {row.reference_name} | | | |")
        return "\n".join(lines) + "\n"


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
    return Row(comparison, Times(tuple(ours)), Times(tuple(reference)))


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
