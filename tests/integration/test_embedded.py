"""An embedded run leaves nothing behind, however it ends: no process, no file, no port."""

from __future__ import annotations

import os
import signal

import pytest

from tests.integration.harness import (
    WORDCOUNT,
    HeldJob,
    Stage,
    listening,
    wait_for,
    write_job,
)


def supervisors(stage: Stage) -> list[int]:
    """The embedded cluster's process that has led its session since it began."""
    return [
        pid
        for pid, command in stage.processes().items()
        if "daemons.embedded" in command and os.getsid(pid) == pid
    ]


def test_nothing_is_left_after_a_failure(stage: Stage) -> None:
    job = write_job(stage.folder, """
        class Failing(Job):
            def map(self, record): 1 / 0
            def reduce(self, key, values): yield key, 1
        """)  # fmt: skip
    (stage.folder / "input").write_text("x\n")
    ended = stage.submit(job, "input", "-o", "out")
    assert ended.code == 1
    assert "ZeroDivisionError" in ended.stderr
    assert stage.left_behind() == ({}, [])
    assert not (stage.folder / "out").exists()


def test_the_port_and_the_temporary_folder_are_there_while_it_runs_and_gone_afterwards(stage: Stage) -> None:
    job = HeldJob(stage.start, stage.folder)
    assert [name.startswith("blfs-mr-") for name in stage.left_behind()[1]] == [True]
    sockets = stage.listening()
    assert {address.rpartition(":")[0] for address in sockets.values()} == {"0100007F"}, "loopback only"
    job.ends_well()
    assert stage.left_behind() == ({}, [])
    assert not sockets.keys() & listening().keys()


@pytest.mark.parametrize("method", ["map", "reduce"])
def test_ctrl_c_ends_everything_at_once(stage: Stage, method: str) -> None:
    job = HeldJob(stage.start, stage.folder, "-p", f"method={method}")
    os.killpg(job.submitter.process.pid, signal.SIGINT)  # As a terminal does.
    ended = job.submitter.wait()
    assert ended.code == 130
    assert ended.stderr.splitlines()[-1] == "interrupted: cancelling the job"
    assert not job.output.exists()
    assert stage.left_behind() == ({}, [])


def test_an_impatient_ctrl_c_leaves_nothing_either(stage: Stage) -> None:
    job = HeldJob(stage.start, stage.folder)
    for _ in range(3):
        os.killpg(job.submitter.process.pid, signal.SIGINT)
    assert job.submitter.wait().code != 0
    stage.wait_until_nothing_is_left()
    wait_for(lambda: not job.output.exists(), "the output is gone")


def test_nothing_is_left_when_the_submitter_is_killed(stage: Stage) -> None:
    job = HeldJob(stage.start, stage.folder)
    job.submitter.process.kill()
    stage.wait_until_nothing_is_left()
    wait_for(lambda: not job.output.exists(), "the output is gone")


def test_nothing_is_left_when_the_supervisor_is_killed(stage: Stage) -> None:
    job = HeldJob(stage.start, stage.folder)
    for pid in supervisors(stage):
        os.kill(pid, signal.SIGKILL)
    ended = job.submitter.wait()
    assert ended.code == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("error: ")
    stage.wait_until_nothing_is_left()
    assert not job.output.exists()


def test_nothing_is_left_when_the_supervisor_is_stopped_twice(stage: Stage) -> None:
    job = HeldJob(stage.start, stage.folder)
    (supervisor,) = supervisors(stage)
    os.kill(supervisor, signal.SIGTERM)
    os.kill(supervisor, signal.SIGTERM)
    assert job.submitter.wait().code == 1
    stage.wait_until_nothing_is_left()


def test_a_worker_that_is_killed_does_not_spoil_the_result(stage: Stage) -> None:
    job = HeldJob(stage.start, stage.folder)
    (supervisor,) = supervisors(stage)
    task = job.pids()[0]
    os.kill(task, signal.SIGKILL)
    job.ends_well()
    assert supervisor not in stage.processes()
    assert stage.left_behind() == ({}, [])


def test_a_cluster_without_a_place_for_its_files_is_refused(stage: Stage) -> None:
    (stage.folder / "input").write_text("x\n")
    (stage.folder / "config.toml").write_text(f'[embedded]\nscratch = "{stage.folder}/absent"\n')
    ended = stage.submit(WORDCOUNT, "input", "--config", "config.toml")
    assert ended.code == 2
    assert "embedded.scratch cannot be used" in ended.stderr


def test_more_workers_and_slots_give_the_same_result(stage: Stage) -> None:
    (stage.folder / "input").write_text("a b a\n" * 1000)
    for workers, slots in ((1, 1), (3, 2)):
        ended = stage.submit(
            WORDCOUNT, "input", "--workers", workers, "--slots", slots, "--split-size", "1KiB", "-q"
        )
        assert (ended.code, ended.stderr) == (0, "")
        assert sorted(ended.stdout.splitlines()) == [b"a\t2000", b"b\t1000"]
