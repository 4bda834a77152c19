"""Running daemons under faults: whatever dies, jobs end rightly or with the reason, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.harness import (
    WORDCOUNT,
    Daemons,
    HeldJob,
    Stage,
    lines_of,
    listening,
    wait_for,
    write_job,
)

StartDaemons = Callable[..., Daemons]


def test_two_jobs_at_once_are_both_right(shared_daemons: Daemons, tmp_path: Path) -> None:
    texts = {name: f"{name} word\n" * 20_000 for name in ("one", "two", "three")}
    submitters = {}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        submitters[name] = shared_daemons.start(
            WORDCOUNT, tmp_path / name, "-o", tmp_path / f"{name}-out", "--split-size", "20KiB"
        )
    for name, submitter in submitters.items():
        ended = submitter.wait()
        assert ended.code == 0, ended.stderr
        assert lines_of(tmp_path / f"{name}-out") == sorted([f"{name}\t20000\n".encode(), b"word\t20000\n"])


def test_a_job_file_reaches_workers_as_it_was_when_it_was_submitted(
    shared_daemons: Daemons, tmp_path: Path
) -> None:
    job = HeldJob(shared_daemons.start, tmp_path)
    (tmp_path / "held.py").write_text("this is no Python any more")
    job.ends_well()


@pytest.mark.parametrize("method", ["map", "reduce"])
def test_a_worker_that_is_killed_costs_attempts_and_not_the_job(
    start_daemons: StartDaemons, tmp_path: Path, method: str
) -> None:
    daemons = start_daemons(workers=2)
    job = HeldJob(daemons.start, tmp_path, "-p", f"method={method}")
    daemons.kill("worker-0")
    wait_for(lambda: list(daemons.workers()) == ["worker-1"], "the master sees that it is gone")
    assert "worker worker-0 was lost" in job.ends_well()
    daemons.wait_until_idle()


def test_a_job_without_workers_fails_with_that_reason_after_the_deadline(
    start_daemons: StartDaemons, tmp_path: Path
) -> None:
    daemons = start_daemons(workers=2, master="no_worker_deadline = '500ms'")
    job = HeldJob(daemons.start, tmp_path)
    daemons.kill("worker-0")
    daemons.kill("worker-1")
    ended = job.submitter.wait()
    assert ended.code == 1
    assert "no worker is left; none came within 0.5 s" in ended.stderr
    assert not job.output.exists()
    wait_for(lambda: not daemons.task_processes(), "task processes die with their workers")


def test_a_worker_that_comes_back_under_its_name_gets_tasks_again(
    start_daemons: StartDaemons, tmp_path: Path
) -> None:
    daemons = start_daemons(workers=1)
    job = HeldJob(daemons.start, tmp_path, attempts=1)
    daemons.kill("worker-0")
    daemons.start_worker("worker-0")
    job.ends_well()
    daemons.wait_until_idle()


def test_a_second_worker_of_a_name_that_lives_is_refused(start_daemons: StartDaemons, tmp_path: Path) -> None:
    daemons = start_daemons(workers=1)
    first = daemons.processes["worker-0"]
    second = daemons.start_worker("worker-0")
    assert second.wait(30) != 0
    assert "worker-0 is held by another worker" in daemons.log.read_text()
    assert first.poll() is None
    daemons.processes["worker-0"] = first
    assert list(daemons.workers()) == ["worker-0"]


def test_a_worker_of_a_name_that_lives_elsewhere_is_refused(
    start_daemons: StartDaemons, tmp_path: Path
) -> None:
    daemons = start_daemons(workers=1)
    first = daemons.processes["worker-0"]
    daemons.config.write_text(
        daemons.config.read_text().replace("[worker]", f'[worker]\nvolume = "{tmp_path}/elsewhere"')
    )
    second = daemons.start_worker("worker-0")
    wait_for(
        lambda: "a worker named worker-0 is registered already" in daemons.log.read_text(), "it is refused"
    )
    assert list(daemons.workers()) == ["worker-0"]
    assert first.poll() is None
    second.kill()
    second.wait()


@pytest.mark.parametrize("victims", ["task processes", "launchers"])
def test_processes_of_a_job_that_are_killed_are_tried_again(
    start_daemons: StartDaemons, tmp_path: Path, victims: str
) -> None:
    daemons = start_daemons(workers=2)
    job = HeldJob(daemons.start, tmp_path)
    before = job.pids()
    for pid in before:
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(parent if victims == "launchers" else pid, signal.SIGKILL)
    wait_for(
        lambda: len(set(job.pids()) - set(before)) >= 2,
        "they are tried again",
        10,
    )
    assert "it is tried again" in job.ends_well()
    daemons.wait_until_idle()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_submitter_that_is_gone_takes_its_job_with_it(
    shared_daemons: Daemons, tmp_path: Path, number: signal.Signals
) -> None:
    job = HeldJob(shared_daemons.start, tmp_path)
    job.submitter.process.send_signal(number)
    ended = job.submitter.wait()
    if number in (signal.SIGINT, signal.SIGTERM):
        assert ended.code == 130
        assert ended.stderr.splitlines()[-1] == "interrupted: cancelling the job"
    shared_daemons.wait_until_idle()
    wait_for(lambda: not job.output.exists(), "its output is gone")


def test_a_master_that_stops_ends_its_jobs_and_workers_wait_for_the_next(
    start_daemons: StartDaemons, tmp_path: Path
) -> None:
    daemons = start_daemons(workers=1, master="grace = '0s'")
    job = HeldJob(daemons.start, tmp_path, attempts=1)
    daemons.processes["master"].terminate()
    assert daemons.processes["master"].wait(30) == 0
    ended = job.submitter.wait()
    assert ended.code == 1
    assert not job.output.exists()
    daemons.start_master()
    daemons.wait_for_workers(1)
    (tmp_path / "gate").touch()
    HeldJob(daemons.start, tmp_path, attempts=1).ends_well()


def test_a_submitter_whose_master_is_killed_says_so(start_daemons: StartDaemons, tmp_path: Path) -> None:
    daemons = start_daemons(workers=1)
    job = HeldJob(daemons.start, tmp_path, attempts=1)
    daemons.kill("master")
    ended = job.submitter.wait()
    assert ended.code == 1
    assert "master" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
    assert not job.output.exists()


def test_daemons_that_are_stopped_leave_no_process_and_no_port(
    start_daemons: StartDaemons, stage: Stage, tmp_path: Path
) -> None:
    daemons = start_daemons(workers=2, master="grace = '0s'", worker="slots = 1\ngrace = '0s'")
    job = HeldJob(daemons.start, tmp_path)
    sockets = stage.listening()
    assert {int(address.rpartition(":")[2], 16) for address in sockets.values()} == {daemons.port}
    assert daemons.stop() == {"master": 0, "worker-0": 0, "worker-1": 0}
    assert job.submitter.wait().code == 1
    wait_for(lambda: not stage.processes(), f"no process is left: {stage.processes()}")
    assert not sockets.keys() & listening().keys()
    assert stage.left_behind() == ({}, [])


# ---------------------------------------------------------------- too little room


def test_a_record_larger_than_a_shared_file_is_refused_by_size(
    start_daemons: StartDaemons, tmp_path: Path
) -> None:
    daemons = start_daemons(workers=1, worker="slots = 1\nshared_files = 4\nshared_file_size = '64KiB'")
    job = write_job(tmp_path, """
        class Large(Job):
            def map(self, record):
                import random
                yield record, random.Random(1).randbytes(200_000)
            def reduce(self, key, values): yield key, len(list(values))
        """)  # fmt: skip
    (tmp_path / "input").write_text("x\n")
    ended = daemons.submit(job, tmp_path / "input", "-o", tmp_path / "out")
    assert ended.code == 1
    last = ended.stderr.splitlines()[-1]
    assert "does not fit into a shared file" in last
    assert "worker.shared_file_size" in last
    assert not (tmp_path / "out").exists()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
@pytest.mark.parametrize(("full", "told"), [("home", "volume"), ("output", "output")])
def test_a_full_disk_is_named_and_the_daemons_live_on(
    start_daemons: StartDaemons, stage: Stage, tmp_path: Path, full: str, told: str
) -> None:
    small = tmp_path / full if full == "output" else stage.folder / "home"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", small], check=True)
    try:
        daemons = start_daemons(workers=1)
        job = write_job(tmp_path, """
            class Large(Job):
                reducers = 1
                max_attempts = 2
                def map(self, record):
                    import random
                    chance = random.Random(record)
                    for number in range(500):
                        yield f"{record} {number}", chance.randbytes(5_000).hex()
                def reduce(self, key, values): yield key, next(values)
            """)  # fmt: skip
        (tmp_path / "input").write_text("a\nb\n")
        output = tmp_path / "output" / "out"
        ended = daemons.submit(job, tmp_path / "input", "-o", output)
        assert ended.code == 1
        last = ended.stderr.splitlines()[-1]
        assert f"No space left on device ({told} {small}" in last
        assert not output.exists()
        if full == "output":  # A volume that is full stays full: its shared files are there for good.
            (tmp_path / "small").write_text("a b a\n")
            after = daemons.submit(WORDCOUNT, tmp_path / "small")
            assert (after.code, sorted(after.stdout.splitlines())) == (0, [b"a\t2", b"b\t1"])
        assert daemons.stop() == {"master": 0, "worker-0": 0}
    finally:
        stage.kill_everything()
        subprocess.run(["umount", "-l", small], check=True)


def test_a_map_output_larger_than_the_pool_is_told_what_would_help(
    start_daemons: StartDaemons, tmp_path: Path
) -> None:
    daemons = start_daemons(workers=1, worker="slots = 1\nshared_files = 2\nshared_file_size = '256KiB'")
    job = write_job(tmp_path, """
        class Much(Job):
            block_size = "16KiB"
            def map(self, record):
                import random
                chance = random.Random(1)
                for number in range(1000):
                    yield number, chance.randbytes(1000)
            def reduce(self, key, values): yield key, len(list(values))
        """)  # fmt: skip
    (tmp_path / "input").write_text("x\n")
    ended = daemons.submit(job, tmp_path / "input", "-o", tmp_path / "out")
    assert ended.code == 1
    assert "worker.shared_files" in ended.stderr.splitlines()[-1]
    (tmp_path / "small").write_text("a b a\n")
    after = daemons.submit(WORDCOUNT, tmp_path / "small")
    assert (after.code, sorted(after.stdout.splitlines())) == (0, [b"a\t2", b"b\t1"])
