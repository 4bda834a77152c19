"""The book of drains: who is asked for what, when all have it, and what a lost worker takes with it."""

from __future__ import annotations

from blfs_mr.core.drains import Drains
from blfs_mr.model import AttemptId, JobId, MapOutput, TaskId, TaskKind, WorkerName

A, B, C = map(WorkerName, "abc")
OUTPUT = MapOutput(AttemptId(TaskId(JobId("1" * 16), TaskKind.MAP, 0), 1), A, ())
ID = OUTPUT.attempt


def started(**homes: set[int]) -> Drains:
    drains = Drains()
    drains.start(OUTPUT, {WorkerName(worker): partitions for worker, partitions in homes.items()})
    return drains


def test_every_home_is_asked_for_its_partitions():
    assert Drains().start(OUTPUT, {B: {2, 0}, A: {1}}) == [(A, (1,)), (B, (0, 2))]


def test_a_drain_is_complete_once_when_every_home_has_answered():
    drains = started(a={0}, b={1})
    assert drains.answered(ID, A)
    assert not drains.completed(ID)
    assert drains.under_way(ID)
    assert drains.answered(ID, B)
    assert drains.completed(ID)
    assert not drains.completed(ID), "the files are given away once"
    assert not drains.under_way(ID)
    assert ID in drains


def test_answers_that_nobody_waits_for_are_none():
    drains = started(a={0})
    assert not drains.answered(ID, B)
    drains.answered(ID, A)
    assert not drains.answered(ID, A)
    drains.forget(ID)
    assert not drains.answered(ID, A)
    assert not drains.under_way(ID)


def test_a_home_is_asked_only_for_what_it_does_not_copy_yet():
    drains = started(a={0}, b={1})
    assert drains.lose(B, {0, 1}, answers=False) == ([], [OUTPUT])
    assert drains.start(OUTPUT, {A: {0, 1}, C: {2}}) == [(A, (1,)), (C, (2,))]


def test_a_home_that_was_asked_twice_has_everything_after_two_answers():
    drains = started(a={0}, b={1})
    drains.lose(B, {0, 1}, answers=False)
    drains.start(OUTPUT, {A: {0, 1}})
    drains.answered(ID, A)
    assert not drains.completed(ID), "this may be the answer to the first request"
    drains.answered(ID, A)
    assert drains.completed(ID)


def test_a_lost_workers_answer_is_not_waited_for():
    drains = started(a={0}, b={1})
    drains.answered(ID, A)
    drains.lose(B, {0}, answers=False)
    assert drains.start(OUTPUT, {A: {0}}) == []
    assert drains.completed(ID), "what it was to copy has a result already"


def test_a_lost_worker_takes_outputs_with_it_of_which_only_copies_were_left():
    drains = started(a={0}, b={1})
    for worker in (A, B):
        drains.answered(ID, worker)
    assert drains.completed(ID)
    assert drains.lose(A, {1}, answers=False) == ([], []), "partition 0 has a result"
    assert drains.lose(B, {1}, answers=False) == ([OUTPUT], [])
    assert ID not in drains


def test_a_failure_is_tried_again_with_everything_the_worker_was_asked_for():
    drains = started(a={1, 0}, b={2})
    drains.answered(ID, A)
    assert drains.retry(ID, A, most=3) == (0, 1)
    drains.answered(ID, B)
    assert not drains.completed(ID)
    drains.answered(ID, A)
    assert drains.retry(ID, A, most=3) == (0, 1)
    drains.answered(ID, A)
    assert drains.retry(ID, A, most=3) == ()
