"""The memory budget holds in real task processes: what they are given does not decide how much they take."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.harness import Daemons, Stage, wait_for, write_job

MIB = 1 << 20
BUDGET = 64 * MIB
TOLERANCE = 1.2
"""The budget is peak resident memory, interpreter included; estimates may be wrong by a fifth."""

REPORT = """
    def cleanup(self):
        # A reducer may be gone before its worker has looked at it, so it tells its own peak.
        if "source" not in vars(self):
            import os, resource
            self.count(f"peak_{os.getpid()}", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

UNIQUE = (
    """
class Unique(Job):
    memory = "64MiB"
    def map(self, record):
        import random
        bits = random.Random(record).getrandbits
        for number in range(800_000):
            yield f"{bits(40):010x}", f"{'v' * 78}{number:012d}"
    def reduce(self, key, values):
        self.count("values", sum(1 for value in values))
        return ()
"""
    + REPORT
)

ONE_KEY = (
    """
class OneKey(Job):
    memory = "64MiB"
    def map(self, record):
        for number in range(800_000):
            yield "key", f"{'v' * 88}{number:012d}"
    def reduce(self, key, values):
        self.count("values", sum(1 for value in values))
        return ()
"""
    + REPORT
)

LARGE = (
    """
class Large(Job):
    memory = "64MiB"
    def map(self, record):
        for number in range(80):
            yield f"{record}-{number}", f"{number:01000000d}"
    def reduce(self, key, values):
        self.count("values", sum(1 for value in values))
        return ()
"""
    + REPORT
)


def _run(daemons: Daemons, stage: Stage, source: str, reducers: int) -> tuple[str, list[int], list[int]]:
    """What the submitter said, and the peaks of mappers and reducers in bytes."""
    folder = stage.folder
    inputs = folder / "inputs"
    inputs.mkdir()
    for number in range(3):
        (inputs / str(number)).write_text(f"{number}\n")
    job = write_job(folder, source)
    ended = daemons.submit(job, inputs, "-o", folder / "out", "--reducers", reducers, deadline=120.0)
    assert ended.code == 0, ended.stderr
    pattern = re.compile(r"map-\d+\.1 exited with 0: .* (\d+) MiB at most")
    maps = wait_for(
        lambda: found if len(found := pattern.findall(daemons.log.read_text())) == 3 else None,
        "three mappers are reaped",
    )
    peaks = re.findall(r"peak_\d+ = ([\d,]+)", ended.stderr)
    return (
        ended.stderr,
        [int(peak) * MIB for peak in maps],
        [int(peak.replace(",", "")) * 1024 for peak in peaks],
    )


@pytest.mark.parametrize(
    ("source", "reducers", "values"),
    [
        pytest.param(UNIQUE, 1, "2,400,000", id="unique records, one reducer"),
        pytest.param(UNIQUE, 5, "2,400,000", id="unique records, five reducers"),
        pytest.param(ONE_KEY, 1, "2,400,000", id="one key"),
        pytest.param(LARGE, 2, "240", id="values of 1 MB"),
    ],
)
def test_tasks_stay_within_their_memory_whatever_the_data(
    stage: Stage, start_daemons: Callable[..., Daemons], source: str, reducers: int, values: str
) -> None:
    daemons = start_daemons(workers=1, worker="slots = 2\nshared_files = 64\nshared_file_size = '16MiB'")
    said, maps, reduces = _run(daemons, stage, source, reducers)
    assert f"values = {values}" in said
    assert len(reduces) == reducers
    assert max(maps) <= BUDGET * TOLERANCE
    assert max(reduces) <= BUDGET * TOLERANCE


def test_a_task_that_outgrows_its_memory_fails_with_the_budget_named(
    stage: Stage, start_daemons: Callable[..., Daemons], tmp_path: Path
) -> None:
    source = """
    class Hoarder(Job):
        memory = "64MiB"
        max_attempts = 1
        def map(self, record):
            held = [bytearray(1 << 20) for _ in range(4000)]
            yield record, len(held)
        def reduce(self, key, values): yield key, sum(values)
    """
    daemons = start_daemons(workers=1)
    (stage.folder / "input").write_text("record\n")
    begun = time.monotonic()
    ended = daemons.submit(write_job(stage.folder, source), stage.folder / "input", "-o", tmp_path / "out")
    assert ended.code == 1
    assert "map outgrew its memory: the budget of a task is 64MiB" in ended.stderr
    assert time.monotonic() - begun < 30
