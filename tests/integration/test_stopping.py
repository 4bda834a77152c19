"""Daemons that are stopped while a job runs: what runs may end, the rest goes elsewhere and is no failure."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.harness import WORDCOUNT, Daemons, HeldJob, wait_for

StartDaemons = Callable[..., Daemons]

GIVES_TIME = "attempts that run get"
GIVEN_BACK = "is given back"
LONG = "grace = '1h'"


def no_failure(told: str) -> bool:
    return "failed" not in told and "tried again" not in told


@pytest.mark.parametrize("method", ["map", "reduce"])
def test_a_worker_that_is_stopped_lets_its_attempts_end_and_takes_no_more(
    start_daemons: StartDaemons, tmp_path: Path, method: str
) -> None:
    daemons = start_daemons(workers=2, worker=f"slots = 1\n{LONG}")
    job = HeldJob(daemons.start, tmp_path, "-p", f"method={method}", "--reducers", "2")
    stopped = daemons.processes["worker-0"]
    stopped.terminate()
    wait_for(lambda: GIVES_TIME in daemons.log.read_text(), "it leaves")
    assert no_failure(job.ends_well())
    assert stopped.wait(30) == 0
    assert GIVEN_BACK not in daemons.log.read_text()
    daemons.wait_for_workers(1)
    daemons.wait_until_idle()


@pytest.mark.parametrize("method", ["map", "reduce"])
def test_what_runs_when_the_grace_is_over_goes_elsewhere_and_is_no_failure(
    start_daemons: StartDaemons, tmp_path: Path, method: str
) -> None:
    daemons = start_daemons(workers=2, worker="slots = 1\ngrace = '100ms'")
    options = ("-p", f"method={method}", "--reducers", "2")
    job = HeldJob(daemons.start, tmp_path, *options)
    stopped = daemons.processes["worker-0"]
    stopped.terminate()
    assert stopped.wait(30) == 0
    assert GIVEN_BACK in daemons.log.read_text()
    assert no_failure(job.ends_well())
    daemons.wait_until_idle()


def test_a_job_outlives_the_restart_of_its_only_worker(start_daemons: StartDaemons, tmp_path: Path) -> None:
    daemons = start_daemons(workers=1, worker="slots = 1\ngrace = '0s'")
    job = HeldJob(daemons.start, tmp_path, attempts=1)
    stopped = daemons.processes["worker-0"]
    stopped.terminate()
    assert stopped.wait(30) == 0
    daemons.start_worker("worker-0")
    assert no_failure(job.ends_well())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_stops_a_worker_at_once(
    start_daemons: StartDaemons, tmp_path: Path, number: signal.Signals
) -> None:
    daemons = start_daemons(workers=2, worker=f"slots = 1\n{LONG}")
    job = HeldJob(daemons.start, tmp_path)
    stopped = daemons.processes["worker-0"]
    stopped.terminate()
    wait_for(lambda: GIVES_TIME in daemons.log.read_text(), "it leaves")
    stopped.send_signal(number)
    assert stopped.wait(30) == 0
    assert "worker worker-0 was lost" in job.ends_well()


def test_a_worker_without_a_job_stops_at_once(start_daemons: StartDaemons) -> None:
    daemons = start_daemons(workers=1, worker=LONG, master=LONG)
    assert daemons.stop() == {"master": 0, "worker-0": 0}


def test_a_master_that_is_stopped_lets_its_jobs_end_and_takes_no_more(
    start_daemons: StartDaemons, tmp_path: Path
) -> None:
    daemons = start_daemons(workers=2, master=LONG)
    job = HeldJob(daemons.start, tmp_path)
    master = daemons.processes["master"]
    master.terminate()
    wait_for(lambda: "jobs that run get" in daemons.log.read_text(), "it leaves")
    (tmp_path / "input").write_text("a b a\n")
    refused = daemons.submit(WORDCOUNT, tmp_path / "input")
    assert refused.code != 0
    assert "the master is being stopped" in refused.stderr
    assert no_failure(job.ends_well())
    assert master.wait(30) == 0


def test_a_master_does_not_wait_for_jobs_that_no_worker_is_left_to_run(
    start_daemons: StartDaemons, tmp_path: Path
) -> None:
    daemons = start_daemons(workers=1, master=LONG, worker="grace = '0s'")
    job = HeldJob(daemons.start, tmp_path, attempts=1)
    for name in ("worker-0", "master"):
        daemons.processes[name].terminate()
        assert daemons.processes[name].wait(30) == 0
    ended = job.submitter.wait()
    assert ended.code == 1
    assert "the master stops" in ended.stderr
