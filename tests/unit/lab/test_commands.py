"""What a lab's plan comes to as files and commands: nothing is run."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from blfs_mr.config import load_config
from blfs_mr.errors import UsageError
from blfs_mr.lab.configuration import master_configuration, worker_configuration
from blfs_mr.lab.initiator import kernel_login, kernel_logout, login_process, new_interface
from blfs_mr.lab.loops import make_loop
from blfs_mr.lab.plan import Attachment, Backend, LabPlan, node_names, pack_state, parse_state
from blfs_mr.lab.sessions import Silences
from blfs_mr.lab.target import export, target_daemon
from blfs_mr.model import VolumeLayout, WorkerName
from blfs_mr.volume.attach import AttachRole

ONE, TWO, THREE = node_names(3)
PLAN = LabPlan(
    folder=Path("/lab"),
    mark="0badcafe",
    backend=Backend.ISCSI,
    layout=VolumeLayout.FILE,
    nodes=(ONE, TWO, THREE),
    shared_files=16,
    shared_file_size=1 << 20,
    slots=1,
    master_port=7070,
    portals=(3261, 3262, 3263),
    in_kernel=False,
    session_timeout=20.0,
)
OWN, PEERS = PLAN.attachment(ONE, ONE), PLAN.attachment(TWO, ONE)


def words(commands: object) -> list[str]:
    return [" ".join(command) for command in commands]  # type: ignore[attr-defined]


def test_owners_attach_before_any_peer_does() -> None:
    roles = [attachment.role for attachment in PLAN.attachments()]
    assert roles == [AttachRole.OWNER] * 3 + [AttachRole.PEER] * 6


@pytest.mark.parametrize("layout", [VolumeLayout.FILE, VolumeLayout.RAW])
@pytest.mark.parametrize("backend", list(Backend))
def test_a_plan_is_the_same_after_it_was_written_and_read(layout: VolumeLayout, backend: Backend) -> None:
    plan = replace(PLAN, layout=layout, backend=backend)
    assert parse_state(pack_state(plan)) == plan


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"folder": "/lab"}'])
def test_what_is_no_state_of_a_lab_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no state of a lab"):
        parse_state(text)


def test_a_disk_holds_its_shared_files_and_the_metadata_of_its_layout() -> None:
    assert replace(PLAN, layout=VolumeLayout.RAW).image_size() == 18 << 20
    assert PLAN.image_size() == 41 << 20


def test_the_owner_writes_its_disk_and_peers_get_a_write_protected_lun() -> None:
    admin = "tgtadm --lld iscsi --op"
    assert words(export(PLAN, ONE)) == [
        f"{admin} new --mode target --tid 1 --targetname iqn.2022-05.127.0.0.1:node-1",
        f"{admin} new --mode logicalunit --tid 1 --lun 1 --backing-store /lab/node-1/disk.image",
        f"{admin} bind --mode target --tid 1 --initiator-name iqn.2022-05.127.0.0.1:node-1.initiator",
        f"{admin} new --mode target --tid 2 --targetname iqn.2022-05.127.0.0.1:node-1.peers",
        f"{admin} new --mode logicalunit --tid 2 --lun 1 --backing-store /lab/node-1/disk.image",
        f"{admin} update --mode logicalunit --tid 2 --lun 1 --params readonly=1",
        f"{admin} bind --mode target --tid 2 --initiator-name iqn.2022-05.127.0.0.1:node-2.initiator",
        f"{admin} bind --mode target --tid 2 --initiator-name iqn.2022-05.127.0.0.1:node-3.initiator",
    ]


def test_a_single_node_has_no_target_for_peers() -> None:
    alone = replace(PLAN, nodes=(ONE,))
    assert not any(".peers" in command for command in words(export(alone, ONE)))


def test_targets_listen_on_loopback_only() -> None:
    assert target_daemon(PLAN, TWO) == ["tgtd", "--foreground", "--iscsi", "portal=127.0.0.1:3262"]


@pytest.mark.parametrize(
    ("attachment", "target", "initiator", "read_only", "writable"),
    [(OWN, "node-1", "node-1", "off", "on"), (PEERS, "node-1.peers", "node-2", "on", "off")],
    ids=["owner", "peer"],
)
def test_a_process_logs_in_by_the_name_of_its_node(
    attachment: Attachment, target: str, initiator: str, read_only: str, writable: str
) -> None:
    command = login_process(PLAN, attachment, Path("/lab/pid"))
    iqn = "iqn.2022-05.127.0.0.1:"
    assert command[command.index("--blockdev") + 1] == (
        f"driver=iscsi,node-name=lun,transport=tcp,portal=127.0.0.1:3261,target={iqn}{target},lun=1,"
        f"initiator-name={iqn}{initiator}.initiator,read-only={read_only}"
    )
    assert command[command.index("--export") + 1] == (
        f"type=fuse,id=export,node-name=lun,mountpoint={attachment.lun},writable={writable}"
    )


def test_a_comma_in_the_folder_ends_no_option() -> None:
    plan = replace(PLAN, folder=Path("/a,b"))
    command = login_process(plan, plan.attachment(ONE, ONE), Path("/pid"))
    assert "mountpoint=/a,,b/node-1/volumes/node-1/lun," in command[-1]


def test_the_kernel_logs_in_by_an_interface_of_the_node_and_leaves_nothing() -> None:
    iqn = "iqn.2022-05.127.0.0.1:"
    interface = "iscsiadm --mode iface --interface lab-0badcafe-node-2"
    assert words(new_interface(PLAN, TWO)) == [
        f"{interface} --op new",
        f"{interface} --op update --name iface.transport_name --value tcp",
        f"{interface} --op update --name iface.initiatorname --value {iqn}node-2.initiator",
    ]
    record = (
        f"iscsiadm --mode node --targetname {iqn}node-1.peers --portal 127.0.0.1:3261 "
        "--interface lab-0badcafe-node-2"
    )
    assert words(kernel_login(PLAN, PEERS)) == [
        f"{record} --op new",
        f"{record} --op update --name node.session.timeo.replacement_timeout --value 20",
        f"{record} --op update --name node.startup --value manual",
        f"{record} --login",
    ]
    assert words(kernel_logout(PLAN, PEERS)) == [f"{record} --logout", f"{record} --op delete"]


def test_only_the_device_of_an_owner_over_an_initiator_process_is_not_direct() -> None:
    loop = replace(PLAN, backend=Backend.LOOP)
    find = "losetup --find --show"
    assert words([make_loop(plan, at) for plan in (PLAN, loop) for at in (OWN, PEERS)]) == [
        f"{find} --direct-io=off {OWN.lun}",
        f"{find} --direct-io=on --read-only {PEERS.lun}",
        f"{find} --direct-io=on /lab/node-1/disk.image",
        f"{find} --direct-io=on --read-only /lab/node-1/disk.image",
    ]


@pytest.mark.parametrize("layout", [VolumeLayout.FILE, VolumeLayout.RAW])
def test_workers_are_configured_with_their_own_volume_and_those_of_all_peers(
    layout: VolumeLayout, tmp_path: Path
) -> None:
    plan = replace(PLAN, layout=layout)
    path = tmp_path / "config.toml"
    path.write_text(worker_configuration(plan, TWO))
    config = load_config(path, {"HOME": "/root"})
    assert config.worker.device == "/lab/node-2/volumes/node-2/device"
    assert [peer.name for peer in config.worker.peers] == [ONE, THREE]
    mounted = layout is VolumeLayout.FILE
    assert config.worker.peers[0].mount == ("/lab/node-2/volumes/node-1/mount" if mounted else "")
    master = tomllib.loads(master_configuration(plan))
    assert master["secret_file"] == str(config.secret_path)
    assert master["master"]["port"] == config.master.port == 7070


def test_sessions_end_when_their_target_was_silent_all_the_time_of_the_timeout() -> None:
    silences = Silences(timeout=5.0)
    node, other = WorkerName("node-1"), WorkerName("node-2")
    assert not silences.is_over(node, False, 0.0)
    assert not silences.is_over(node, False, 4.9)
    assert not silences.is_over(node, True, 5.0)
    assert not silences.is_over(node, False, 6.0)
    assert not silences.is_over(other, False, 11.0)
    assert silences.is_over(node, False, 11.0)
