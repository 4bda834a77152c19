"""A pool that is short: what is drained where, what is freed for it, and what failures cost."""

from __future__ import annotations

import pytest

from blfs_mr.core import commands as c
from blfs_mr.core import events as e
from blfs_mr.core.scheduler import STANDSTILL
from blfs_mr.model import FailureKind, JobId, TaskKind

OTHER = JobId("2" * 16)


def drains(commands):
    """Which worker was asked to drain which output for which partitions."""
    return [(x.worker, str(x.output), x.partitions) for x in commands if isinstance(x, c.DrainMapOutput)]


def released(commands):
    return [(x.worker, str(x.output)) for x in commands if isinstance(x, c.ReleaseMapOutput)]


def short_on_a(hands, maps=3, reduces=2, **options):
    """A job on workers a and b; map 0 is published on a, and its pool is short."""
    hands.join("a")
    hands.join("b")
    hands.submit(maps=[["a"]] * maps, reduces=reduces, draining=True, **options)
    hands.written(hands.map(0))
    return hands.pool_short("a")


def drained_on_a(hands, **options):
    """The same, and map 0 is drained to both workers."""
    short_on_a(hands, **options)
    for worker in "ab":
        hands.drained(worker, hands.map(0))


def test_every_reduce_task_gets_a_home_and_every_home_copies_what_it_needs(hands):
    told = short_on_a(hands, reduces=3)
    assert drains(told) == [("a", "map-00000.1", (0, 2)), ("b", "map-00000.1", (1,))]
    first = [x for x in told if x.worker == "b"]
    assert [type(x) for x in first] == [c.PrepareJob, c.PublishMapOutput, c.DrainMapOutput]


def test_the_files_are_released_once_when_every_home_has_its_copy(hands):
    short_on_a(hands)
    assert released(hands.drained("a", hands.map(0))) == []
    assert hands.scheduler.jobs[hands.map(0).task.job].holds(hands.map(0))
    assert released(hands.drained("b", hands.map(0))) == [("a", "map-00000.1")]
    assert not hands.scheduler.jobs[hands.map(0).task.job].holds(hands.map(0))
    assert hands.drained("b", hands.map(0)) == []


def test_an_output_that_is_being_drained_is_not_drained_again(hands):
    short_on_a(hands)
    assert hands.pool_short("a") == []
    assert hands.pass_time(10 * STANDSTILL) == []


def test_reduces_run_at_home_and_running_ones_are_at_home_where_they_run(hands):
    hands.join("a", slots=4)
    hands.submit(maps=[["a"], ["a"], ["a"]], reduces=2, draining=True)
    hands.written(hands.map(0))
    hands.join("b", slots=4)
    assert {hands.where(hands.reduce(0)), hands.where(hands.reduce(1))} <= {"a", "b"}
    where = hands.where(hands.reduce(0))
    told = hands.pool_short("a")
    assert (where, "map-00000.1") in [(worker, output) for worker, output, p in drains(told) if 0 in p]
    hands.failed(hands.reduce(0))
    assert hands.where(hands.reduce(0, 2)) == where, "nowhere else are the copies"


def test_what_is_published_while_the_pool_is_short_is_drained_when_the_worker_says_so_again(hands):
    short_on_a(hands)
    hands.written(hands.map(1))
    assert drains(hands.pool_short("a")) == [("a", "map-00001.1", (0,)), ("b", "map-00001.1", (1,))]


def test_a_pool_that_was_short_before_its_output_was_known_is_looked_at_as_time_passes(hands):
    hands.join("a", slots=2)
    hands.submit(maps=3, draining=True)
    assert hands.pool_short("a") == []
    hands.written(hands.map(0))
    assert drains(hands.pass_time(0.25)) == [("a", "map-00000.1", (0,))]


def test_outputs_of_other_volumes_and_without_files_are_left_alone(hands):
    hands.join("a")
    hands.join("b")
    hands.submit(maps=[["a"], ["b"], ["a"], ["a"]], draining=True)
    hands.written(hands.map(1))
    empty = hands.output(hands.map(0))
    hands.tell(e.MapOutputWritten(type(empty)(empty.attempt, empty.worker, ()), {}))
    assert hands.pool_short("a") == []


def test_a_drained_job_ends_with_what_its_reduces_consumed(hands):
    drained_on_a(hands, maps=1)
    for index in range(2):
        hands.reduced(hands.reduce(index), (hands.map(0), 3))
    assert hands.ended().failure is None


def test_the_word_of_a_worker_that_is_gone_is_no_matter(hands):
    assert hands.pool_short("nobody") == []
    assert hands.pass_time(10 * STANDSTILL) == []


# ---------------------------------------------------------------- lost outputs


def test_an_output_that_is_made_again_gives_its_files_up_when_the_pool_is_short(hands):
    hands.join("a", slots=4)
    hands.submit(maps=2, draining=True)
    hands.written(hands.map(0))
    hands.written(hands.map(1))
    hands.unreadable(hands.reduce(0), hands.map(0))
    assert released(hands.pool_short("a")) == [("a", "map-00000.1")]
    assert released(hands.written(hands.map(0, 2))) == [], "it was released already"


def test_a_drain_of_an_output_that_was_replaced_meanwhile_frees_nothing(hands):
    hands.join("a", slots=4)
    hands.submit(maps=1, draining=True)
    hands.written(hands.map(0))
    hands.pool_short("a")
    hands.unreadable(hands.reduce(0), hands.map(0))
    assert hands.drained("a", hands.map(0)) == []
    assert hands.drain_failed("a", hands.map(0), FailureKind.STORAGE) == []
    assert released(hands.written(hands.map(0, 2))) == [("a", "map-00000.1")]


def test_a_drained_copy_that_cannot_be_read_costs_its_map_and_releases_nothing_twice(hands):
    hands.join("a", slots=4)
    hands.submit(maps=1, draining=True)
    hands.written(hands.map(0))
    hands.pool_short("a")
    hands.drained("a", hands.map(0))
    assert hands.map(0, 2) in hands.launches(hands.unreadable(hands.reduce(0), hands.map(0)))
    assert released(hands.written(hands.map(0, 2))) == []
    assert drains(hands.pool_short("a")) == [("a", "map-00000.2", (0,))]


# ---------------------------------------------------------------- drains that fail


def test_an_output_that_cannot_be_read_for_draining_is_made_again(hands):
    short_on_a(hands)
    told = hands.drain_failed("b", hands.map(0), FailureKind.DATA)
    assert told[0].will_retry
    assert "b cannot drain it: no luck" in told[0].failure.summary
    assert hands.drained("a", hands.map(0)) == []


def test_a_drain_whose_process_died_is_tried_again_but_not_for_ever(hands):
    short_on_a(hands, max_attempts=2)
    assert drains(hands.drain_failed("b", hands.map(0), FailureKind.PROCESS)) == [("b", "map-00000.1", (1,))]
    hands.drain_failed("b", hands.map(0), FailureKind.PROCESS)
    assert hands.ended().failure.summary == "map-00000.1: b cannot drain it: no luck"


def test_a_scratch_that_cannot_take_a_copy_fails_the_job(hands):
    short_on_a(hands)
    hands.drain_failed("b", hands.map(0), FailureKind.STORAGE)
    assert hands.ended().failure.kind is FailureKind.STORAGE


# ---------------------------------------------------------------- workers that go


def test_losing_a_home_runs_exactly_the_maps_again_whose_files_were_given_away(hands):
    drained_on_a(hands, maps=4)
    hands.written(hands.map(1))
    hands.written(hands.map(2))
    told = hands.lose("b")
    failed = [x.attempt.task for x in told if isinstance(x, c.ReportAttemptFailed)]
    assert hands.map(0).task not in failed, "no map is to blame"
    hands.written(hands.map(3))
    assert [x for x in hands.launches() if x.number == 2 and x.task.kind is TaskKind.MAP] == [hands.map(0, 2)]


def test_a_new_home_is_told_of_no_output_that_is_lost(hands):
    drained_on_a(hands)
    hands.written(hands.map(1))
    hands.pool_short("a")
    hands.join("c")
    told = hands.lose("b")
    assert [str(x.output.attempt) for x in told if isinstance(x, c.PublishMapOutput)] == ["map-00001.1"]
    assert ("c", "map-00001.1", (1,)) in drains(told)


def test_losing_a_home_whose_reduces_are_done_costs_nothing(hands):
    drained_on_a(hands, maps=1)
    done = next(hands.reduce(i) for i in range(2) if hands.where(hands.reduce(i)) == "b")
    hands.reduced(done, (hands.map(0), 3))
    hands.lose("b")
    assert hands.map(0, 2) not in hands.launches()


def test_losing_a_home_during_a_drain_has_the_others_copy_its_part_as_well(hands):
    short_on_a(hands)
    hands.drained("a", hands.map(0))
    assert drains(hands.lose("b")) == [("a", "map-00000.1", (1,))]
    assert released(hands.drained("a", hands.map(0))) == [("a", "map-00000.1")]


def test_a_drain_that_nobody_is_left_to_make_begins_anew_when_somebody_is(hands):
    hands.join("a")
    hands.submit(maps=2, draining=True)
    hands.written(hands.map(0))
    hands.pool_short("a")
    hands.lose("a")
    hands.join("a", held=[hands.map(0)])
    assert drains(hands.pool_short("a")) == [("a", "map-00000.1", (0,))]


def test_reduces_find_a_new_home_although_nothing_that_was_drained_is_left(hands):
    short_on_a(hands, maps=1)
    hands.drain_failed("b", hands.map(0), FailureKind.DATA)
    hands.lose("b")
    assert not list(hands.scheduler.jobs[hands.map(0).task.job].stranded())


def test_files_of_a_drained_output_are_not_live_when_their_worker_comes_back(hands):
    drained_on_a(hands)
    hands.lose("a")
    assert hands.join("a", held=[hands.map(0)])[0] == c.AcceptWorker("a", ())


# ---------------------------------------------------------------- without draining


def stand_still(hands):
    hands.pass_time(0)
    return hands.pass_time(STANDSTILL)


def test_a_job_that_may_not_drain_fails_with_the_pool_that_it_needs(hands):
    hands.join("a", slots=2)
    hands.submit(maps=4)
    hands.written(hands.map(0))
    hands.pool_short("a")
    stand_still(hands)
    assert hands.ended().failure.kind is FailureKind.POOL
    assert hands.ended().failure.summary == (
        "the pool of shared files on a is full, and draining is not allowed: 1 of 4 map outputs are written; "
        "all of them would need about 4 shared files of 1024 KiB, 4 MiB in all: set worker.shared_files or "
        "worker.shared_file_size higher on the workers, or allow draining"
    )


def test_a_job_that_may_not_drain_is_not_failed_while_its_maps_go_on_elsewhere(hands):
    hands.join("a")
    hands.join("b")
    hands.submit(maps=[["a"], ["a"], ["b"]])
    hands.written(hands.map(0))
    hands.pool_short("a")
    stand_still(hands)
    assert hands.ended() is None
    hands.written(hands.map(2))
    hands.pass_time(0)
    assert hands.ended().failure.kind is FailureKind.POOL


@pytest.mark.parametrize("what", ["written", "failed", "requeued"])
def test_news_from_a_pool_restart_the_clock(hands, what):
    hands.join("a", slots=3)
    hands.submit(maps=5)
    hands.written(hands.map(0))
    hands.pool_short("a")
    hands.pass_time(STANDSTILL - 0.1)
    getattr(hands, what)(hands.map(1))
    hands.pass_time(0.2)
    assert hands.ended() is None


def test_a_job_whose_maps_are_done_is_waited_for(hands):
    hands.join("a", slots=2)
    hands.submit(maps=1)
    hands.submit(maps=2, job=OTHER)
    hands.written(hands.map(0))
    hands.pool_short("a")
    stand_still(hands)
    assert hands.ended() is None


def test_a_slot_that_a_waiting_reduce_of_a_stuck_job_holds_is_nobodys_hope(hands):
    hands.join("a", slots=3)
    hands.join("b")
    hands.submit(maps=[["a"], ["a"]], draining=True, job=OTHER)
    assert hands.where(hands.reduce(0, job=OTHER)) == "b"
    hands.submit(maps=[["a"], ["a"], []])
    hands.written(hands.map(0))
    # Whatever runs on a waits for a shared file there; what could run on b waits for the slot of the reduce.
    hands.pool_short("a")
    stand_still(hands)
    assert hands.ended(hands.all).failure.kind is FailureKind.POOL
    assert list(hands.scheduler.jobs) == [OTHER]


def test_the_end_of_a_job_makes_its_pool_a_matter_of_the_workers_next_word(hands):
    hands.join("a", slots=3)
    hands.submit(maps=2)
    hands.submit(maps=2, job=OTHER)
    hands.written(hands.map(0))
    hands.written(hands.map(0, job=OTHER))
    hands.pool_short("a")
    hands.tell(e.JobCancelled(OTHER, "enough"))
    stand_still(hands)
    assert hands.ended() is None, "its files may be all that was missing"
    hands.pool_short("a")
    stand_still(hands)
    assert hands.ended().failure.kind is FailureKind.POOL
