"""What speaks against a host; the rest is tested through a whole init."""

from __future__ import annotations

from dataclasses import replace

import pytest

from blfs_mr.cluster.checks import Needs, host_problems, problems_between
from blfs_mr.cluster.facts import BlockDevice, HostFacts

DISK = BlockDevice("/dev/vdb", "disk", 8 << 30, False, 512, "", (), ())
FACTS = HostFacts(
    system="Debian GNU/Linux 12",
    system_like=frozenset({"debian"}),
    machine="x86_64",
    python="3.11",
    user=0,
    clock=1000.0,
    free={"/var": 8 << 30, "/opt": 8 << 30},
    modules=frozenset(),
    tools=frozenset({"apt-get", "systemctl"}),
    initiator="",
    group_of_gid="",
    gid_of_group="",
    bundle="",
    machine_id="a",
    devices={"/dev/vdb": DISK, "/dev/peer": DISK},
)
NEEDS = Needs("/dev/vdb", 1 << 30, ("/dev/peer",), (), 1 << 30, 30.0, 7070, "3.11", "x86_64")
ASKED = (999.0, 1001.0)


def test_a_good_host_has_no_problems() -> None:
    assert host_problems(FACTS, NEEDS, ASKED) == []


@pytest.mark.parametrize(
    ("clock", "asked"), [(1029.0, (0.0, 1000.0)), (0.5, (1.0, 1000.0)), (500.0, (0.0, 1000.0))]
)
def test_a_slow_answer_is_no_clock_skew(clock: float, asked: tuple[float, float]) -> None:
    assert host_problems(replace(FACTS, clock=clock), NEEDS, asked) == []


def test_a_clock_ahead_is_told_as_that() -> None:
    (problem,) = host_problems(replace(FACTS, clock=5000.0), NEEDS, ASKED)
    assert "its clock is 3999s ahead of this one" in problem


@pytest.mark.parametrize(("python", "machine"), [("3.12", "x86_64"), ("3.11", "aarch64")])
def test_wheels_for_another_python_are_told(python: str, machine: str) -> None:
    (problem,) = host_problems(replace(FACTS, python=python, machine=machine), NEEDS, ASKED)
    assert "cluster.wheels" in problem
    assert (
        host_problems(replace(FACTS, python=python, machine=machine), replace(NEEDS, python=""), ASKED) == []
    )


def test_a_given_volume_that_is_missing_is_told() -> None:
    (problem,) = host_problems(replace(FACTS, devices={"/dev/vdb": DISK, "/dev/peer": None}), NEEDS, ASKED)
    assert "/dev/peer does not exist here" in problem


@pytest.mark.parametrize("holds", ["blfs-mr", "ext4 labelled blfs-mr"])
def test_our_own_volume_is_no_foreign_data(holds: str) -> None:
    ours = replace(DISK, holds=holds, mounts=("/var/lib/blfs-mr/volumes/node-1",))
    assert host_problems(replace(FACTS, devices={"/dev/vdb": ours, "/dev/peer": DISK}), NEEDS, ASKED) == []


def test_the_group_must_have_its_number_everywhere() -> None:
    assert (
        host_problems(replace(FACTS, group_of_gid="blfs-mr-volumes", gid_of_group="7070"), NEEDS, ASKED) == []
    )
    (problem,) = host_problems(replace(FACTS, gid_of_group="999"), NEEDS, ASKED)
    assert "has the number 999 there" in problem


def test_copies_of_one_host_are_told() -> None:
    (problem,) = problems_between(
        {"node-1": FACTS, "node-2": FACTS, "node-3": replace(FACTS, machine_id="b")}
    )
    assert "node-1, node-2 have the same machine id" in problem
