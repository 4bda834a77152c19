"""Who has a volume: a claim holds until its owner is proven gone."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from blfs_mr.linux import process_start
from blfs_mr.volume import claims
from blfs_mr.volume.claims import rival
from blfs_mr.volume.superblock import NO_CLAIM, Claim

OURS = Claim("11" * 8, "22" * 16, "33" * 16, "node-a", 100, 1000, 1792)
ALIVE = replace(
    OURS, incarnation="99" * 8, process=os.getpid(), started=process_start(os.getpid()), device=1793
)


def test_a_free_volume_and_our_own_claim_are_nobody_s() -> None:
    assert rival(NO_CLAIM, OURS) == ""
    assert rival(OURS, OURS) == ""


def test_a_live_process_that_writes_through_another_device_is_a_rival() -> None:
    assert "of this host, through block device 7:1" in rival(ALIVE, OURS)


def test_the_lock_has_told_about_a_process_that_writes_through_the_same_device() -> None:
    assert rival(replace(ALIVE, device=OURS.device), OURS) == ""


@pytest.mark.parametrize("started", [1, 10**15])
def test_a_process_that_is_gone_is_none_though_its_number_is_used_again(started: int) -> None:
    assert rival(replace(ALIVE, started=started), OURS) == ""


def test_nothing_is_left_of_an_owner_after_its_host_has_started_anew() -> None:
    assert rival(replace(ALIVE, boot="44" * 16), OURS) == ""


def test_another_host_is_a_rival_whatever_its_processes_are() -> None:
    found = replace(ALIVE, machine="55" * 16, boot="44" * 16, host="node-b", process=4711)
    assert rival(found, OURS) == "process 4711 on host node-b"


def test_hosts_without_an_id_are_told_apart_by_name() -> None:
    nameless = replace(ALIVE, machine="00" * 16, boot="44" * 16)
    ours = replace(OURS, machine="00" * 16)
    assert rival(nameless, ours) == ""
    assert rival(replace(nameless, host="node-b"), ours) != ""


def test_a_new_claim_is_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "device_number", lambda device: 1792)
    one, other = claims.new_claim("/dev/x"), claims.new_claim("/dev/x")
    assert one.process == os.getpid()
    assert one.started == process_start(os.getpid()) > 0
    assert one.incarnation != other.incarnation
    assert rival(one, other) == ""
