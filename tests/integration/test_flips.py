"""Bytes that turn over between publication and reading: the right result, or a failure by name."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.harness import Daemons, Stage, lines_of, running_daemons, wait_for, write_job

JOBS = 24
"""Jobs with a few flips each; single ones are tried by the thousand where no processes are needed for it."""

HELD = """
import os
class Held(Job):
    '''Its last map waits until the file `gate` is gone, and holds the only slot so long.'''
    gate = Param(str)
    def map(self, record):
        if record == "hold":
            open(self.gate + ".held", "w").close()
            while os.path.exists(self.gate):
                os.sched_yield()
        yield record, 1
    def reduce(self, key, values): yield key, sum(values)
"""


@pytest.fixture(scope="module")
def one_slot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemons]:
    """One worker of one slot: no reducer can read while a map runs."""
    stage = Stage(tmp_path_factory.mktemp("one-slot") / "stage")
    worker = 'slots = 1\nshared_files = 6\nshared_file_size = "64KiB"'
    with running_daemons(stage, workers=1, worker=worker) as daemons:
        yield daemons


def flip_some(volume: Path, chance: random.Random) -> None:
    """Turn a few bits of one to three shared files over, most of them in what is in use."""
    files = sorted(volume.glob("shared-*"))
    for path in chance.sample(files, min(len(files), chance.randint(1, 3))):
        with path.open("r+b") as file:
            position = chance.randrange(chance.choice((200, 4096, 40_000)))
            file.seek(position)
            byte = file.read(1)[0]
            file.seek(position)
            file.write(bytes([byte ^ 1 << chance.randrange(8)]))


def test_jobs_whose_intermediate_data_is_damaged_are_right_or_fail_by_name(
    one_slot: Daemons, tmp_path: Path
) -> None:
    noticed = 0
    for seed in range(JOBS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        noticed += run_damaged(one_slot, folder, random.Random(seed))
    assert noticed > JOBS // 2, "most of what is damaged is in use"


def run_damaged(daemons: Daemons, folder: Path, chance: random.Random) -> bool:
    """Run one job; whether a reader noticed the damage."""
    gate, source, output = folder / "gate", folder / "input", folder / "out"
    gate.touch()
    lines = [f"{chance.randrange(3000):08d}" for _ in range(12_000)] + ["hold"]
    source.write_text("".join(f"{line}\n" for line in lines))
    submitter = daemons.start(
        write_job(folder, HELD), source, "-p", f"gate={gate}", "-o", output, "--split-size", "30KB",
        "--reducers", 2,
    )  # fmt: skip
    wait_for(Path(f"{gate}.held").exists, "the last map runs, and all others are published")
    flip_some(daemons.home / "volumes" / "worker-0", chance)
    gate.unlink()
    ended = submitter.wait()
    if ended.code == 0:
        assert lines_of(output) == sorted(f"{k}\t{n}\n".encode() for k, n in Counter(lines).items())
    else:
        assert ended.code == 1
        assert "cannot be read by" in ended.stderr.splitlines()[-1]
        assert not output.exists()
    return "cannot be read by" in ended.stderr
