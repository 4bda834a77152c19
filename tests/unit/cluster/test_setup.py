"""From bare hosts to a cluster and back, over SSH to simulated hosts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from blfs_mr.config import load_config
from tests.unit.cluster.simulation import SimulatedCluster, lsblk, simulated_cluster


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[SimulatedCluster]:
    async with simulated_cluster(tmp_path, 3) as cluster:
        yield cluster


async def test_a_second_init_changes_nothing_and_says_so(cluster: SimulatedCluster) -> None:
    assert "node-2: target: changed" in await cluster.done("init")
    *doctor, last = (await cluster.done("init")).splitlines()
    assert last == "3 hosts are as they should be; nothing was changed"
    assert len(doctor) == 3
    assert all("doctor: 2 peers; lines" in line for line in doctor)


async def test_a_host_gets_its_own_volume_and_its_peers(cluster: SimulatedCluster, tmp_path: Path) -> None:
    await cluster.done("init")
    plan = cluster.shells["node-2"].plan
    assert plan is not None
    (text,) = [file.text for file in plan.files if file.path.endswith("config.toml")]
    (tmp_path / "host.toml").write_text(text.replace('host = "127.0.0.1"', 'host = "localhost"'))
    config = load_config(tmp_path / "host.toml", {})
    assert config.worker.device == (
        "/dev/disk/by-path/ip-10.0.0.2:3260-iscsi-iqn.2022-05.10.0.0.2:node-2-lun-0"
    )
    assert [(peer.name, peer.mount) for peer in config.worker.peers] == [
        ("node-1", "/var/lib/blfs-mr/volumes/node-1"),
        ("node-3", "/var/lib/blfs-mr/volumes/node-3"),
    ]
    assert plan.export is not None
    assert [access.writes for access in plan.export.access] == [False, True, False]


async def test_no_password_is_seen_in_commands_or_output(cluster: SimulatedCluster) -> None:
    output = await cluster.done("--verbose", "init") + await cluster.done("init", "--dry-run")
    secrets = set()
    for shell in cluster.shells.values():
        assert shell.plan is not None
        secrets |= {login.password for login in shell.plan.logins}
        secrets |= {file.text.strip() for file in shell.plan.files if file.path.endswith("/secret")}
    assert len(secrets) == 4
    assert "" not in secrets
    for secret in secrets:
        assert secret not in output
        assert not any(secret in command for host in cluster.hosts.values() for command in host.seen)


async def test_a_host_needs_at_most_a_dozen_round_trips(cluster: SimulatedCluster) -> None:
    await cluster.done("init")
    assert {len(host.seen) for host in cluster.hosts.values()} <= set(range(13))


async def test_init_that_was_killed_on_a_host_goes_on_where_it_was(cluster: SimulatedCluster) -> None:
    cluster.shells["node-2"].die_at_step = "format"
    said = await cluster.refused("init")
    assert "node-2" in said
    assert "Killed" in said
    output = await cluster.done("init")
    assert "node-2: format: changed" in output
    assert "node-2: target" not in output


async def test_start_status_stop_and_teardown_can_be_repeated(cluster: SimulatedCluster) -> None:
    await cluster.done("init")
    assert "not everything runs on node-1" in await cluster.refused("status")
    assert "node-1: start blfs-mr-master.service: changed" in await cluster.done("start")
    assert "nothing was changed" in await cluster.done("start")
    assert "worker.service active" in await cluster.done("status")
    assert "node-3: stop blfs-mr-worker.service: changed" in await cluster.done("stop")
    assert "nothing was changed" in await cluster.done("stop")
    assert "node-1: wipe the volume: changed" in await cluster.done("teardown", "--yes", "lab")
    assert "changed\n" not in await cluster.done("teardown", "--yes", "lab")


async def test_teardown_asks_for_the_name(cluster: SimulatedCluster) -> None:
    assert "nothing was done" in await cluster.refused("teardown", "--yes", "other")
    result = await cluster.command("teardown", given="no\n")
    assert "nothing was done" in str(result.exception)
    assert not any(host.seen for host in cluster.hosts.values())


@pytest.mark.parametrize(
    ("differing", "expected"),
    [
        ({"clock": -3600.0}, "its clock is 3600s behind this one"),
        ({"python": "3.9"}, "its Python is 3.9, and 3.11 or newer is needed"),
        ({"python": ""}, "no python3"),
        ({"user": 1000}, "do not run as root"),
        ({"free": 1 << 20}, "has 1MiB free"),
        ({"modules": "iscsi_tcp"}, "its kernel has no module target_core_iblock"),
        ({"tools": "apt-get"}, "no systemd"),
        ({"tools": "systemctl"}, "neither apt nor dnf"),
        ({"gid_name": "games"}, "the number 7070 is that of the group games"),
        ({"blkid": "TYPE=ntfs\nLABEL=Photos"}, "/dev/vdb holds data: ntfs labelled Photos"),
        ({"lsblk": "{}"}, "/dev/vdb does not exist"),
        ({"lsblk": lsblk(mountpoints=["/home"])}, "it is mounted at /home"),
        ({"lsblk": lsblk(ro=True)}, "/dev/vdb is read-only"),
        ({"lsblk": lsblk(size=1 << 20)}, "/dev/vdb has 1MiB, and the shared files need"),
        ({"lsblk": lsblk(**{"log-sec": 65536})}, "blocks of 65536 bytes"),
        (
            {"lsblk": lsblk(children=[{"name": "vdb1", "type": "part", "mountpoints": [None]}])},
            "vdb1 is made of it",
        ),
    ],
)
async def test_an_unfit_host_is_told_before_any_is_changed(
    cluster: SimulatedCluster, differing: dict[str, object], expected: str
) -> None:
    for key, value in differing.items():
        setattr(cluster.shells["node-2"], key, value)
    said = await cluster.refused("init")
    assert expected in said
    assert "node-2" in said
    assert "nothing was changed" in said
    assert {len(host.seen) for host in cluster.hosts.values()} == {1}


async def test_hosts_with_one_initiator_name_are_refused(cluster: SimulatedCluster) -> None:
    for name in ("node-1", "node-3"):
        cluster.shells[name].initiator = "iqn.1993-08.org.debian:01:twin"
    said = await cluster.refused("init")
    assert "node-1, node-3 have the same iSCSI initiator name" in said


async def test_what_is_wrong_with_several_hosts_is_told_at_once(cluster: SimulatedCluster) -> None:
    cluster.shells["node-1"].python = "3.9"
    cluster.shells["node-3"].free = 0
    said = await cluster.refused("init")
    assert "node-1: its Python" in said
    assert "node-3: /var has" in said


async def test_a_step_that_is_refused_ends_init_with_its_reason(cluster: SimulatedCluster) -> None:
    cluster.shells["node-3"].refuse_step = "target"
    assert "node-3: target: it is refused" in await cluster.refused("init")
    # The others have done their part, and none has gone on to log in to a target that is not there.
    for shell in cluster.shells.values():
        assert not any("peers' logins" in mark for mark in shell.done)


async def test_a_peer_that_can_write_is_found_by_the_doctor(cluster: SimulatedCluster) -> None:
    cluster.shells["node-3"].can_write = True
    said = await cluster.refused("init")
    assert "node-1: line 2, " in said
    assert "node-3" in said
    assert "write-protect the LUN" in said
    cluster.shells["node-3"].can_write = False
    assert "lines 6, 7" in await cluster.done("doctor", "--rounds", "3")


async def test_an_added_host_is_let_in_by_all_others(cluster: SimulatedCluster) -> None:
    whole = cluster.config.read_text()
    before, table, last = whole.rpartition("[[cluster.workers]]")
    cluster.config.write_text(before)
    await cluster.done("init")
    await cluster.done("start")
    assert not cluster.hosts["node-3"].seen
    cluster.config.write_text(before + table + last)
    output = await cluster.done("add", "node-3")
    assert "node-3: start blfs-mr-worker.service: changed" in output
    assert "start blfs-mr-master" not in output
    plan = cluster.shells["node-1"].plan
    assert plan is not None
    assert plan.export is not None
    assert [peer.worker for peer in plan.peers] == ["node-2", "node-3"]
    assert len(plan.export.access) == 3


async def test_a_removed_host_is_let_go_by_all_others(cluster: SimulatedCluster) -> None:
    await cluster.done("init")
    await cluster.done("start")
    output = await cluster.done("remove", "node-3")
    assert "node-3: users and group: changed" in output
    plan = cluster.shells["node-1"].plan
    assert plan is not None
    assert plan.export is not None
    assert [peer.worker for peer in plan.peers] == ["node-2"]
    assert [login.worker for login in plan.logins] == ["node-1", "node-2"]
    assert len(plan.export.access) == 2
    assert cluster.shells["node-3"].program == ""


async def test_a_host_that_is_gone_can_be_removed_without_its_part(cluster: SimulatedCluster) -> None:
    await cluster.done("init")
    cluster.config.write_text(
        cluster.config.read_text().replace(f"ssh_port = {cluster.hosts['node-3'].port}", "ssh_port = 1")
    )
    assert "not all hosts can be reached" in await cluster.refused("remove", "node-3")
    await cluster.done("remove", "node-3", "--gone")
    plan = cluster.shells["node-2"].plan
    assert plan is not None
    assert [peer.worker for peer in plan.peers] == ["node-1"]


async def test_what_cannot_be_added_or_removed_is_told(cluster: SimulatedCluster) -> None:
    assert "no worker node-9" in await cluster.refused("add", "node-9")
    assert "node-1 runs the master" in await cluster.refused("remove", "node-1")


async def test_an_upgrade_restarts_what_runs_an_older_program(
    cluster: SimulatedCluster, tmp_path: Path
) -> None:
    await cluster.done("init")
    await cluster.done("start")
    assert "nothing was changed" in await cluster.done("upgrade")
    (tmp_path / "wheels" / "blfs_mr-0-py3-none-any.whl").write_bytes(b"a newer wheel")
    output = await cluster.done("upgrade")
    assert "node-2: program: changed" in output
    assert cluster.shells["node-1"].restarts == ["blfs-mr-master.service", "blfs-mr-worker.service"]
    assert cluster.shells["node-3"].restarts == ["blfs-mr-worker.service"]


async def test_status_tells_of_the_hosts_that_answer(cluster: SimulatedCluster) -> None:
    await cluster.done("init")
    await cluster.done("start")
    cluster.config.write_text(
        cluster.config.read_text().replace(f"ssh_port = {cluster.hosts['node-3'].port}", "ssh_port = 1")
    )
    result = await cluster.command("status")
    assert "node-2: " in result.output
    assert "node-3 (root@127.0.0.1:1) cannot be reached" in str(result.exception)
