"""Which workers may map and which may reduce."""

from __future__ import annotations

import pytest

from blfs_mr.core.blame import Blame
from blfs_mr.core.eligible import Eligible, agree
from blfs_mr.core.reach import Reach
from blfs_mr.model import SeenVolume, VolumeId, WorkerName

A, B, C, D = ALL = tuple(WorkerName(name) for name in "abcd")


def gaps(*pairs: tuple[WorkerName, WorkerName]) -> dict[WorkerName, dict[WorkerName, str]]:
    """Pairs of a reader and the owner of a volume that it cannot read."""
    made: dict[WorkerName, dict[WorkerName, str]] = {}
    for reader, owner in pairs:
        made.setdefault(reader, {})[owner] = "EIO"
    return made


def eligible(*pairs: tuple[WorkerName, WorkerName], blame: Blame | None = None) -> Eligible:
    reach = Reach()
    blind = gaps(*pairs)
    for worker in ALL:
        seen = tuple(SeenVolume(owner, VolumeId(""), blind[worker][owner]) for owner in blind.get(worker, ()))
        reach.joined(worker, "host", VolumeId(worker), seen)
    return Eligible(ALL, reach, blame or Blame())


def isolated(worker: WorkerName) -> list[tuple[WorkerName, WorkerName]]:
    """Nobody reads its volume, and it reads nobody's."""
    return [pair for other in ALL if other != worker for pair in ((worker, other), (other, worker))]


@pytest.mark.parametrize(
    ("pairs", "readers", "owners"),
    [
        ([], {A, B, C}, {A, B, C}),
        ([(A, B)], {B, C}, {A, B, C}),
        ([(A, B), (A, C)], {B, C}, {A, B, C}),
        ([(A, B), (C, B)], {A, B, C}, {A, C}),
        ([(A, B), (A, C), (B, A), (C, A)], {B, C}, {B, C}),
        ([(A, B), (B, A), (A, C), (C, A), (B, C), (C, B)], {A}, {A}),
    ],
)
def test_what_stands_in_the_way_most_is_left_out(pairs, readers, owners):
    left, volumes = agree({A, B, C}, {A, B, C}, gaps(*pairs))
    assert (left, volumes) == (readers, owners)
    assert left
    assert not any(owner in volumes for reader in left for owner in gaps(*pairs).get(reader, ()))


def test_everybody_may_do_everything_where_all_can_be_read():
    one = eligible()
    assert one.all_are
    assert one.mappers({A}, {B}) == one.reducers({A}) == (ALL,)


def test_a_reduce_task_goes_only_where_all_volumes_in_use_can_be_read():
    one = eligible((A, B), (C, D))
    assert set(one.reducers({B})[0]) == {B, C, D}
    assert set(one.reducers({B, D})[0]) == {B, D}
    assert set(one.reducers({A})[0]) == set(ALL)


def test_a_map_task_goes_to_a_volume_that_most_agree_on():
    best, better, able = eligible(*isolated(D)).mappers((), ())
    assert best == {A, B, C}
    assert better == able == set(ALL)


def test_a_map_task_goes_only_where_somebody_can_read_its_volume_beside_those_in_use():
    one = eligible(*isolated(D))
    assert set(one.mappers({A}, ())[-1]) == {A, B, C}
    assert set(one.mappers({D}, ())[-1]) == {D}
    assert not any(one.mappers({A, D}, ()))


def test_a_map_task_that_runs_again_goes_where_those_that_wait_for_it_can_read_it():
    one = eligible((A, B))
    assert B in one.mappers({C}, {C, D})[1]
    assert B not in one.mappers({C}, {A})[1]
    assert B in one.mappers({C}, {A})[2]


def test_nothing_is_written_to_a_volume_in_quarantine():
    blame = Blame()
    blame.failed(A, B, "EIO", 0.0)
    blame.failed(C, B, "EIO", 0.0)
    one = eligible(blame=blame)
    assert all(B not in tier for tier in one.mappers((), ()))
    assert set(one.reducers((A,))[0]) == set(ALL)
    assert "quarantined" in one.why_not(B)


def test_a_worker_that_is_to_blame_reduces_only_where_nobody_else_can():
    blame = Blame()
    blame.failed(A, B, "EIO", 0.0)
    blame.failed(A, C, "EIO", 0.0)
    assert eligible(blame=blame).reducers((D,)) == ({B, C, D}, set(ALL))
    assert eligible((B, D), (C, D), (D, B), blame=blame).reducers((B, D)) == (set(), {A})
