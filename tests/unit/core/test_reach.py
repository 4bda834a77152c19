"""Who can read whose volume."""

from __future__ import annotations

import pytest

from blfs_mr.core.reach import Reach
from blfs_mr.model import SeenVolume, VolumeId, WorkerName

A, B, C = (WorkerName(name) for name in "abc")


def volume(owner: WorkerName) -> VolumeId:
    return VolumeId(f"volume of {owner}")


def sees(owner: WorkerName) -> SeenVolume:
    return SeenVolume(owner, volume(owner))


def cannot(owner: WorkerName, problem: str = "no device") -> SeenVolume:
    return SeenVolume(owner, VolumeId(""), problem)


def reach(**workers: tuple[str, list[SeenVolume]]) -> Reach:
    """Workers by name: their host, and the peers' volumes as they see them."""
    made = Reach()
    for name, (host, peers) in workers.items():
        made.joined(WorkerName(name), host, volume(WorkerName(name)), peers)
    return made


def test_workers_of_one_host_read_one_another_unless_told_otherwise():
    assert not reach(a=("h", []), b=("h", [])).gaps


def test_a_worker_reads_another_hosts_volume_only_where_it_was_given_a_device_for_it():
    made = reach(a=("h", [sees(B)]), b=("i", []))
    assert made.problem(A, B) == ""
    assert made.problem(B, A) == "a is on another host, and is not among the worker.peers of b"


@pytest.mark.parametrize("host", ["h", "i"])
def test_what_a_worker_says_of_its_own_device_counts_also_on_the_owners_host(host):
    made = reach(a=("h", [cannot(B)]), b=(host, [sees(A)]))
    assert made.gaps == {A: {B: "no device"}}


def test_another_volume_than_the_owners_cannot_be_read():
    made = reach(a=("h", [SeenVolume(B, volume(C))]), b=("i", [sees(A)]))
    assert made.problem(A, B) == "the volume there is volume of c, and that of b is volume of b"


def test_an_owner_that_comes_back_with_another_volume_is_compared_again():
    made = reach(a=("h", [sees(B)]), b=("i", [sees(A)]))
    made.joined(B, "i", volume(C), [sees(A)])
    assert made.problem(A, B)
    made.seen(A, [SeenVolume(B, volume(C))])
    assert not made.gaps


def test_a_later_look_counts():
    made = reach(a=("h", [cannot(B)]), b=("i", [sees(A)]))
    made.seen(A, [sees(B)])
    assert not made.gaps
    made.seen(A, [cannot(B, "gone")])
    assert made.problem(A, B) == "gone"


def test_a_worker_that_is_gone_reads_nothing_and_its_volume_is_remembered():
    made = reach(a=("h", [sees(B)]), b=("i", [cannot(A)]))
    made.left(B)
    assert not made.gaps
    made.seen(A, [cannot(B, "gone")])
    assert made.problem(A, B) == "gone"
    made.seen(B, [cannot(A)])
    assert list(made.gaps) == [A]


def test_a_new_worker_is_compared_with_the_volumes_of_those_that_are_gone():
    made = reach(a=("h", []))
    made.left(A)
    made.joined(B, "i", volume(B), [])
    assert made.problem(B, A)
