"""Pools of shared files that are too small: jobs take turns, drain, or fail with figures. They never hang."""

from __future__ import annotations

import os
import random
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.harness import DEADLINE, Daemons, Ended, Stage, lines_of, wait_for, write_job

COUNT = """
class Count(Job):
    def map(self, record): yield record, 1
    def reduce(self, key, values): yield key, sum(values)
"""

HELD = """
import os
class Held(Job):
    '''Notes each map attempt; the one that reads the line "hold" waits until the file `gate` is gone.'''
    gate = Param(str)
    def setup(self):
        if hasattr(self, "split"):
            descriptor = os.open(self.gate + ".maps", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(descriptor, b"%d\\n" % self.split.offset)
            os.close(descriptor)
    def map(self, record):
        while record == "hold" and os.path.exists(self.gate):
            os.sched_yield()
        yield record, 1
    def reduce(self, key, values): yield key, sum(values)
"""

BUSY = 3 * DEADLINE
"""Seconds for a job of dozens of tasks on a machine that has other things to do."""


def records(seed: int, size: int) -> list[str]:
    """At least ``size`` bytes of records that hardly repeat, so that what maps write is as large."""
    chance = random.Random(seed)
    return [f"{chance.randrange(size):030d}" for _ in range(size // 31 + 1)]


def counted(lines: list[str]) -> list[bytes]:
    return sorted(f"{line}\t{count}\n".encode() for line, count in Counter(lines).items())


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def configured(stage: Stage, files: int, size: str = "64KiB") -> Path:
    """A configuration whose workers have so small a pool."""
    path = stage.folder / "config.toml"
    worker = f'[worker]\nshared_files = {files}\nshared_file_size = "{size}"\n'
    path.write_text(worker + '[job]\nblock_size = "16KiB"\n')
    return path


def run(stage: Stage, lines: list[str], *options: object, files: int) -> Ended:
    """An embedded run of ``COUNT``."""
    source, job = write(stage.folder / "input", lines), write_job(stage.folder, COUNT)
    config = configured(stage, files)
    return stage.submit(job, source, "-o", "out", "--config", config, *options, deadline=BUSY)


def test_two_mappers_that_need_two_files_each_of_two_both_get_them_and_nobody_fails(stage: Stage) -> None:
    lines = records(1, 180_000)
    ended = run(stage, lines, "--split-size", 90_000, "--workers", 1, "--slots", 2, files=2)
    assert ended.code == 0, ended.stderr
    assert lines_of(stage.folder / "out") == counted(lines)
    assert "failed" not in ended.stderr


@pytest.mark.parametrize(("workers", "slots", "reducers"), [(1, 2, 64), (2, 1, 5), (1, 1, 3)])
def test_intermediate_data_five_times_the_pool_is_drained(
    stage: Stage, workers: int, slots: int, reducers: int
) -> None:
    lines = records(2, 1_300_000)
    ended = run(
        stage, lines, "--split-size", "50KB", "--workers", workers, "--slots", slots, "--reducers", reducers,
        files=4 // workers,
    )  # fmt: skip
    assert ended.code == 0, ended.stderr
    assert lines_of(stage.folder / "out") == counted(lines)
    assert stage.left_behind() == ({}, [])


def test_without_draining_such_a_job_fails_and_says_how_large_the_pool_must_be(stage: Stage) -> None:
    lines = records(3, 600_000)
    ended = run(stage, lines, "--split-size", "50KB", "--workers", 1, "--slots", 2, "--no-draining", files=4)
    assert ended.code == 1
    said = ended.stderr.splitlines()[-1]
    assert (
        "the pool of shared files on worker-0 is full, and draining is not allowed: 4 of 13 map outputs"
        in said
    )
    assert "all of them would need about 13 shared files of 64 KiB" in said
    assert "worker.shared_files" in said
    assert not (stage.folder / "out").exists()


def test_with_the_pool_that_it_asked_for_the_same_job_needs_no_draining(stage: Stage) -> None:
    lines = records(3, 600_000)
    ended = run(stage, lines, "--split-size", "50KB", "--workers", 1, "--slots", 2, "--no-draining", files=13)
    assert ended.code == 0, ended.stderr
    assert lines_of(stage.folder / "out") == counted(lines)


def test_a_map_that_can_never_fit_fails_with_the_figures(stage: Stage) -> None:
    ended = run(stage, records(4, 400_000), "--workers", 1, files=2)
    assert ended.code == 1
    said = ended.stderr.splitlines()[-1]
    assert "holds all 2 shared files of worker-0 (128KiB) and needs more" in said
    assert "worker.shared_file_size" in said
    assert "--split-size" in said


def test_one_full_volume_does_not_hold_up_a_job_whose_other_volumes_are_free(
    start_daemons: Callable[..., Daemons],
) -> None:
    daemons = start_daemons(workers=0, worker='slots = 1\nshared_files = 1\nshared_file_size = "64KiB"')
    daemons.start_worker("worker-0")
    daemons.config.write_text(daemons.config.read_text().replace("shared_files = 1", "shared_files = 50"))
    wait_for(lambda: len(daemons.workers()) == 1, "the first worker is there")
    daemons.start_worker("worker-1")
    daemons.wait_for_workers(2)
    lines, folder = records(5, 600_000), daemons.stage.folder
    job, source = write_job(folder, COUNT), write(folder / "input", lines)
    ended = daemons.submit(job, source, "-o", folder / "out", "--split-size", "50KB", deadline=BUSY)
    assert ended.code == 0, ended.stderr
    assert lines_of(folder / "out") == counted(lines)


def test_jobs_side_by_side_share_a_pool_that_holds_neither(start_daemons: Callable[..., Daemons]) -> None:
    daemons = start_daemons(workers=2, worker='slots = 2\nshared_files = 2\nshared_file_size = "64KiB"')
    folder, job = daemons.stage.folder, write_job(daemons.stage.folder, COUNT)
    inputs = [records(seed, 400_000) for seed in (6, 7)]
    submitters = [
        daemons.start(
            job, write(folder / f"input-{i}", lines), "-o", folder / f"out-{i}", "--split-size", "50KB"
        )
        for i, lines in enumerate(inputs)
    ]
    for number, (lines, submitter) in enumerate(zip(inputs, submitters, strict=True)):
        ended = submitter.wait(BUSY)
        assert ended.code == 0, ended.stderr
        assert lines_of(folder / f"out-{number}") == counted(lines)


def test_losing_a_worker_with_its_drained_copies_runs_only_those_maps_again(
    start_daemons: Callable[..., Daemons],
) -> None:
    daemons = start_daemons(workers=2, worker='slots = 1\nshared_files = 4\nshared_file_size = "64KiB"')
    folder = daemons.stage.folder
    gate = folder / "gate"
    gate.touch()
    lines = [*records(8, 1_000_000), "hold"]
    source = write(folder / "input", lines)
    submitter = daemons.start(
        write_job(folder, HELD), source, "-p", f"gate={gate}", "-o", folder / "out", "--split-size", "50KB",
        "--reducers", 4,
    )  # fmt: skip
    maps, noted = -(-source.stat().st_size // 50_000), Path(f"{gate}.maps")
    wait_for(lambda: noted.exists() and len(noted.read_text().split()) == maps, "all maps have begun", BUSY)
    before = noted.read_text().split()
    victim = next(
        name
        for name in ("worker-0", "worker-1")
        if list(daemons.home.glob(f"scratch/{name}/jobs/*/drained/shared-*"))
    )
    daemons.kill(victim)
    gate.unlink()
    ended = submitter.wait(BUSY)
    assert ended.code == 0, ended.stderr
    assert lines_of(folder / "out") == counted(lines)
    again = noted.read_text().split()[len(before) :]
    assert 0 < len(again) < maps


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 400 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.root
def test_a_scratch_that_cannot_hold_what_is_drained_fails_the_job_with_the_setting_to_change(
    small_disk: Path, start_daemons: Callable[..., Daemons]
) -> None:
    daemons = start_daemons(
        workers=1,
        worker=f'slots = 2\nshared_files = 2\nshared_file_size = "64KiB"\nscratch = "{small_disk}/{{name}}"',
    )
    folder = daemons.stage.folder
    job, source = write_job(folder, COUNT), write(folder / "input", records(9, 1_000_000))
    ended = daemons.submit(job, source, "-o", folder / "out", "--split-size", "50KB", deadline=BUSY)
    assert ended.code == 1
    said = ended.stderr.splitlines()[-1]
    assert f"the scratch folder {small_disk}/worker-0/jobs/" in said
    assert "is full; copying this map output takes up to" in said
    assert "set worker.scratch to a folder on a larger disk" in said
    lines = records(10, 50_000)
    ended = daemons.submit(job, write(source, lines), "-o", folder / "next", deadline=BUSY)
    assert ended.code == 0, f"the next job is none the worse: {ended.stderr}"
    assert lines_of(folder / "next") == counted(lines)
