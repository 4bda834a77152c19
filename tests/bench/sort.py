"""Sorting 100-byte records with random 10-byte keys: every byte goes through the shuffle.

The record API beside PySpark, which calls Python per record as well, and both our APIs beside GNU sort, which
is C from end to end and the bar for what one machine can do. Each of our results is checked in full: all
records are there, each as it was, in order.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from xxhash import xxh3_64_intdigest

from blfs_mr.generate import RECORD_KEY_SIZE, RECORD_SIZE, generate_records
from blfs_mr.units import format_size

from .cluster import running_cluster
from .harness import Comparison
from .peers import why_absent
from .processes import REPOSITORY, CommandFailed, seconds_of
from .wordcount import REFERENCES

DEFAULT_SIZE = 256 << 20
REDUCERS = 16

SPARK_GOAL = 6.0

GNU_SORT = "LC_ALL=C sort --parallel=2 -S 512M, the records as lines of text"
RECORD_GOAL, BATCH_GOAL = 0.5, 1.0

_EXAMPLES = REPOSITORY / "blfs_mr" / "examples"
RECORD_JOB, BATCH_JOB = _EXAMPLES / "distributed_sort.py", _EXAMPLES / "arrow_sort.py"

DEADLINE = 900.0
"""Seconds for one run; a GiB takes a minute or two."""

_CHUNK = 10_000 * RECORD_SIZE

_FINGERPRINT_MASK = (1 << 64) - 1


@contextmanager
def comparisons(size: int) -> Iterator[list[Comparison]]:
    """The rows, over about ``size`` bytes of records, with a cluster for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="blfs-mr-bench-") as name:
        folder = Path(name)
        records, lines, output = folder / "records", folder / "lines", folder / "output"
        generate_records(records, size)
        write_as_lines(records, lines)
        spark = [sys.executable, REFERENCES / "spark_sort.py", records, output]
        gnu_sort = ["env", "LC_ALL=C", "sort", "--parallel=2", "-S", "512M", "-o", folder / "sorted", lines]
        with running_cluster(folder / "home") as cluster:
            expected = fingerprint([records])
            asked = [records, "-o", output, "--quiet", "--reducers", REDUCERS, *cluster.options]
            submit = [sys.executable, "-m", "blfs_mr.submit"]
            by_record = partial(_sort, [*submit, RECORD_JOB, *asked], output, expected)
            by_batch = partial(_sort, [*submit, BATCH_JOB, *asked], output, expected)
            with_gnu_sort = partial(seconds_of, gnu_sort, deadline=DEADLINE)
            case = f"{format_size(size)}, running daemons"
            yield [
                Comparison(
                    case=f"{case}, record API",
                    ours=by_record,
                    reference=partial(_sort_with_spark, spark, output),
                    reference_name="PySpark RDD sortByKey, local[2]",
                    goal=SPARK_GOAL,
                    unavailable=why_absent("pyspark"),
                ),
                Comparison(
                    case=f"{case}, record API",
                    ours=by_record,
                    reference=with_gnu_sort,
                    reference_name=GNU_SORT,
                    goal=RECORD_GOAL,
                ),
                Comparison(
                    case=f"{case}, batch API",
                    ours=by_batch,
                    reference=with_gnu_sort,
                    reference_name=GNU_SORT,
                    goal=BATCH_GOAL,
                    unavailable=why_absent("pyarrow"),
                ),
            ]


def write_as_lines(records: Path, lines: Path) -> None:
    """The records as lines of the same length that sort alike: the key in hex digits, cut at the end."""
    with open(records, "rb") as source, open(lines, "wb") as target:
        while chunk := source.read(_CHUNK):
            target.write(
                b"".join(
                    [
                        chunk[start : start + RECORD_KEY_SIZE].hex().encode()
                        + chunk[start + RECORD_KEY_SIZE : start + RECORD_SIZE - RECORD_KEY_SIZE - 1]
                        + b"\n"
                        for start in range(0, len(chunk), RECORD_SIZE)
                    ]
                )
            )


def fingerprint(files: list[Path]) -> tuple[int, int]:
    """How many records ``files`` hold, and a sum of their hashes that does not depend on their order."""
    count = total = 0
    for path in files:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                starts = range(0, len(chunk), RECORD_SIZE)
                total += sum(xxh3_64_intdigest(chunk[start : start + RECORD_SIZE]) for start in starts)
                count += len(starts)
    return count, total & _FINGERPRINT_MASK


def check_sorted(files: list[Path], expected: tuple[int, int]) -> None:
    """Raise CommandFailed unless ``files`` in turn hold the records of that fingerprint in key order."""
    if fingerprint(files) != expected:
        raise CommandFailed("the sorted records are not those of the input")
    last = b""
    for path in files:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                starts = range(0, len(chunk), RECORD_SIZE)
                keys = [last, *(chunk[start : start + RECORD_KEY_SIZE] for start in starts)]
                if keys != sorted(keys):
                    raise CommandFailed(f"{path.name} is not in order")
                last = keys[-1]


def _sort(command: list[object], output: Path, expected: tuple[int, int]) -> float:
    try:
        seconds = seconds_of(command, deadline=DEADLINE)
        check_sorted(sorted(output.glob("part-*")), expected)
    finally:
        shutil.rmtree(output, ignore_errors=True)
    return seconds


def _sort_with_spark(command: list[object], output: Path) -> float:
    output.mkdir()
    try:
        return seconds_of(command, deadline=DEADLINE)
    finally:
        shutil.rmtree(output, ignore_errors=True)
