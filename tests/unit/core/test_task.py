"""One task: attempt numbers, blame, and what a fenced attempt can still do (nothing)."""

from __future__ import annotations

import pytest

from blfs_mr.core.states import FOREIGN_STEPS, AttemptState, AttemptStep, TaskState
from blfs_mr.core.task import TaskMachine
from blfs_mr.errors import InvalidTransition
from blfs_mr.model import JobId, TaskId, TaskKind, WorkerName

A, B = WorkerName("a"), WorkerName("b")


def machine(kind: TaskKind = TaskKind.MAP) -> TaskMachine:
    return TaskMachine(TaskId(JobId("0" * 16), kind, 3))


def test_attempt_numbers_count_from_one_and_are_never_used_twice():
    task = machine()
    numbers = []
    for worker in (A, None, B):
        attempt = task.start(A)
        numbers.append(attempt.id.number)
        task.report(attempt, AttemptStep.FAILED)
        task.retry(worker)
    assert numbers == [1, 2, 3]
    assert task.attempt(2) is not None
    assert task.attempt(4) is None


def test_a_second_attempt_beside_a_running_one_raises_with_the_tasks_story():
    task = machine()
    task.start(A)
    with pytest.raises(InvalidTransition, match=r"map-00003 in state running.*\n.*\n  map-00003\.1 on a"):
        task.start(B)


def test_only_blamed_workers_count_as_failures():
    task = machine()
    task.start(A)
    task.retry(None)
    assert (task.failures, task.failed_on, task.state) == (0, set(), TaskState.PENDING)
    task.start(B)
    task.retry(B)
    assert (task.failures, task.failed_on) == (1, {B})


def test_losing_the_output_reopens_a_task_and_blames_the_worker_that_held_it():
    task = machine()
    attempt = task.start(A)
    assert task.report(attempt, AttemptStep.OUTPUT_PUBLISHED)
    task.succeed(attempt)
    assert task.succeeded is attempt
    task.lose_output(A)
    assert (task.state, task.succeeded, task.failures, task.failed_on) == (TaskState.PENDING, None, 1, {A})


def test_an_attempt_holds_a_slot_until_it_is_over():
    task = machine(TaskKind.REDUCE)
    attempt = task.start(A)
    assert task.active_attempts() == [attempt]
    for step in (AttemptStep.LAUNCHED, AttemptStep.COMMIT_REQUESTED):
        task.report(attempt, step)
        assert attempt.active
    task.report(attempt, AttemptStep.COMMITTED)
    assert attempt.state is AttemptState.SUCCEEDED
    assert task.active_attempts() == []


@pytest.mark.parametrize("kind", TaskKind)
@pytest.mark.parametrize("over", [AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.FENCED])
def test_nothing_that_is_said_of_an_attempt_that_is_over_changes_anything(kind, over):
    task = machine(kind)
    attempt = task.start(A)
    attempt.state = over
    for step in set(AttemptStep) - FOREIGN_STEPS[kind]:
        assert not task.report(attempt, step)
    assert (attempt.state, attempt.active) == (over, False)
