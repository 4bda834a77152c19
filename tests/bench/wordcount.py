"""Counting the words of 32 MiB of text: ten words a line, from a pool of 2,000.

The first MapReduce program that anyone writes, and the hardest on a Python system: nearly all the time is
spent per word, so nothing hides what the system adds. Results are checked in every round.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from blfs_mr.generate import generate_text

from .cluster import running_cluster
from .harness import Comparison
from .processes import CommandFailed, seconds_of

TEXT_SIZE = 32 * 1024 * 1024
TASKS = 16
SPLIT_SIZE = TEXT_SIZE // TASKS

HERE = Path(__file__).parent
JOBS = HERE / "jobs"
REFERENCES = HERE / "references"

BARE = "two bare processes, each with a Counter over half of the text"

# The most that each way to write the job may take, as a multiple of the bare processes' time.
LIMITS = {"whole_splits": 1.5, "records": 3.0, "records_without_combiner": 4.0}


@contextmanager
def comparisons() -> Iterator[list[Comparison]]:
    """The rows, with input and daemons in place for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="blfs-mr-bench-") as name:
        folder = Path(name)
        text = folder / "text"
        generate_text(text, TEXT_SIZE)
        expected = Counter(text.read_text().split())
        count = partial(_count, text=text, output=folder / "output", expected=expected)
        bare = [[sys.executable, REFERENCES / "bare_count.py", text, part, 2] for part in range(2)]
        dask = [sys.executable, REFERENCES / "dask_bag.py", text, SPLIT_SIZE]
        with running_cluster(folder / "home") as cluster:
            rows = [
                Comparison(
                    case="embedded, record API with combiner, exec to exit",
                    ours=partial(count, "records", []),
                    reference=partial(seconds_of, dask),
                    reference_name="dask.bag with two processes",
                    goal=1.0,
                    unavailable=_why_no_dask(),
                )
            ]
            rows += [
                Comparison(
                    case=f"running daemons, {job.replace('_', ' ')}",
                    ours=partial(count, job, cluster.options),
                    reference=partial(seconds_of, *bare),
                    reference_name=BARE,
                    goal=1 / limit,
                )
                for job, limit in LIMITS.items()
            ]
            yield rows


def _count(job: str, options: list[str], *, text: Path, output: Path, expected: Counter[str]) -> float:
    """The seconds of one submission, exec to exit. Raises CommandFailed unless its result is ``expected``."""
    command: list[object] = [sys.executable, "-m", "blfs_mr.submit", JOBS / f"{job}.py", text, "-o", output]
    tasks = ["--split-size", SPLIT_SIZE, "--reducers", TASKS]
    try:
        seconds = seconds_of([*command, *tasks, *options, "--quiet"])
        if _read(output) != expected:
            raise CommandFailed(f"the counts of {job} are wrong")
    finally:
        shutil.rmtree(output, ignore_errors=True)
    return seconds


def _read(output: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    for part in output.glob("part-*"):
        for line in part.read_text().splitlines():
            word, _, count = line.partition("\t")
            if word in counts:
                raise CommandFailed(f"{word} was counted in two parts")
            counts[word] = int(count)
    return counts


def _why_no_dask() -> str:
    present = importlib.util.find_spec("dask") is not None
    return "" if present else "dask is not installed (pip install 'blfs-mr[bench]')"
