"""Whole attempts in processes of their own, over a socket: what the worker is told of every way to end."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from blfs_mr.blocking_link import BlockingLink
from blfs_mr.errors import LinkClosed
from blfs_mr.model import FailureKind, InputSplit, TaskKind
from blfs_mr.taskrun.access import OwnAccess
from blfs_mr.taskrun.attempt import run_attempt
from blfs_mr.wire.messages.base import Message, TaskFailed
from blfs_mr.wire.messages.child import ChildToWorker, RunMapTask, WorkerToChild
from tests.unit.taskrun.conftest import MIB, UNHURRIED, Worker, attempt_of, load, spec_of

JOB = """
class Words(Job):
    def map(self, record):
        {body}
    def reduce(self, key, values): yield key, sum(values)
"""


def _run(worker: Worker, tmp_path: Path, body: str, **settings: Any) -> Message | None:
    """The last message of a map attempt with this body; None where it ended without any."""
    loaded = load(JOB.format(body=body))
    spec = spec_of(loaded, **settings)
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            os._exit(run_attempt(theirs, loaded, spec, os.open(os.devnull, os.O_RDONLY), OwnAccess()))
        finally:
            os._exit(70)
    theirs.close()
    path = tmp_path / "input"
    path.write_text("first\nsecond\n")
    link = BlockingLink(ours, incoming=ChildToWorker, outgoing=WorkerToChild)
    split = InputSplit(str(path), 0, path.stat().st_size)
    task = RunMapTask(attempt_of(TaskKind.MAP, 0), split, worker.volume.access, UNHURRIED)
    try:
        link.send(task)
        while True:
            message = link.receive()
            if isinstance(message, TaskFailed):
                return message
    except LinkClosed:
        return None
    finally:
        link.close()
        os.waitpid(pid, 0)


def _failure(message: Message | None) -> Any:
    assert isinstance(message, TaskFailed)
    return message.failure


def test_an_exception_of_the_users_is_reported_with_traceback_and_record(
    worker: Worker, tmp_path: Path
) -> None:
    failure = _failure(_run(worker, tmp_path, "return [][5] if record == 'second' else []"))
    assert failure.kind is FailureKind.USER_CODE
    assert failure.summary == "map raised IndexError: list index out of range"
    assert failure.record == "'second'"
    assert "return [][5]" in failure.traceback
    assert "blfs_mr" not in failure.traceback


@pytest.mark.parametrize(
    "body",
    [
        "held = [bytearray(1 << 20) for _ in range(1000)]; yield 1, 1",
        "held = bytearray(1 << 30); yield 1, 1",
        "held = [str(number) for number in range(1 << 24)]; yield 1, 1",
    ],
)
def test_user_code_that_outgrows_its_memory_is_stopped_with_the_budget_named(
    worker: Worker, tmp_path: Path, body: str
) -> None:
    failure = _failure(_run(worker, tmp_path, body, memory=64 * MIB))
    assert failure.kind is FailureKind.USER_CODE
    assert "map outgrew its memory: the budget of a task is 64MiB" in failure.summary
    assert failure.record == "'first'"


def test_an_error_of_the_system_in_user_code_is_the_users(worker: Worker, tmp_path: Path) -> None:
    failure = _failure(_run(worker, tmp_path, "import os; os.unlink('/nowhere-at-all')"))
    assert failure.kind is FailureKind.USER_CODE
    assert "FileNotFoundError" in failure.summary


def test_sys_exit_is_no_way_to_end(worker: Worker, tmp_path: Path) -> None:
    failure = _failure(_run(worker, tmp_path, "raise SystemExit(0)"))
    assert "sys.exit(0); a task ends by returning" in failure.summary


def test_a_pair_that_is_none_is_the_users_to_mend(worker: Worker, tmp_path: Path) -> None:
    failure = _failure(_run(worker, tmp_path, "yield record"))
    assert failure.kind is FailureKind.USER_CODE
    assert "map must yield (key, value) pairs" in failure.summary


def test_an_attempt_whose_worker_is_gone_ends_without_a_word(worker: Worker, tmp_path: Path) -> None:
    assert _run(worker, tmp_path, "import os; os._exit(3)") is None
