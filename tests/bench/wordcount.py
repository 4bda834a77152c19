"""Counting words: ten words a line, from a pool of 2,000; 32 MiB of text, and more on demand.

The first MapReduce program that anyone writes, and the hardest on a Python system: nearly all the time is
spent per word, so nothing hides what the system adds. Results are checked in every round.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from blfs_mr.generate import generate_text
from blfs_mr.units import format_size

from .cluster import RunningCluster, running_cluster
from .harness import Comparison
from .peers import why_absent
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

# The least that we must be faster than systems that do the same with a function call per word.
SPARK_GOAL, MRJOB_GOAL = 4.0, 8.0

LARGEST_SPLIT = 8 << 20
"""Bytes of a split of a large text, here and for dask: all of its words are in memory at a time."""

GROWTH_GOAL = 0.9
"""At most linear, and a tenth for noise: the reference is one short run, multiplied."""

DEADLINE = 600.0
"""Seconds for one run over a large text; a GiB takes some twenty."""


@contextmanager
def comparisons(size: int) -> Iterator[list[Comparison]]:
    """The rows, with input and daemons in place for as long as the context lasts.

    A ``size`` above 32 MiB adds rows over a text as large as that.
    """
    with tempfile.TemporaryDirectory(prefix="blfs-mr-bench-") as name:
        folder = Path(name)
        text = Text.generate(folder / "text")
        with running_cluster(folder / "home") as cluster:
            rows = [*_peers(text), *_bare(text, cluster)]
            if size > TEXT_SIZE:
                rows += _large(text, text.repeated(folder / "large-text", size // TEXT_SIZE), cluster)
            yield rows


class Text:
    """A text and its true counts."""

    def __init__(self, path: Path, counts: Counter[str], times: int = 1) -> None:
        self.path = path
        self.times = times
        self._counts = counts

    @classmethod
    def generate(cls, path: Path) -> Text:
        """32 MiB of text."""
        generate_text(path, TEXT_SIZE)
        return cls(path, Counter(path.read_text().split()))

    def repeated(self, path: Path, times: int) -> Text:
        """This text so many times over."""
        content = self.path.read_bytes()
        with open(path, "wb") as file:
            for _ in range(times):
                file.write(content)
        return Text(path, self._counts, times)

    def count(self, job: str, options: list[object]) -> float:
        """The seconds of one submission, exec to exit. Raises CommandFailed unless its result is right."""
        output = self.path.with_name("output")
        command: list[object] = [sys.executable, "-m", "blfs_mr.submit", JOBS / f"{job}.py", self.path]
        try:
            seconds = seconds_of([*command, "-o", output, "--quiet", *options], deadline=DEADLINE)
            if _read(output) != {word: count * self.times for word, count in self._counts.items()}:
                raise CommandFailed(f"the counts of {job} are wrong")
        finally:
            shutil.rmtree(output, ignore_errors=True)
        return seconds

    def count_bare(self) -> float:
        """The seconds that two bare processes need for it."""
        script = REFERENCES / "bare_count.py"
        halves = [[sys.executable, script, self.path, part, 2] for part in range(2)]
        return seconds_of(*halves, deadline=DEADLINE)


def _peers(text: Text) -> Iterator[Comparison]:
    """Without running daemons, exec to exit, since that is how the peers run."""
    size = TEXT_SIZE * text.times
    split_size = min(size // TASKS, LARGEST_SPLIT)
    dask: list[object] = [sys.executable, REFERENCES / "dask_bag.py", text.path, split_size]
    spark = [sys.executable, REFERENCES / "spark_count.py", text.path]
    mrjob = [sys.executable, REFERENCES / "mrjob_count.py", "-r", "local", "--no-conf", "--num-cores", 2]
    for job, command, name, package, goal in (
        ("whole_splits", dask, "dask.bag, frequencies, two processes", "dask", 1.0),
        ("records", dask, "dask.bag, frequencies, two processes", "dask", 1.0),
        ("records", spark, "PySpark RDD, local[2]", "pyspark", SPARK_GOAL),
        ("records", [*mrjob, "--quiet", text.path], "mrjob, local runner, two cores", "mrjob", MRJOB_GOAL),
    ):
        if package == "mrjob" and text.times > 1:
            continue  # it needs a quarter of a minute for 32 MiB
        yield Comparison(
            case=f"{size >> 20} MiB, embedded, {_described(job)}",
            ours=partial(text.count, job, ["--split-size", split_size, "--reducers", TASKS]),
            reference=partial(seconds_of, command, deadline=DEADLINE),
            reference_name=name,
            goal=goal,
            unavailable=why_absent(package),
        )


def _bare(text: Text, cluster: RunningCluster) -> Iterator[Comparison]:
    options = ["--split-size", SPLIT_SIZE, "--reducers", TASKS, *cluster.options]
    for job, limit in LIMITS.items():
        yield Comparison(
            case=f"32 MiB, running daemons, {_described(job)}",
            ours=partial(text.count, job, options),
            reference=text.count_bare,
            reference_name=BARE,
            goal=1 / limit,
        )


def _large(text: Text, large: Text, cluster: RunningCluster) -> Iterator[Comparison]:
    """With splits and reducers as the system chooses them."""
    size = format_size(TEXT_SIZE * large.times)
    line = text.path.with_name("line")
    line.write_text("one\n")
    yield from _peers(large)
    start_up = partial(Text(line, Counter(["one"])).count, "whole_splits", [*cluster.options])
    yield Comparison(
        case=f"{size}, running daemons, {_described('whole_splits')}",
        ours=partial(large.count, "whole_splits", [*cluster.options]),
        reference=large.count_bare,
        reference_name=BARE,
        goal=1 / LIMITS["whole_splits"],
    )
    yield Comparison(
        case=f"{size}, beyond start-up, {_described('whole_splits')}",
        ours=lambda: large.count("whole_splits", [*cluster.options]) - start_up(),
        reference=lambda: large.times * (text.count("whole_splits", [*cluster.options]) - start_up()),
        reference_name=f"{large.times} times our own time for 32 MiB",
        goal=GROWTH_GOAL,
    )


def _described(job: str) -> str:
    return {
        "whole_splits": "whole splits",
        "records": "records with combiner",
        "records_without_combiner": "records without combiner",
    }[job]


def _read(output: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    for part in output.glob("part-*"):
        for line in part.read_text().splitlines():
            word, _, count = line.partition("\t")
            if word in counts:
                raise CommandFailed(f"{word} was counted in two parts")
            counts[word] = int(count)
    return counts
