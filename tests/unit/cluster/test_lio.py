"""What is said to targetcli, and what stands in the way of saying it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blfs_mr.cluster import lio
from blfs_mr.cluster.host.iscsi import SCRATCH, export_step, unexport_step
from blfs_mr.cluster.plan import Access, Export
from blfs_mr.errors import ClusterError
from tests.unit.cluster.fake_system import FakeSystem, FakeTargets

TARGET = "iqn.2022-05.10.0.0.1:node-1"


def initiator(number: int) -> str:
    return f"iqn.1993-08.org.debian:01:node{number}"


def export(peers: int = 2, *, chap: bool = True) -> Export:
    return Export(
        target=TARGET,
        address="10.0.0.1",
        port=3260,
        backstore="blfs-mr-node-1",
        device="/dev/vdb",
        access=tuple(
            Access(
                initiator=initiator(number),
                writes=number == 1,
                user=f"lab-node-{number}" if chap else "",
                password=f"0123456789abcde{number}" if chap else "",
            )
            for number in range(1, peers + 2)
        ),
    )


def configured(targets: FakeTargets) -> lio.Configuration:
    return lio.parse_configuration(targets.dump())


def made(wanted: Export) -> FakeTargets:
    targets = FakeTargets()
    targets.run(lio.commands_for(wanted, lio.Configuration()))
    return targets


def test_only_the_owner_may_write() -> None:
    target = configured(made(export())).targets[TARGET]
    protected = {name: access.luns[0].protected for name, access in target.access.items()}
    assert protected == {initiator(1): False, initiator(2): True, initiator(3): True}
    assert target.attributes["generate_node_acls"] == 0
    assert target.attributes["authentication"] == 1
    assert target.portals == {("10.0.0.1", 3260)}


def test_what_is_configured_already_needs_no_command() -> None:
    assert lio.commands_for(export(), configured(made(export()))) == []


def test_without_chap_nobody_is_asked_for_it() -> None:
    targets = made(export(chap=False))
    assert configured(targets).targets[TARGET].attributes["authentication"] == 0
    assert lio.commands_for(export(chap=False), configured(targets)) == []


def test_a_peer_that_left_loses_its_access() -> None:
    assert lio.commands_for(export(1), configured(made(export(2)))) == [
        f"/iscsi/{TARGET}/tpg1/acls delete {initiator(3)}"
    ]


def test_a_lun_that_lost_its_write_protection_gets_it_back() -> None:
    targets = made(export())
    targets.targets[0]["tpgs"][0]["node_acls"][1]["mapped_luns"][0]["write_protect"] = False
    node = f"/iscsi/{TARGET}/tpg1/acls/{initiator(2)}"
    assert lio.commands_for(export(), configured(targets)) == [
        f"{node} delete 0",
        f"{node} create mapped_lun=0 tpg_lun_or_backstore=lun0 write_protect=1",
    ]


def test_a_portal_on_all_addresses_is_replaced() -> None:
    targets = made(export())
    targets.targets[0]["tpgs"][0]["portals"] = [{"ip_address": "0.0.0.0", "port": 3260}]
    assert lio.commands_for(export(), configured(targets)) == [
        f"/iscsi/{TARGET}/tpg1/portals delete 0.0.0.0 3260",
        f"/iscsi/{TARGET}/tpg1/portals create 10.0.0.1 3260",
    ]


@given(st.data())
def test_an_interrupted_configuration_is_completed(data: st.DataObject) -> None:
    wanted = export(data.draw(st.integers(0, 4)))
    commands = lio.commands_for(wanted, lio.Configuration())
    targets = FakeTargets()
    targets.run(commands[: data.draw(st.integers(0, len(commands)))])
    targets.run(lio.commands_for(wanted, configured(targets)))
    assert configured(targets) == configured(made(wanted))


def test_removal_takes_away_what_is_there() -> None:
    targets = made(export())
    targets.run(lio.removal_commands(export(), configured(targets)))
    assert configured(targets) == lio.Configuration()
    assert lio.removal_commands(export(), configured(targets)) == []


@pytest.mark.parametrize(
    ("plugin", "name", "device", "expected"),
    [
        ("fileio", "disk", "/dev/vdb", "served by the fileio backstore disk, whose peers read stale data"),
        ("block", "other", "/dev/vdb", "served by the backstore other of somebody else already"),
        ("block", "blfs-mr-node-1", "/dev/vdc", "serves /dev/vdc, not /dev/vdb"),
        ("fileio", "disk", "/dev/disk/by-id/vdb", "stale data"),
    ],
)
def test_a_backstore_in_the_way_is_refused(plugin: str, name: str, device: str, expected: str) -> None:
    present = lio.Configuration((lio.Backstore(plugin, name, device),))
    (said,) = lio.conflicts(export(), present, lambda path: path.replace("/dev/disk/by-id", "/dev"))
    assert expected in said


def test_a_target_name_that_is_taken_is_refused() -> None:
    other = lio.Target({0: "block/photos"}, {}, frozenset(), {}, True)
    (said,) = lio.conflicts(export(), lio.Configuration((), {TARGET: other}))
    assert "exists and serves block/photos" in said


def test_a_second_target_of_our_backstore_is_refused() -> None:
    other = lio.Target({3: "block/blfs-mr-node-1"}, {}, frozenset(), {}, True)
    (said,) = lio.conflicts(export(), lio.Configuration((), {"iqn.2001-01.example:x": other}))
    assert "iqn.2001-01.example:x" in said


@pytest.mark.parametrize("text", ["", "[]", "{", json.dumps({"targets": [{"fabric": "iscsi"}]})])
def test_what_is_no_configuration_is_told(text: str) -> None:
    with pytest.raises(ClusterError, match="not understood"):
        lio.parse_configuration(text)


def test_printed_commands_have_no_password() -> None:
    for command in lio.commands_for(export(), lio.Configuration()):
        assert "0123456789" not in lio.shown(command)


def test_the_target_step_changes_things_once_and_leaves_no_secrets_about() -> None:
    system = FakeSystem()
    assert export_step(export()).apply(system)
    assert not export_step(export()).apply(system)
    assert not any(path.startswith(SCRATCH) for path in (*system.files, *system.folders))
    assert not any("0123456789" in line for line in system.ran)
    assert unexport_step(export()).apply(system)
    assert not unexport_step(export()).apply(system)


def test_a_command_that_targetcli_passes_over_is_found_out() -> None:
    system = FakeSystem()
    system.targets.refused = lambda line: "write_protect=1" in line
    with pytest.raises(ClusterError, match=r"did not do .*write_protect=1"):
        export_step(export()).apply(system)


def test_a_target_in_the_way_is_left_as_it_is() -> None:
    system = FakeSystem()
    system.targets.backstores = [{"plugin": "fileio", "name": "disk", "dev": "/dev/vdb"}]
    with pytest.raises(ClusterError, match="stale data"):
        export_step(export()).apply(system)
    assert system.targets.targets == []
