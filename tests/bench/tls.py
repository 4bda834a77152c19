"""What mutual TLS costs a job, against the very same daemons and submitter without it.

Links carry control messages only, so it is the handshakes that count where a job is short, and the number of
messages where it has many tasks.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from .cluster import RunningCluster, running_cluster
from .harness import Comparison
from .processes import seconds_of
from .wordcount import JOBS

GOAL = 1 / 1.1
"""A job may take a tenth longer."""

TASKS = 100
"""Map tasks of the job with many: more than a thousand messages, most of them about map outputs."""


@contextmanager
def comparisons() -> Iterator[list[Comparison]]:
    """The rows, with input and both clusters in place for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="blfs-mr-bench-") as name:
        folder = Path(name)
        line, lines = folder / "line", folder / "lines"
        line.write_text("one line of text\n")
        lines.write_text("one line of text\n" * TASKS)
        many = ["--split-size", "17B", "--reducers", "2"]
        with (
            running_cluster(folder / "plain") as plain,
            running_cluster(folder / "secure", tls=True) as secure,
        ):
            yield [
                Comparison(
                    case=case,
                    ours=partial(_submit, secure, source, folder / "output", options),
                    reference=partial(_submit, plain, source, folder / "output", options),
                    reference_name="without TLS",
                    goal=GOAL,
                )
                for case, source, options in (
                    ("a job over one line with mutual TLS", line, []),
                    (f"a job of {TASKS} map tasks with mutual TLS", lines, many),
                )
            ]


def _submit(cluster: RunningCluster, source: Path, output: Path, options: list[str]) -> float:
    command: list[object] = [sys.executable, "-m", "blfs_mr.submit", JOBS / "records.py", source]
    try:
        return seconds_of([*command, "-o", output, *options, *cluster.options, "--quiet"])
    finally:
        shutil.rmtree(output, ignore_errors=True)
