"""One job, from submission to its end: retries, commits, lost map outputs, and every way to end."""

from __future__ import annotations

import pytest

from blfs_mr.core import commands as c
from blfs_mr.core import events as e
from blfs_mr.errors import InvalidTransition
from blfs_mr.model import FailureKind


def mapped(hands, maps: int = 1, reduces: int = 1, slots: int = 4, **options):
    """A job on one worker, all of its maps done and its reduces running."""
    hands.join("a", slots=slots)
    hands.submit(maps=maps, reduces=reduces, **options)
    for index in range(maps):
        hands.written(hands.map(index))


# ---------------------------------------------------------------- the way to success


def test_a_job_ends_with_its_parts_in_order_and_the_sum_of_its_counters(hands):
    mapped(hands, maps=2, reduces=2)
    for index in (1, 0):
        hands.now += 1
        hands.reduced(hands.reduce(index), (hands.map(0), 3), (hands.map(1), 3))
    ended = hands.ended()
    assert hands.last[-1] is ended, "the last command about a job"
    assert ended.failure is None
    assert [part.partition for part in ended.parts] == [0, 1]
    assert ended.counters == {"map.records_out": 12, "reduce.groups": 2}
    assert (ended.seconds, ended.attempts_failed) == (2, 0)
    assert c.CleanUpJob("a", ended.job, keep_output=True) in hands.last
    assert hands.scheduler.jobs == {}


def test_of_the_peaks_of_all_tasks_the_highest_is_told(hands):
    hands.join("a", slots=2)
    hands.submit(maps=3, reduces=1)
    for index, peak in enumerate((5, 9, 7)):
        hands.written(hands.map(index), counters={"map.peak_memory": peak, "map.records_out": 1})
    hands.reduced(hands.reduce(0), *((hands.map(index), 3) for index in range(3)))
    assert hands.ended().counters == {"map.peak_memory": 9, "map.records_out": 3, "reduce.groups": 1}


def test_a_job_without_maps_reduces_nothing_into_every_part(hands):
    hands.join("a", slots=2)
    hands.submit(maps=0, reduces=2)
    hands.reduced(hands.reduce(0))
    hands.reduced(hands.reduce(1))
    assert hands.ended().failure is None
    assert len(hands.ended().parts) == 2


def test_a_map_output_without_files_is_consumed_with_no_records(hands):
    hands.join("a", slots=2)
    hands.submit()
    output = hands.output(hands.map(0))
    hands.tell(e.MapOutputWritten(type(output)(output.attempt, output.worker, ()), {}))
    hands.reduced(hands.reduce(0), (hands.map(0), 0))
    assert hands.ended().failure is None


def test_map_outputs_are_published_as_they_come(hands):
    hands.join("a", slots=3)
    hands.submit(maps=2)
    published = hands.written(hands.map(1))
    assert published[0] == c.PublishMapOutput("a", hands.output(hands.map(1)))
    assert c.ReportProgress(hands.map(0).task.job, 1, 2, 0, 1, 2) in published


def test_the_launchers_word_may_come_after_the_childs(hands):
    mapped(hands)
    assert hands.launched(hands.map(0)) == []
    hands.asks(hands.reduce(0), (hands.map(0), 6))
    assert hands.launched(hands.reduce(0)) == []
    hands.committed(hands.reduce(0))
    assert hands.ended().failure is None


# ---------------------------------------------------------------- failures and retries


def test_a_failed_attempt_is_tried_on_another_worker_first(two_workers):
    two_workers.submit(maps=1)
    first = two_workers.where(two_workers.map(0))
    two_workers.failed(two_workers.map(0))
    assert two_workers.where(two_workers.map(0, 2)) != first


def test_a_failed_attempt_is_tried_on_the_same_worker_where_there_is_no_other(hands):
    hands.join("a")
    hands.submit()
    told = hands.failed(hands.map(0))
    assert told[0].will_retry
    assert hands.launches(told) == {hands.map(0, 2): "a"}


@pytest.mark.parametrize("max_attempts", [1, 3])
def test_the_last_allowed_failure_fails_the_job_with_its_traceback_and_record(hands, max_attempts):
    hands.join("a")
    hands.submit(max_attempts=max_attempts)
    for number in range(1, max_attempts + 1):
        hands.failed(hands.map(0, number), summary=f"boom {number}")
        assert hands.last[0].will_retry is (number < max_attempts)
    ended = hands.ended()
    assert ended.failure.kind is FailureKind.USER_CODE
    assert ended.failure.summary.startswith("map-00000 failed ")
    assert ended.failure.summary.endswith(f"the last time on a: boom {max_attempts}")
    assert (ended.failure.traceback, ended.failure.record, ended.failure.log_tail) == (
        "Traceback",
        "record",
        "tail",
    )
    assert (ended.attempts_failed, ended.parts) == (max_attempts, ())
    assert c.CleanUpJob("a", ended.job, keep_output=False) in hands.last


def test_a_failing_job_aborts_what_still_runs(hands):
    hands.join("a", slots=3)
    hands.submit(maps=3, max_attempts=1)
    hands.failed(hands.map(1))
    assert [x.attempt for x in hands.last if isinstance(x, c.AbortAttempt)] == [hands.map(0), hands.map(2)]
    assert hands.scheduler.running_on("a") == 0


def test_a_requeued_attempt_counts_as_no_failure(hands):
    hands.join("a")
    hands.submit(max_attempts=1)
    for number in range(1, 5):
        assert hands.launches(hands.requeued(hands.map(0, number))) == {hands.map(0, number + 1): "a"}
    hands.written(hands.map(0, 5))
    hands.reduced(hands.reduce(0), (hands.map(0, 5), 6))
    assert hands.ended().attempts_failed == 0


def test_an_attempt_that_published_before_it_was_requeued_stands(hands):
    mapped(hands)
    assert hands.requeued(hands.map(0)) == []
    assert hands.scheduler.jobs[hands.map(0).task.job].holds(hands.map(0))


def test_a_task_too_large_for_a_pool_is_tried_once_per_worker(two_workers):
    two_workers.submit(max_attempts=9)
    two_workers.failed(two_workers.map(0), FailureKind.POOL)
    assert two_workers.last[0].will_retry
    two_workers.failed(two_workers.map(0, 2), FailureKind.POOL)
    assert two_workers.ended().failure.kind is FailureKind.POOL


def test_a_worker_that_failed_otherwise_may_still_have_the_larger_pool(two_workers):
    two_workers.submit()
    two_workers.failed(two_workers.map(0), FailureKind.PROCESS)
    two_workers.failed(two_workers.map(0, 2), FailureKind.POOL)
    assert two_workers.last[0].will_retry


def test_a_task_of_one_holder_that_is_too_large_for_its_pool_fails_at_once(two_workers):
    two_workers.submit(maps=[["a"]], max_attempts=9)
    two_workers.failed(two_workers.map(0), FailureKind.POOL)
    assert two_workers.ended().failure.kind is FailureKind.POOL


def test_losing_workers_again_and_again_uses_up_the_attempts(hands):
    hands.submit(max_attempts=2)
    for _ in range(2):
        hands.join("a")
        hands.lose("a")
    assert hands.ended().failure.kind is FailureKind.WORKER_LOST
    assert not any(isinstance(x, c.AbortAttempt | c.CleanUpJob) for x in hands.last), "nobody is there"


# ---------------------------------------------------------------- fencing


@pytest.mark.parametrize("far", ["launching", "running", "committing"])
def test_whatever_a_lost_workers_reduce_was_doing_its_late_reports_change_nothing(hands, far):
    mapped(hands)
    late = hands.reduce(0)
    if far != "launching":
        hands.launched(late)
    if far == "committing":
        assert isinstance(hands.asks(late, (hands.map(0), 6))[0], c.GrantCommit)
    hands.lose("a")
    assert hands.scheduler.running_on("a") == 0
    hands.join("a")
    retry = hands.reduce(0, 2)
    assert hands.where(retry) == "a"
    assert hands.launched(late) == []
    assert hands.committed(late) == [], "committed late: the result is that of the retry"
    assert hands.failed(late) == []
    assert hands.requeued(late) == []
    assert hands.unreadable(late, hands.map(0)) == []
    assert hands.asks(late, (hands.map(0), 6)) == [c.AbortAttempt("a", late)]
    hands.reduced(retry, (hands.map(0), 6))
    assert hands.ended().parts == (hands.part(retry),)


@pytest.mark.parametrize("launched", [False, True])
def test_a_lost_workers_map_is_replaced_and_its_late_output_is_released(hands, launched):
    hands.join("a")
    hands.submit()
    if launched:
        hands.launched(hands.map(0))
    hands.lose("a")
    hands.join("a")
    assert hands.where(hands.map(0, 2)) == "a"
    assert hands.written(hands.map(0)) == [c.ReleaseMapOutput("a", hands.map(0))]
    hands.written(hands.map(0, 2))
    assert hands.scheduler.jobs[hands.map(0).task.job].outputs.current[0].attempt == hands.map(0, 2)


def test_a_published_output_reported_twice_stands(hands):
    mapped(hands)
    assert hands.written(hands.map(0)) == []


def test_what_cannot_be_raises_and_changes_nothing(hands):
    mapped(hands)
    job = hands.scheduler.jobs[hands.map(0).task.job]
    reduce = hands.reduce(0)
    for impossible in (
        e.OutputCommitted(reduce, hands.part(reduce)),
        e.MapOutputWritten(hands.output(reduce), {}),
        e.OutputWritten(hands.map(0), (), {}),
    ):
        with pytest.raises(InvalidTransition, match="its story"):
            hands.tell(impossible)
    assert (job.running, len(job.outputs), job.parts) == (1, 1, {})


def test_an_output_on_a_volume_of_another_worker_cannot_be(two_workers):
    two_workers.submit()
    attempt = two_workers.map(0)
    other = "b" if two_workers.where(attempt) == "a" else "a"
    with pytest.raises(InvalidTransition, match=f"an output on {other}"):
        two_workers.tell(e.MapOutputWritten(two_workers.output(attempt, worker=other), {}))


def test_reports_that_are_made_twice_change_nothing(hands):
    mapped(hands, reduces=2)
    hands.asks(hands.reduce(0), (hands.map(0), 3))
    hands.failed(hands.reduce(0))
    assert hands.failed(hands.reduce(0)) == []
    assert hands.committed(hands.reduce(0)) == []
    assert hands.asks(hands.reduce(0), (hands.map(0), 3)) == [c.AbortAttempt("a", hands.reduce(0))]
    hands.reduced(hands.reduce(0, 2), (hands.map(0), 3))
    assert hands.committed(hands.reduce(0, 2)) == []
    hands.reduced(hands.reduce(1), (hands.map(0), 3))
    assert (hands.ended().failure, hands.ended().attempts_failed) == (None, 1)


def test_a_commit_is_granted_once(hands):
    mapped(hands)
    hands.asks(hands.reduce(0), (hands.map(0), 6))
    with pytest.raises(InvalidTransition, match="in state committing does not expect commit requested"):
        hands.asks(hands.reduce(0), (hands.map(0), 6))


def test_after_its_end_a_job_hears_nothing(hands):
    mapped(hands)
    hands.tell(e.JobCancelled(hands.map(0).task.job, "enough"))
    assert hands.ended().failure.summary == "cancelled: enough"
    assert c.AbortAttempt("a", hands.reduce(0)) in hands.last
    assert c.CleanUpJob("a", hands.map(0).task.job, keep_output=False) in hands.last
    assert hands.asks(hands.reduce(0), (hands.map(0), 6)) == []
    assert hands.tell(e.JobCancelled(hands.map(0).task.job, "again")) == []


# ---------------------------------------------------------------- lost map outputs


def test_an_unreadable_map_output_is_made_again_and_published_again(two_workers):
    two_workers.submit(maps=2, reduces=2)
    first = two_workers.where(two_workers.map(0))
    for index in range(2):
        two_workers.written(two_workers.map(index))
    told = two_workers.unreadable(two_workers.reduce(0), two_workers.map(0))
    assert told[0].failure.kind is FailureKind.STORAGE
    assert told[0].will_retry
    assert two_workers.where(two_workers.map(0, 2)) != first
    again = two_workers.written(two_workers.map(0, 2))
    assert {x.worker for x in again if isinstance(x, c.PublishMapOutput)} == {"a", "b"}


def test_two_readers_that_report_the_same_loss_cause_one_re_run(hands):
    mapped(hands, reduces=2)
    assert hands.unreadable(hands.reduce(0), hands.map(0)) != []
    assert hands.unreadable(hands.reduce(1), hands.map(0)) == []
    hands.written(hands.map(0, 2))
    assert hands.unreadable(hands.reduce(1), hands.map(0)) == [], "it was replaced already"
    assert hands.map(0, 3) not in hands.launches()


def test_only_a_running_reader_can_lose_an_output(hands):
    mapped(hands, reduces=2)
    hands.failed(hands.reduce(0))
    assert hands.unreadable(hands.reduce(0), hands.map(0)) == []
    hands.reduced(hands.reduce(1), (hands.map(0), 3))
    assert hands.unreadable(hands.reduce(1), hands.map(0)) == []


def test_a_map_whose_outputs_are_lost_time_after_time_fails_the_job(hands):
    mapped(hands, max_attempts=2)
    hands.unreadable(hands.reduce(0), hands.map(0))
    hands.written(hands.map(0, 2))
    hands.unreadable(hands.reduce(0), hands.map(0, 2))
    assert hands.ended().failure.kind is FailureKind.STORAGE
    assert "cannot be read by reduce-00000.1: EIO" in hands.ended().failure.summary


def test_a_job_may_end_while_a_map_output_that_all_have_read_is_made_again(hands):
    mapped(hands, reduces=1)
    hands.asks(hands.reduce(0), (hands.map(0), 6))
    hands.unreadable(hands.reduce(0), hands.map(0))
    hands.committed(hands.reduce(0))
    assert hands.ended().failure is None
    assert c.AbortAttempt("a", hands.map(0, 2)) in hands.last


# ---------------------------------------------------------------- what reduces consumed


@pytest.mark.parametrize(
    ("consumed", "wrong"),
    [
        ([], "consumed map-00000 0 times, not once"),
        ([(0, 1)], "consumed map-00001 0 times, not once"),
        ([(0, 1), (1, 1), (1, 1)], "consumed map-00001 2 times, not once"),
        ([(0, 1), (1, 2)], "consumed map-00001.2, which was never published"),
        ([(0, 1), (1, 1), (2, 1)], "consumed map-00002.1, which was never published"),
    ],
)
def test_a_commit_is_refused_unless_one_published_attempt_of_every_map_was_consumed(hands, consumed, wrong):
    mapped(hands, maps=2)
    hands.asks(hands.reduce(0), *((hands.map(index, number), 6) for index, number in consumed))
    assert not any(isinstance(x, c.GrantCommit) for x in hands.last)
    assert hands.ended().failure.kind is FailureKind.INTERNAL
    assert hands.ended().failure.summary == f"reduce-00000.1 {wrong}"


def test_two_attempts_of_one_map_are_not_one(hands):
    mapped(hands)
    hands.unreadable(hands.reduce(0), hands.map(0))
    hands.written(hands.map(0, 2))
    hands.asks(hands.reduce(0), (hands.map(0), 3), (hands.map(0, 2), 3))
    assert "consumed map-00000 2 times" in hands.ended().failure.summary


@pytest.mark.parametrize("read", [5, 7])
def test_totals_that_differ_fail_the_job_with_both_figures(hands, read):
    mapped(hands, reduces=2)
    hands.reduced(hands.reduce(0), (hands.map(0), 3))
    hands.reduced(hands.reduce(1), (hands.map(0), read - 3))
    failure = hands.ended().failure
    assert failure.kind is FailureKind.INTERNAL
    assert failure.summary == f"map-00000.1 wrote 6 records, the reduces consumed {read} of them"
    assert hands.ended().parts == ()


def test_only_committed_reduces_count_in_the_totals(hands):
    mapped(hands)
    hands.asks(hands.reduce(0), (hands.map(0), 6))
    hands.failed(hands.reduce(0))
    hands.reduced(hands.reduce(0, 2), (hands.map(0), 6))
    assert hands.ended().failure is None


def test_reduces_may_have_read_different_attempts_of_one_map(hands):
    mapped(hands, reduces=2)
    hands.reduced(hands.reduce(0), (hands.map(0), 2))
    hands.unreadable(hands.reduce(1), hands.map(0))
    hands.written(hands.map(0, 2), records=5)
    hands.reduced(hands.reduce(1), (hands.map(0, 2), 3))
    assert hands.ended().failure is None


def test_reduces_that_all_read_an_output_before_it_was_replaced_lost_nothing(hands):
    mapped(hands, reduces=2)
    hands.asks(hands.reduce(0), (hands.map(0), 2))
    hands.unreadable(hands.reduce(1), hands.map(0))
    hands.written(hands.map(0, 2), records=5)
    hands.committed(hands.reduce(0))
    hands.failed(hands.reduce(1))
    hands.reduced(hands.reduce(1, 2), (hands.map(0), 4))
    assert hands.ended().failure is None


def test_nobody_can_have_read_more_than_was_written_even_of_a_replaced_output(hands):
    mapped(hands, reduces=2)
    hands.reduced(hands.reduce(0), (hands.map(0), 7))
    hands.unreadable(hands.reduce(1), hands.map(0))
    hands.written(hands.map(0, 2), records=6)
    hands.reduced(hands.reduce(1), (hands.map(0, 2), 0))
    assert hands.ended().failure.summary == "map-00000.1 wrote 6 records, the reduces consumed 7 of them"
