"""The steps of volumes on real block devices: what is refused, and what goes on after an interruption."""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from blfs_mr.cluster.host import attaching, volumes
from blfs_mr.cluster.host.attaching import attach_all, attach_missing, detach_all
from blfs_mr.cluster.host.leaving import wiped_step
from blfs_mr.cluster.host.system import LocalSystem
from blfs_mr.cluster.host.volumes import format_step, present_superblock
from blfs_mr.cluster.plan import OwnVolume
from blfs_mr.config import Config, load_config
from blfs_mr.errors import VolumeError
from blfs_mr.linux import read_mounts
from blfs_mr.volume.devices import contents, is_device_read_only
from blfs_mr.volume.geometry import format_shared_files, uniform_files
from tests.block.disks import FILES, KINDS, OWNER, SIZE, Disk, a_disk, tool

pytestmark = pytest.mark.root


@dataclass
class Bare:
    """A disk on which nothing is written, and the file that remembers a format that was begun."""

    disk: Disk
    marker: Path

    @property
    def own(self) -> OwnVolume:
        return OwnVolume(
            device=self.disk.owner,
            mount=self.disk.own.root,
            layout="raw" if self.disk.kind == "raw" else "file",
            file_system="xfs" if self.disk.kind == "xfs" else "ext4",
            shared_files=format_shared_files(uniform_files(FILES, SIZE)),
        )

    def formatted(self) -> bool:
        return format_step(OWNER, self.own).apply(LocalSystem())


@pytest.fixture(params=KINDS)
def bare(
    request: pytest.FixtureRequest, tmp_path: Path, loops: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bare]:
    marker = tmp_path / "formatting"
    monkeypatch.setattr(volumes, "FORMATTING_FILE", str(marker))
    with a_disk(tmp_path / "disk", request.param) as disk:
        yield Bare(disk, marker)


def test_a_device_is_formatted_once(bare: Bare) -> None:
    assert bare.formatted()
    assert not bare.formatted()
    assert not bare.marker.exists()
    found = present_superblock(bare.disk.peer)
    assert found is not None
    assert found.owner == OWNER


def test_a_format_that_was_cut_short_is_begun_anew(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_short(*arguments: object) -> None:
        # As if a kernel had gone down between making a file system and completing the volume.
        tool("mkfs.ext4", "-q", "-F", bare.disk.owner)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(volumes, "format_volume", cut_short)
        with pytest.raises(KeyboardInterrupt):
            bare.formatted()
    assert bare.formatted()
    assert not bare.formatted()


def test_foreign_data_is_left_alone(bare: Bare) -> None:
    tool("mkfs.ext4", "-q", "-F", "-L", "Photos", bare.disk.owner)
    with pytest.raises(VolumeError, match="holds data: ext4 labelled Photos"):
        bare.formatted()
    assert "Photos" in contents(bare.disk.owner)


def test_the_volume_of_another_worker_is_left_alone(bare: Bare) -> None:
    bare.formatted()
    with pytest.raises(VolumeError, match=f"is the volume of {OWNER}, not of beta"):
        format_step("beta", bare.own).apply(LocalSystem())
    with pytest.raises(VolumeError, match="it is left as it is"):
        wiped_step("beta", bare.disk.owner).apply(LocalSystem())
    assert present_superblock(bare.disk.owner) is not None


def test_a_volume_in_another_layout_is_left_alone(bare: Bare) -> None:
    bare.formatted()
    other = bare.own.model_copy(update={"layout": "file" if bare.own.layout == "raw" else "raw"})
    with pytest.raises(VolumeError, match=r"is a volume in the layout"):
        format_step(OWNER, other).apply(LocalSystem())


def test_a_wiped_volume_can_be_formatted_again(bare: Bare) -> None:
    bare.formatted()
    assert wiped_step(OWNER, bare.disk.owner).apply(LocalSystem())
    assert not wiped_step(OWNER, bare.disk.owner).apply(LocalSystem())
    assert bare.formatted()


def host_config(disk: Disk, folder: Path, peer: str) -> Config:
    mount = f'volume = "{disk.mount}"' if disk.kind != "raw" else ""
    peer_mount = f'mount = "{disk.peer_mount}"' if disk.kind != "raw" else ""
    layout = "raw" if disk.kind == "raw" else "file"
    path = folder / "host.toml"
    path.write_text(
        f'[worker]\nlayout = "{layout}"\ndevice = "{disk.owner}"\n{mount}\n'
        f'[[worker.peers]]\nname = "beta"\ndevice = "{peer}"\n{peer_mount}\n'
    )
    return load_config(path, {})


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> int:
    # A group that every system has, in place of the one that init makes.
    found = grp.getgrgid(os.getgid())
    monkeypatch.setattr(attaching, "VOLUME_GROUP", found.gr_name)
    return found.gr_gid


def test_own_and_peers_volumes_are_attached_and_detached(disk: Disk, tmp_path: Path, group: int) -> None:
    config, told = host_config(disk, tmp_path, disk.peer), []
    for _ in range(2):
        attach_all(config, OWNER, told.append)
    assert is_device_read_only(disk.peer)
    assert (os.stat(disk.owner).st_mode & 0o777, os.stat(disk.peer).st_mode & 0o777) == (0o660, 0o440)
    for _ in range(2):
        detach_all(config, OWNER, told.append)
    devices = {os.stat(path).st_rdev for path in (disk.owner, disk.peer)}
    assert not [mount for mount in read_mounts() if mount.device in devices]


def test_a_peer_that_is_missing_is_left_out(
    disk: Disk, tmp_path: Path, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attaching, "PEER_DEADLINE", 0.1)
    told: list[str] = []
    attach_all(host_config(disk, tmp_path, "/dev/absent"), OWNER, told.append)
    assert told[-1].startswith("the volume of beta is left out: /dev/absent is missing")


def test_a_peer_that_was_missing_is_attached_when_it_comes_and_touched_no_more(
    disk: Disk, tmp_path: Path, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attaching, "PEER_DEADLINE", 0.1)
    # A node of its own, as udev makes one for a LUN that comes.
    node = tmp_path / "lun"
    config, told = host_config(disk, tmp_path, str(node)), list[str]()
    attach_all(config, OWNER, told.append)
    attach_missing(config, OWNER, told.append)
    assert told[-1].startswith(f"the volume of beta is left out: {node} is missing")
    os.mknod(node, 0o600 | stat.S_IFBLK, os.stat(disk.peer).st_rdev)
    os.chown(node, 65534, 65534)
    told.clear()
    attach_missing(config, OWNER, told.append)
    assert len(told) == 1
    assert f"of {OWNER}" in told[0]
    assert is_device_read_only(disk.peer)
    assert (os.stat(node).st_mode & 0o777, os.stat(node).st_gid) == (0o440, group)
    attach_missing(config, OWNER, told.append)
    assert len(told) == 1, "it is attached already"
    detach_all(config, OWNER, told.append)


def test_an_own_device_that_is_missing_is_an_error(
    disk: Disk, tmp_path: Path, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attaching, "OWN_DEADLINE", 0.1)
    config = host_config(disk, tmp_path, disk.peer)
    worker = config.worker.model_copy(update={"device": "/dev/absent"})
    with pytest.raises(VolumeError, match="/dev/absent is missing"):
        attach_all(config.model_copy(update={"worker": worker}), OWNER, print)


def test_a_lun_that_its_target_does_not_protect_is_refused(
    disk: Disk, tmp_path: Path, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Which devices have come by a login of ours is told by their path, which a loop device's is not.
    monkeypatch.setattr(attaching, "is_iscsi", lambda device: device == disk.peer)
    told: list[str] = []
    attach_all(host_config(disk, tmp_path, disk.peer), OWNER, told.append)
    assert "does not write-protect it" in told[-1]
    assert not is_device_read_only(disk.peer)
