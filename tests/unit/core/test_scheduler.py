"""Workers and slots: who runs what, whose turn it is, and what happens when workers come and go."""

from __future__ import annotations

import pytest

from blfs_mr.core import commands as c
from blfs_mr.core import events as e
from blfs_mr.model import AttemptId, FailureKind, JobId, TaskId, TaskKind

OTHER = JobId("2" * 16)


def test_a_worker_is_accepted_before_it_gets_work_and_prepared_before_its_first_launch(hands):
    hands.submit(maps=2)
    assert [type(x) for x in hands.join("a", slots=2)] == [
        c.AcceptWorker,
        c.PrepareJob,
        c.LaunchMap,
        c.LaunchMap,
    ]
    assert hands.last[1].map_tasks == 2


def test_no_worker_gets_more_attempts_than_slots(hands):
    hands.submit(maps=9)
    hands.join("a", slots=2)
    hands.join("b", slots=3)
    placed = list(hands.launches().values())
    assert (placed.count("a"), placed.count("b")) == (2, 3)


def test_tasks_go_to_the_worker_with_the_fewest(hands):
    for name in "abc":
        hands.join(name, slots=3)
    hands.submit(maps=3, reduces=3)
    maps, reduces = list(hands.launches().values())[:3], list(hands.launches().values())[3:]
    assert sorted(maps) == sorted(reduces) == ["a", "b", "c"]


def test_a_map_task_runs_only_where_its_split_is(two_workers):
    two_workers.submit(maps=[["b"], ["b"]])
    assert two_workers.launches() == {two_workers.map(0): "b"}
    two_workers.written(two_workers.map(0))
    assert two_workers.where(two_workers.map(1)) == "b"


def test_a_free_slot_goes_to_the_job_with_the_fewest_running(hands):
    hands.join("a", slots=4)
    hands.submit(maps=8)
    hands.submit(maps=8, job=OTHER)
    for index in range(2):
        hands.written(hands.map(index))
    running = [job.running for job in hands.scheduler.jobs.values()]
    assert running == [2, 2]
    hands.written(hands.map(0, job=OTHER))
    assert [job.running for job in hands.scheduler.jobs.values()] == [2, 2]


def test_the_older_of_two_equal_jobs_goes_first(hands):
    hands.submit(maps=1, job=OTHER)
    hands.submit(maps=1)
    hands.join("a")
    assert list(hands.launches()) == [hands.map(0, job=OTHER)]


def test_reduces_start_only_when_no_map_waits(hands):
    hands.join("a", slots=2)
    hands.submit(maps=3, reduces=1)
    hands.written(hands.map(0))
    assert hands.reduce(0) not in hands.launches()
    hands.written(hands.map(1))
    assert hands.reduce(0) in hands.launches(), "map 2 runs: none waits"


def test_idle_slots_stay_idle_while_a_map_waits_for_its_holder(two_workers):
    two_workers.submit(maps=[["a"], ["a"]])
    assert set(two_workers.launches().values()) == {"a"}


def test_a_lost_map_output_gets_a_slot_beyond_those_that_its_readers_hold(two_workers):
    two_workers.submit(maps=2, reduces=2)
    for index in range(2):
        two_workers.written(two_workers.map(index))
    two_workers.unreadable(two_workers.reduce(0), two_workers.map(0))
    assert list(two_workers.launches(two_workers.last)) == [two_workers.map(0, 2)]
    assert [two_workers.scheduler.running_on(w) for w in ("a", "b")] in ([2, 1], [1, 2])
    # One extra per worker, and only one.
    two_workers.unreadable(two_workers.reduce(1), two_workers.map(1))
    assert [two_workers.scheduler.running_on(w) for w in ("a", "b")] == [2, 2]


def test_a_single_worker_recovers_a_lost_map_output_and_ends_the_job(hands):
    hands.join("a")
    hands.submit(maps=1, reduces=1)
    hands.written(hands.map(0))
    hands.unreadable(hands.reduce(0), hands.map(0))
    hands.written(hands.map(0, 2))
    hands.reduced(hands.reduce(0), (hands.map(0, 2), 6))
    assert hands.ended().failure is None


def test_a_waiting_map_of_a_job_without_running_reduces_gets_no_extra_slot(hands):
    hands.join("a")
    hands.submit(maps=2)
    assert hands.scheduler.running_on("a") == 1


# ---------------------------------------------------------------- workers that are stopped


def test_a_worker_that_leaves_gets_no_more_attempts_until_it_is_back(two_workers):
    two_workers.submit(maps=4)
    two_workers.leaving("a")
    two_workers.written(two_workers.map(0))
    assert two_workers.launches(two_workers.last) == {}
    two_workers.written(two_workers.map(1))
    assert set(two_workers.launches(two_workers.last).values()) == {"b"}
    two_workers.lose("a")
    two_workers.join("a")
    assert set(two_workers.launches(two_workers.last).values()) == {"a"}


def test_a_worker_that_leaves_gets_no_extra_slot_for_a_lost_map_either(two_workers):
    two_workers.submit(maps=2, reduces=2)
    for index in range(2):
        two_workers.written(two_workers.map(index))
    two_workers.leaving("a")
    two_workers.unreadable(two_workers.reduce(0), two_workers.map(0))
    assert set(two_workers.launches(two_workers.last).values()) <= {"b"}


def test_what_a_worker_gives_back_as_it_leaves_is_run_elsewhere_and_counts_as_no_failure(two_workers):
    two_workers.submit(maps=2, reduces=1, max_attempts=1)
    (given_back,) = [attempt for attempt, worker in two_workers.launches().items() if worker == "a"]
    (other,) = [attempt for attempt, worker in two_workers.launches().items() if worker == "b"]
    two_workers.leaving("a")
    two_workers.requeued(given_back)
    assert not any(isinstance(command, c.ReportAttemptFailed) for command in two_workers.lose("a"))
    two_workers.written(other)
    again = AttemptId(given_back.task, 2)
    assert two_workers.where(again) == "b"
    two_workers.written(again)
    two_workers.reduced(two_workers.reduce(0), (other, 6), (again, 6))
    assert two_workers.ended().failure is None
    assert two_workers.ended().attempts_failed == 0


# ---------------------------------------------------------------- deadlines


def test_a_job_whose_input_nobody_holds_fails_by_name_after_the_deadline(two_workers):
    two_workers.submit(maps=[["a"], ["gone", "away"]])
    two_workers.pass_time(0)
    assert not two_workers.pass_time(9.9)
    two_workers.pass_time(0.1)
    failure = two_workers.ended().failure
    assert failure.kind is FailureKind.WORKER_LOST
    assert "map-00001, input-1: gone, away did not come back within 10 s" in failure.summary


def test_a_job_without_any_worker_fails_after_the_deadline(hands):
    hands.submit()
    hands.pass_time(5)
    hands.pass_time(10)
    assert hands.ended().failure.summary == "no worker is left; none came within 10 s"


def test_a_holder_that_comes_back_in_time_saves_the_job(hands):
    hands.join("a")
    hands.submit(maps=[["b"]])
    hands.pass_time(0)
    hands.pass_time(9)
    hands.join("b")
    assert hands.where(hands.map(0)) == "b"
    assert not hands.pass_time(9)


def test_each_stranded_task_has_the_whole_deadline(hands):
    hands.join("a")
    hands.submit(maps=[["b"], ["c"]])
    hands.join("c", slots=1)
    hands.pass_time(0)
    hands.pass_time(9)
    hands.join("b")
    hands.lose("c")
    assert hands.pass_time(1) == [], "map 1 is stranded only now"
    assert hands.pass_time(9) == []
    hands.pass_time(1)
    assert "map-00001" in hands.ended().failure.summary


def test_a_stranded_job_leaves_others_alone(two_workers):
    two_workers.submit(maps=[["gone"]])
    two_workers.submit(maps=1, job=OTHER)
    two_workers.pass_time(0)
    two_workers.pass_time(10)
    assert two_workers.ended().job != OTHER
    assert list(two_workers.scheduler.jobs) == [OTHER]


# ---------------------------------------------------------------- workers that go and come back


def test_a_lost_workers_attempts_run_elsewhere_under_new_numbers(two_workers):
    two_workers.submit(maps=2)
    two_workers.written(two_workers.map(1))
    two_workers.lose("a")
    assert c.ReportAttemptFailed in [type(x) for x in two_workers.last]
    two_workers.failed(two_workers.reduce(0))
    assert two_workers.launches()[two_workers.map(0, 2)] == "b"


def test_map_outputs_outlive_their_worker(two_workers):
    two_workers.submit(maps=2)
    two_workers.written(two_workers.map(0))
    two_workers.written(two_workers.map(1))
    assert two_workers.where(two_workers.map(0)) == "a"
    lost = two_workers.lose("a")
    assert not any(isinstance(x, c.LaunchMap) for x in lost)
    assert two_workers.scheduler.jobs[two_workers.map(0).task.job].holds(two_workers.map(0))


def test_a_worker_that_comes_back_is_told_exactly_what_is_live(hands):
    hands.join("a", slots=4)
    hands.submit(maps=3)
    hands.submit(maps=1, job=OTHER)
    published, replaced, running = hands.map(0), hands.map(1), hands.map(2)
    hands.written(published)
    hands.written(replaced)
    hands.written(running)
    hands.unreadable(hands.reduce(0), replaced)
    of_other = hands.map(0, job=OTHER)
    hands.written(of_other)
    ended = hands.map(0, job=JobId("9" * 16))
    never = hands.map(77)
    hands.lose("a")
    held = (published, replaced, hands.map(1, 2), of_other, ended, never)
    assert hands.join("a", held=held)[0] == c.AcceptWorker("a", (published, of_other))


def test_a_worker_that_comes_back_is_prepared_and_told_of_map_outputs_anew(hands):
    hands.join("a", slots=2)
    hands.submit(maps=1)
    hands.written(hands.map(0))
    assert hands.launches()[hands.reduce(0)] == "a"
    hands.lose("a")
    told = hands.join("a", slots=2, held=[hands.map(0)])
    assert [type(x) for x in told] == [c.AcceptWorker, c.PrepareJob, c.PublishMapOutput, c.LaunchReduce]
    assert told[2].output == hands.output(hands.map(0))


def test_map_outputs_go_only_to_workers_that_are_there_and_run_reduces(hands):
    hands.join("a", slots=1)
    hands.join("b", slots=3)
    hands.submit(maps=[["a"], ["b"], ["b"]], reduces=1)
    reader = hands.where(hands.reduce(0))
    assert reader == "b"
    assert [x.worker for x in hands.written(hands.map(0)) if isinstance(x, c.PublishMapOutput)] == ["b"]
    hands.lose("b")
    hands.join("b", slots=2)
    assert hands.where(hands.reduce(0, 2)) == "a"
    assert {x.worker for x in hands.last if isinstance(x, c.PublishMapOutput)} == {"a"}
    assert {x.worker for x in hands.written(hands.map(1, 2)) if isinstance(x, c.PublishMapOutput)} == {"a"}


def test_cleaning_up_reaches_a_worker_that_ran_the_job_only_before_it_came_back(two_workers):
    two_workers.submit(maps=[["a"], ["b"]], reduces=1)
    two_workers.written(two_workers.map(0))
    two_workers.failed(two_workers.reduce(0), summary="somewhere else, please")
    two_workers.lose("a")
    two_workers.written(two_workers.map(1))
    two_workers.join("a", held=[two_workers.map(0)])
    prepared_again = [x for x in two_workers.last if isinstance(x, c.PrepareJob)]
    assert not prepared_again
    retry = two_workers.reduce(0, 3) if two_workers.reduce(0, 3) in two_workers.launches() else None
    reader = retry or two_workers.reduce(0, 2)
    two_workers.reduced(reader, (two_workers.map(0), 6), (two_workers.map(1), 6))
    cleaned = {x.worker for x in two_workers.last if isinstance(x, c.CleanUpJob)}
    assert cleaned == {"a", "b"}


def test_cleaning_up_does_not_reach_workers_that_are_gone_or_never_ran_the_job(two_workers):
    two_workers.join("idle")
    two_workers.submit(maps=[["a"], ["b"], ["b"]])
    two_workers.lose("a")
    two_workers.tell(e.JobCancelled(two_workers.map(0).task.job, "enough"))
    assert [x.worker for x in two_workers.last if isinstance(x, c.CleanUpJob)] == ["b"]
    assert [x.worker for x in two_workers.last if isinstance(x, c.AbortAttempt)] == ["b"]


# ---------------------------------------------------------------- whose word it is


def test_what_a_worker_says_of_anothers_attempt_is_ignored(two_workers):
    two_workers.submit(maps=2)
    attempt = two_workers.map(0)
    other = "b" if two_workers.where(attempt) == "a" else "a"
    event = e.MapOutputWritten(two_workers.output(attempt), {})
    assert two_workers.tell(event, reporter=other) == []
    assert two_workers.tell(event, reporter=two_workers.where(attempt)) != []


@pytest.mark.parametrize(
    "attempt",
    [
        AttemptId(TaskId(JobId("9" * 16), TaskKind.MAP, 0), 1),
        AttemptId(TaskId(JobId("1" * 16), TaskKind.MAP, 0), 2),
        AttemptId(TaskId(JobId("1" * 16), TaskKind.MAP, 5), 1),
        AttemptId(TaskId(JobId("1" * 16), TaskKind.MAP, -1), 1),
        AttemptId(TaskId(JobId("1" * 16), TaskKind.REDUCE, 0), 1),
    ],
)
def test_reports_of_attempts_that_never_were_are_ignored(hands, attempt):
    hands.join("a")
    hands.submit(maps=2)
    output = hands.output(attempt, worker="a")
    for reporter in ("a", None):
        for event in (
            e.AttemptLaunched(attempt),
            e.MapOutputWritten(output, {}),
            e.AttemptRequeued(attempt),
            e.MapOutputUnreadable(attempt, hands.map(0), "EIO", True),
        ):
            assert hands.tell(event, reporter=reporter) == []


def test_losing_a_worker_that_nobody_knows_is_no_matter(hands):
    assert hands.lose("nobody") == []
    assert hands.tell(e.JobCancelled(OTHER, "unknown")) == []
