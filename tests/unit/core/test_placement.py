"""Which worker gets which pending task."""

from __future__ import annotations

import pytest

from blfs_mr.core.placement import PendingTasks, candidates, is_stranded, should_avoid
from blfs_mr.core.task import TaskMachine
from blfs_mr.model import InputSplit, JobId, TaskId, TaskKind, WorkerName

A, B, C = (WorkerName(name) for name in "abc")


def task(index: int, *holders: WorkerName, failed_on: frozenset[WorkerName] = frozenset()) -> TaskMachine:
    made = TaskMachine(TaskId(JobId("j"), TaskKind.MAP, index), InputSplit("input", 0, 1, holders=holders))
    made.failed_on |= failed_on
    return made


def pending(*tasks: TaskMachine) -> PendingTasks:
    queue = PendingTasks()
    for each in tasks:
        queue.add(each)
    return queue


def test_the_oldest_task_goes_first():
    queue = pending(task(4), task(2), task(9))
    assert queue.next_for(A, [{A}]).id.index == 4
    assert [each.id.index for each in queue] == [4, 2, 9]


def test_a_task_goes_only_to_holders_of_its_split():
    queue = pending(task(0, A, B))
    assert queue.next_for(C, [{A, B, C}]) is None
    assert queue.next_for(A, [{A, B, C}]) is queue.next_for(B, [{A, B, C}]) is not None


def test_a_holder_prefers_what_only_holders_can_run():
    queue = pending(task(0), task(1, A))
    assert queue.next_for(A, [{A, B}]).id.index == 1
    assert queue.next_for(B, [{A, B}]).id.index == 0


def test_a_removed_task_stands_in_no_queue():
    first, second = task(0, A, B), task(1)
    queue = pending(first, second)
    queue.remove(first)
    assert queue.next_for(A, [{A}]) is queue.next_for(B, [{B}]) is second
    queue.remove(second)
    assert not queue
    assert queue.next_for(A, [{A}]) is None


def test_a_task_is_offered_past_an_avoided_one():
    queue = pending(task(0, failed_on=frozenset({A})), task(1))
    assert queue.next_for(A, [{A, B}]).id.index == 1
    assert queue.next_for(B, [{A, B}]).id.index == 0


@pytest.mark.parametrize(
    ("holders", "failed_on", "alive", "worker", "avoid"),
    [
        ((), {A}, {A, B}, A, True),
        ((), {A}, {A}, A, False),
        ((), {A, B}, {A, B}, A, False),
        ((), {A}, {A, B}, B, False),
        ((A,), {A}, {A, B}, A, False),
        ((A, B), {A}, {A, B}, A, True),
        ((A, B), {A}, {A, C}, A, False),
    ],
)
def test_a_worker_is_avoided_after_a_failure_while_another_could_run_the_task(
    holders, failed_on, alive, worker, avoid
):
    assert should_avoid(task(0, *holders, failed_on=frozenset(failed_on)), worker, [alive]) is avoid


@pytest.mark.parametrize(
    ("holders", "alive", "expected"),
    [((), {A, B}, {A, B}), ((), set(), set()), ((A, B), {B, C}, {B}), ((A,), {B}, set())],
)
def test_candidates_are_the_live_holders_and_without_any_a_task_is_stranded(holders, alive, expected):
    assert candidates(task(0, *holders), [alive]) == expected
    assert is_stranded(task(0, *holders), [alive]) is (not expected)


TIERS = [{A}, {A, B}]


@pytest.mark.parametrize(
    ("holders", "expected"), [((), {A}), ((A, B), {A}), ((B,), {B}), ((B, C), {B}), ((C,), set())]
)
def test_a_later_tier_runs_only_what_nobody_of_an_earlier_one_can(holders, expected):
    queue = pending(task(0, *holders))
    assert candidates(task(0, *holders), TIERS) == expected
    assert {worker for worker in (A, B, C) if queue.next_for(worker, TIERS)} == expected
