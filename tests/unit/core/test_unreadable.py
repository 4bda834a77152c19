"""What the scheduler does about map outputs that cannot be read, and about workers that cannot read."""

from __future__ import annotations

import pytest

from blfs_mr.core import commands as c
from blfs_mr.core.scheduler import RELOCATES, SECOND_THOUGHTS
from blfs_mr.model import AttemptId, FailureKind, SeenVolume, TaskKind, VolumeId, WorkerName
from tests.unit.core.conftest import DEADLINE, RECORDS, Hands

EIO = "EIO"


def sees(owner: str) -> SeenVolume:
    return SeenVolume(WorkerName(owner), VolumeId(f"volume of {owner}"))


def cannot(owner: str) -> SeenVolume:
    return SeenVolume(WorkerName(owner), VolumeId(""), EIO)


def reducing(hands: Hands, workers: str = "abc", reduces: int = 3) -> None:
    """One map output on each of ``workers``, and reduce attempts that read them."""
    for name in workers:
        hands.join(name)
    hands.submit(maps=[[name] for name in workers], reduces=reduces)
    for index in range(len(workers)):
        hands.written(hands.map(index))


def again(hands: Hands, kind: TaskKind) -> list[AttemptId]:
    """The later attempts of tasks of that kind."""
    return [a for a in hands.launches() if a.task.kind is kind and a.number > 1]


def on(hands: Hands, worker: str) -> AttemptId:
    """The reduce attempt on ``worker``."""
    (found,) = [a for a, w in hands.launches().items() if a.task.kind is TaskKind.REDUCE and w == worker]
    return found


def looks(hands: Hands) -> list[str]:
    """The workers that were told to look at their peers' volumes just now."""
    return [x.worker for x in hands.last if isinstance(x, c.LookAtPeers)]


def test_workers_look_at_their_peers_when_a_job_is_submitted(hands: Hands):
    hands.join("a", peers=[sees("b")])
    hands.join("b", peers=[sees("a")])
    hands.join("c")
    hands.submit()
    assert looks(hands) == ["a", "b"], "c was given no volume to look at"


def test_workers_look_at_their_peers_when_nobody_is_known_to_read_what_a_job_needs(hands: Hands):
    hands.join("a", peers=[sees("b")])
    hands.join("b", peers=[sees("a")])
    hands.submit(maps=[["a"], ["b"]], reduces=1)
    hands.written(hands.map(0))
    hands.lose("b")
    hands.sees("a", cannot("b"))
    hands.pass_time(0)
    assert looks(hands) == ["a"]
    hands.pass_time(0.1)
    assert looks(hands) == [], "once is enough"


def test_a_bad_block_costs_its_map_at_once(hands: Hands):
    reducing(hands)
    hands.unreadable(on(hands, "a"), hands.map(1), corrupt=True)
    assert again(hands, TaskKind.MAP) == [hands.map(1, 2)]


def test_a_read_that_failed_costs_its_map_on_second_thoughts(hands: Hands):
    reducing(hands)
    hands.unreadable(on(hands, "a"), hands.map(1), corrupt=False)
    hands.pass_time(SECOND_THOUGHTS / 2)
    assert again(hands, TaskKind.MAP) == []
    hands.pass_time(SECOND_THOUGHTS / 2)
    assert again(hands, TaskKind.MAP) == [hands.map(1, 2)]


def test_the_reduces_of_a_host_that_cannot_read_several_volumes_move_and_no_map_is_run_again(hands: Hands):
    reducing(hands)
    reader = on(hands, "a")
    hands.unreadable(reader, hands.map(1), corrupt=False)
    hands.unreadable(reader, hands.map(2), corrupt=False)
    assert c.AbortAttempt(WorkerName("a"), reader) in hands.last
    assert "volumes of b, c" in hands.scheduler.blame.readers[WorkerName("a")]
    for name in "bc":
        mine = on(hands, name)
        hands.reduced(mine, *[(hands.map(index), RECORDS // 3) for index in range(3)])
    assert again(hands, TaskKind.REDUCE) == [AttemptId(reader.task, 2)]
    assert hands.where(AttemptId(reader.task, 2)) != "a"
    hands.pass_time(2 * SECOND_THOUGHTS)
    assert again(hands, TaskKind.MAP) == []
    hands.reduced(AttemptId(reader.task, 2), *[(hands.map(index), RECORDS // 3) for index in range(3)])
    assert hands.ended().failure is None


def test_a_volume_that_several_hosts_cannot_read_is_quarantined_and_its_maps_run_elsewhere(hands: Hands):
    for name in "abc":
        hands.join(name, slots=2)
    hands.submit(maps=3, reduces=3)
    for index in range(3):
        hands.written(hands.map(index))
    bad = hands.where(hands.map(0))
    lost = [hands.map(i) for i in range(3) if hands.where(hands.map(i)) == bad]
    readers = [on(hands, name) for name in "abc" if name != bad]
    for reader in readers:
        hands.unreadable(reader, hands.map(0), corrupt=False)
    assert bad in hands.scheduler.blame.volumes
    rerun = again(hands, TaskKind.MAP)
    assert [a.task for a in rerun] == [a.task for a in lost]
    assert all(hands.where(attempt) != bad for attempt in rerun)


def test_what_is_being_written_to_a_volume_in_quarantine_is_taken_back(hands: Hands):
    reducing(hands)
    hands.join("d", slots=4)
    other = "2" * 16
    hands.submit(maps=[["b", "d"]] * 9, reduces=1, job=other)
    hands.join("b", slots=4, held=[hands.map(1)])
    running = [a for a, w in hands.launches().items() if w == "b" and a.task.job == other]
    for name in "ac":
        hands.unreadable(on(hands, name), hands.map(1), corrupt=False)
    assert running
    assert {x.attempt for x in hands.last if isinstance(x, c.AbortAttempt)} == set(running)
    assert all(w != "b" for a, w in hands.launches(hands.last).items())


def test_a_reader_that_says_itself_that_it_cannot_read_a_volume_hands_its_reduces_on(hands: Hands):
    reducing(hands)
    reader = on(hands, "a")
    hands.sees("a", cannot("b"), sees("c"))
    hands.unreadable(reader, hands.map(1), corrupt=False)
    assert c.AbortAttempt(WorkerName("a"), reader) in hands.last
    hands.pass_time(2 * SECOND_THOUGHTS)
    assert again(hands, TaskKind.MAP) == []


def test_a_reader_that_was_given_up_leaves_the_question_to_the_next_one(hands: Hands):
    reducing(hands, reduces=1)
    (reader,) = [a for a in hands.launches() if a.task.kind is TaskKind.REDUCE]
    hands.unreadable(reader, hands.map(1), corrupt=False)
    hands.failed(reader, FailureKind.STORAGE)
    assert hands.where(AttemptId(reader.task, 2)) != hands.where(reader)
    hands.pass_time(2 * SECOND_THOUGHTS)
    assert again(hands, TaskKind.MAP) == []


def test_reduces_go_only_to_workers_that_can_read_all_map_outputs(hands: Hands):
    hands.join("a", slots=4, peers=[cannot("b")])
    hands.join("b", slots=4)
    hands.submit(maps=[["a"], ["b"]], reduces=4)
    for index in range(2):
        hands.written(hands.map(index))
    reduces = {a: w for a, w in hands.launches().items() if a.task.kind is TaskKind.REDUCE}
    assert set(reduces.values()) == {"b"}
    assert len(reduces) == 4


def test_maps_keep_away_from_a_volume_that_nobody_else_can_read(hands: Hands):
    hands.join("a", slots=1, peers=[cannot("b"), cannot("c")])
    hands.join("b", slots=1, peers=[cannot("a"), sees("c")])
    hands.join("c", slots=1, peers=[cannot("a"), sees("b")])
    hands.submit(maps=6, reduces=1)
    assert set(hands.launches().values()) == {"b", "c"}


def test_an_input_that_only_an_unreadable_worker_holds_is_mapped_there_when_it_can_be_reduced_there(
    hands: Hands,
):
    hands.join("a", peers=[cannot("b")])
    hands.join("b", peers=[cannot("a")])
    hands.submit(maps=[["a"]], reduces=1)
    hands.written(hands.map(0))
    assert set(hands.launches().values()) == {"a"}


def test_a_job_whose_inputs_cannot_be_brought_together_fails_with_the_reason(hands: Hands):
    hands.join("a", peers=[cannot("b")])
    hands.join("b", peers=[cannot("a")])
    hands.submit(maps=[["a"], ["b"]], reduces=1)
    first = next(iter(hands.launches()))
    hands.written(first)
    for _ in range(int(DEADLINE) + 1):
        hands.pass_time(1)
        if ended := hands.ended():
            break
    assert ended.failure.kind is FailureKind.WORKER_LOST
    assert "a cannot read the volume of b: EIO" in ended.failure.summary
    assert "b cannot read the volume of a: EIO" in ended.failure.summary


@pytest.mark.parametrize("comes_back", [False, True])
def test_maps_are_run_again_when_their_volume_has_gone_with_its_worker(hands: Hands, comes_back: bool):
    hands.join("a", peers=[sees("b"), sees("c")])
    hands.join("b", peers=[sees("a"), sees("c")])
    hands.join("c", peers=[sees("a"), sees("b")])
    hands.submit(maps=[["c", "a"]], reduces=1)
    assert hands.where(hands.map(0)) in "ac"
    owner = hands.where(hands.map(0))
    left = {"a": "b", "c": "b"}[owner], {"a": "c", "c": "a"}[owner]
    hands.written(hands.map(0))
    (reader,) = [a for a in hands.launches() if a.task.kind is TaskKind.REDUCE]
    for name in left:
        hands.sees(name, cannot(owner))
    hands.lose(owner)
    if hands.where(reader) != owner:
        hands.failed(reader, FailureKind.PROCESS)
    assert again(hands, TaskKind.MAP) == []
    if comes_back:
        for name in left:
            hands.sees(name, sees(owner))
    hands.pass_time(0)
    hands.pass_time(RELOCATES)
    assert again(hands, TaskKind.MAP) == ([] if comes_back else [hands.map(0, 2)])


def test_a_lost_worker_costs_no_map_whose_output_can_still_be_read(hands: Hands):
    reducing(hands)
    hands.lose("b")
    assert again(hands, TaskKind.MAP) == []
    hands.join("b", held=[hands.map(1)])
    assert hands.last[0] == c.AcceptWorker(WorkerName("b"), (hands.map(1),))
    assert again(hands, TaskKind.MAP) == []
