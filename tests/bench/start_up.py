"""How long it takes until anything happens: a job over one line, where all the time is the system's own.

The references here are budgets, not programs: what a person at a terminal does not notice.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from .cluster import running_cluster
from .harness import Comparison
from .processes import seconds_of
from .wordcount import JOBS

EMBEDDED_BUDGET = 1.0
DAEMONS_BUDGET = 0.1

# A ratio needs a figure above zero, and a difference of two noisy times may be below.
_RESOLUTION = 0.001


@contextmanager
def comparisons() -> Iterator[list[Comparison]]:
    """The rows, with input and daemons in place for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="blfs-mr-bench-") as name:
        folder = Path(name)
        line = folder / "line"
        line.write_text("one line of text\n")
        submit = partial(_submit, line, folder / "output")
        with running_cluster(folder / "home") as cluster:
            yield [
                Comparison(
                    case="embedded, exec to exit",
                    ours=partial(submit, []),
                    reference=lambda: EMBEDDED_BUDGET,
                    reference_name=f"a budget of {EMBEDDED_BUDGET:g} s",
                    goal=1.0,
                ),
                Comparison(
                    case="running daemons, beyond starting Python and importing blfs_mr.submit",
                    ours=lambda: max(_RESOLUTION, submit(cluster.options) - _import_submit()),
                    reference=lambda: DAEMONS_BUDGET,
                    reference_name=f"a budget of {DAEMONS_BUDGET:g} s",
                    goal=1.0,
                ),
            ]


def _submit(line: Path, output: Path, options: list[str]) -> float:
    command: list[object] = [sys.executable, "-m", "blfs_mr.submit", JOBS / "records.py", line, "-o", output]
    try:
        return seconds_of([*command, *options, "--quiet"])
    finally:
        shutil.rmtree(output, ignore_errors=True)


def _import_submit() -> float:
    return seconds_of([sys.executable, "-c", "import blfs_mr.submit"])
