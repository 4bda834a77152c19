"""Attaching: a peer is protected before it mounts and writes nothing, and doing it again is harmless."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from blfs_mr.errors import UsageError, VolumeError
from blfs_mr.linux import read_mounts
from blfs_mr.volume import attach as attaching
from blfs_mr.volume.attach import AttachRole, attach, detach
from blfs_mr.volume.devices import is_device_read_only
from tests.block.disks import Disk, tool

pytestmark = pytest.mark.root


def mounted(device: str) -> list[str]:
    return [mount.point for mount in read_mounts() if mount.device == os.stat(device).st_rdev]


@pytest.mark.parametrize("role", AttachRole)
def test_attaching_and_detaching_twice_is_as_once(disk: Disk, role: AttachRole) -> None:
    place = disk.own if role is AttachRole.OWNER else disk.peers
    attach(place.device, place.root, role)
    before = mounted(place.device)
    attach(place.device, place.root, role)
    assert mounted(place.device) == before == ([place.root] if place.root else [])
    detach(place.device, place.root)
    detach(place.device, place.root)
    assert mounted(place.device) == []


def test_a_peer_is_protected_before_anything_mounts_it(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    protected: list[bool] = []
    run = attaching.run_tool

    def look_first(command: list[str]) -> None:
        protected.append(is_device_read_only(disk.peer))
        run(command)

    monkeypatch.setattr(attaching, "run_tool", look_first)
    attach(disk.peer, disk.peers.root, AttachRole.PEER)
    assert protected == ([] if disk.kind == "raw" else [True])
    assert is_device_read_only(disk.peer)
    with pytest.raises(OSError, match=r"not permitted|Read-only"):
        Path(disk.peer).write_bytes(bytes(4096))


def test_a_peer_writes_nothing_even_with_an_orphan_inode_on_disk(files: Disk) -> None:
    path = Path(files.mount, "orphan")
    with path.open("wb") as file:
        file.write(bytes(1 << 20))
        path.unlink()
        tool("sync", "-f", files.mount)
        attach(files.peer, files.peer_mount, AttachRole.PEER)
        detach(files.peer, files.peer_mount)
    assert files.sectors_that_the_peer_wrote() == 0


def test_a_peer_stays_protected_after_detaching(attached: Disk) -> None:
    detach(attached.peer, attached.peers.root)
    assert is_device_read_only(attached.peer)


def test_an_owner_is_refused_a_read_only_device(disk: Disk) -> None:
    tool("blockdev", "--setro", disk.owner)
    with pytest.raises(VolumeError, match=r"is read-only, and an owner writes: .*blockdev --setrw"):
        attach(disk.owner, disk.own.root, AttachRole.OWNER)


def test_a_peer_is_refused_a_device_that_is_mounted_for_writing(files: Disk) -> None:
    with pytest.raises(VolumeError, match="is mounted read-write at"):
        attach(files.owner, files.mount, AttachRole.PEER)
    assert not is_device_read_only(files.owner)


def test_an_owner_is_refused_a_mount_as_for_peers(files: Disk) -> None:
    attach(files.peer, files.peer_mount, AttachRole.PEER)
    tool("blockdev", "--setrw", files.peer)
    with pytest.raises(VolumeError, match="but not as for owners"):
        attach(files.peer, files.peer_mount, AttachRole.OWNER)


def test_a_plain_read_only_mount_is_no_peer_s(files: Disk) -> None:
    detach(files.owner, files.mount)
    tool("blockdev", "--setro", files.peer)
    tool("mount", "-o", "ro", files.peer, files.peer_mount)
    with pytest.raises(VolumeError, match="but not as for peers"):
        attach(files.peer, files.peer_mount, AttachRole.PEER)


def test_a_device_is_attached_in_one_place(files: Disk, tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match=f"is mounted at {files.mount}: unmount it there first"):
        attach(files.owner, str(tmp_path / "elsewhere"), AttachRole.OWNER)


def test_a_folder_with_files_is_not_hidden_by_a_mount(ext4: Disk) -> None:
    ext4.format()
    Path(ext4.mount, "precious").touch()
    with pytest.raises(VolumeError, match="is not empty"):
        attach(ext4.owner, ext4.mount, AttachRole.OWNER)


def test_another_device_at_the_mount_point_stays_there(files: Disk, ext4: Disk) -> None:
    ext4.format()
    for refused in (
        lambda: attach(ext4.owner, files.mount, AttachRole.OWNER),
        lambda: detach(ext4.owner, files.mount),
    ):
        with pytest.raises(VolumeError, match="another device"):
            refused()
    assert mounted(files.owner) == [files.mount]


def test_a_foreign_file_system_is_unmounted_again(ext4: Disk) -> None:
    tool("mkfs.ext4", "-q", ext4.owner)
    with pytest.raises(VolumeError, match="does not exist"):
        attach(ext4.owner, ext4.mount, AttachRole.OWNER)
    assert mounted(ext4.owner) == []


def test_a_busy_volume_is_not_detached(files: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attaching, "BUSY_DEADLINE", 0.0)
    with open(f"{files.mount}/shared-00000", "rb"), pytest.raises(VolumeError, match="busy"):
        detach(files.owner, files.mount)
    assert mounted(files.owner) == [files.mount]


def test_a_mount_point_is_for_the_file_layout(raw: Disk, ext4: Disk) -> None:
    raw.format()
    ext4.format()
    with pytest.raises(UsageError, match="which nobody mounts"):
        attach(raw.owner, raw.mount, AttachRole.OWNER)
    with pytest.raises(UsageError, match="name the folder"):
        attach(ext4.owner, "", AttachRole.OWNER)


def test_an_empty_device_is_no_volume(ext4: Disk) -> None:
    with pytest.raises(VolumeError, match="holds no volume of ours"):
        attach(ext4.owner, ext4.mount, AttachRole.OWNER)
