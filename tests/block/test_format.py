"""Formatting: what it refuses to destroy, that every byte is written, and that half of it is no volume."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from blfs_mr.errors import UsageError, VolumeError
from blfs_mr.model import VolumeLayout
from blfs_mr.volume import devices, format
from blfs_mr.volume.attach import AttachRole, attach
from blfs_mr.volume.format import FormatPlan, format_volume
from blfs_mr.volume.geometry import NamedFile
from blfs_mr.volume.superblock_pages import read_superblock
from blfs_mr.volume.verify import verify_volume
from tests.block.disks import FILES, OWNER, SIZE, Disk, tool

pytestmark = pytest.mark.root


def test_every_byte_is_written_and_found_by_a_peer(attached: Disk) -> None:
    told: list[int] = []
    result = verify_volume(attached.peers, told.append)
    assert result.findings == []
    assert (result.blank, result.written, sum(told)) == (FILES, 0, FILES * SIZE)


def test_progress_tells_of_each_byte_twice(raw: Disk) -> None:
    told: list[int] = []
    format_volume(raw.plan(), told.append)
    assert sum(told) == 2 * FILES * SIZE


def test_nothing_stays_mounted_and_the_device_stays_writable(disk: Disk) -> None:
    assert disk.mounts() == []
    assert not devices.is_device_read_only(disk.owner)
    assert devices.why_in_use(disk.owner) == ""


def test_shared_files_can_have_names_and_sizes_of_their_own(disk: Disk) -> None:
    listed = (NamedFile("shfile00", 2 << 20), NamedFile("shfile01", 8192))
    plan = disk.plan(force=True)
    format_volume(FormatPlan(plan.device, plan.layout, plan.owner, listed, plan.file_system, True))
    attach(disk.peer, disk.peers.root, AttachRole.PEER)
    superblock, entries = read_superblock(disk.peers.place)
    assert [NamedFile(entry.name, entry.size) for entry in entries] == list(listed)
    assert superblock.owner == OWNER


class TestADeviceInUseIsRefused:
    def test_a_mounted_one(self, files: Disk) -> None:
        with pytest.raises(VolumeError, match=f"is mounted at {files.mount}"):
            format_volume(files.plan(force=True))

    def test_one_that_a_process_holds(self, raw: Disk) -> None:
        fd = os.open(raw.owner, os.O_RDONLY | os.O_EXCL)
        try:
            with pytest.raises(VolumeError, match="holds it exclusively"):
                format_volume(raw.plan())
        finally:
            os.close(fd)

    def test_one_that_another_device_is_made_of(self, raw: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(devices, "device_holders", lambda number: ["dm-3"])
        with pytest.raises(VolumeError, match="dm-3 of this host is made of it"):
            format_volume(raw.plan())

    def test_swap(self, raw: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(devices, "swap_devices", lambda: ["/nowhere", raw.owner])
        with pytest.raises(VolumeError, match="swapoff"):
            format_volume(raw.plan())

    def test_a_read_only_one(self, raw: Disk) -> None:
        tool("blockdev", "--setro", raw.owner)
        with pytest.raises(VolumeError, match="is read-only: format it on its owner's host"):
            format_volume(raw.plan())

    def test_one_with_larger_blocks_than_a_page(self, raw: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(devices, "logical_block_size", lambda fd: 16384)
        with pytest.raises(VolumeError, match="logical blocks of 16384 bytes"):
            format_volume(raw.plan())


class TestDataIsNotDestroyedUnasked:
    def test_a_file_system(self, raw: Disk) -> None:
        tool("mkfs.ext4", "-q", raw.owner)
        before = raw.image.read_bytes()
        with pytest.raises(VolumeError, match="holds ext4: --force destroys it"):
            format_volume(raw.plan())
        assert raw.image.read_bytes() == before

    def test_a_volume(self, disk: Disk) -> None:
        with pytest.raises(VolumeError, match="--force destroys it"):
            format_volume(disk.plan())
        attach(disk.peer, disk.peers.root, AttachRole.PEER)
        assert verify_volume(disk.peers).findings == []

    def test_a_partition_table(self, raw: Disk) -> None:
        with raw.image.open("r+b") as file:
            file.seek(446)
            file.write(bytes([0, 0, 2, 0, 0x83, 0, 2, 0]) + (8).to_bytes(4, "little") * 2)
            file.seek(510)
            file.write(b"\x55\xaa")
        with pytest.raises(VolumeError, match="holds dos"):
            format_volume(raw.plan())

    def test_with_force_one_layout_replaces_the_other(self, ext4: Disk) -> None:
        ext4.format()
        bare = FormatPlan(ext4.owner, VolumeLayout.RAW, OWNER, ext4.plan().files, force=True)
        format_volume(bare)
        assert devices.is_raw_volume(ext4.owner)
        assert devices.file_system_of(ext4.owner) is None
        ext4.format()
        assert not devices.is_raw_volume(ext4.owner)
        assert devices.file_system_of(ext4.owner) == "ext4"


class TestADeviceThatIsTooSmall:
    def test_is_refused_with_figures_before_anything_is_destroyed(self, raw: Disk) -> None:
        tool("mkfs.ext4", "-q", raw.owner)
        with pytest.raises(
            VolumeError, match="has 8MiB for data, and 4 shared files of together 8MiB need 9MiB"
        ):
            format_volume(raw.plan(force=True, count=4, size=2 << 20))
        assert devices.file_system_of(raw.owner) == "ext4"

    def test_is_refused_when_it_is_the_file_system_that_leaves_too_little(self, ext4: Disk) -> None:
        with pytest.raises(VolumeError, match=r"too small: it has .* and 11 shared files of together 44MiB"):
            format_volume(ext4.plan(count=11, size=4 << 20))
        assert ext4.mounts() == []


class TestHalfAFormat:
    @pytest.fixture(params=["write_blanks", "check_blanks"])
    def broken_off(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*arguments: object) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(format, request.param, fail)

    def test_is_named_and_never_used(self, disk: Disk, broken_off: None) -> None:
        with pytest.raises(OSError, match="Input/output"):
            format_volume(disk.plan(force=True))
        assert disk.mounts() == []
        for role, device, root in (
            (AttachRole.OWNER, disk.owner, disk.own.root),
            (AttachRole.PEER, disk.peer, disk.peers.root),
        ):
            with pytest.raises(VolumeError, match="begun and not finished"):
                attach(device, root, role)
        assert disk.mounts() == []

    def test_is_named_after_a_kill_too(self, raw: Disk) -> None:
        program = (
            "import os, sys; from blfs_mr.volume import format\n"
            "format.check_blanks = lambda *a: os.kill(os.getpid(), 9)\n"
            "from blfs_mr.volume.geometry import uniform_files\n"
            f"format.format_volume(format.FormatPlan({raw.owner!r}, format.VolumeLayout.RAW, 'alpha', "
            "uniform_files(2, 8192)))"
        )
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
        with pytest.raises(VolumeError, match="begun and not finished"):
            read_superblock(raw.owner)


def test_a_file_system_that_keeps_extents_unwritten_is_refused(
    ext4: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(format, "write_blanks", lambda *arguments: None)
    with pytest.raises(VolumeError, match="allocated but were never written"):
        format_volume(ext4.plan())


def test_a_device_that_gives_other_bytes_back_is_refused(raw: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    check: Callable[..., None] = format.check_blanks

    def after_damage(fd: int, offset: int, *rest: object) -> None:
        with raw.image.open("r+b") as file:
            file.seek(offset + 12345)
            file.write(b"?")
        check(fd, offset, *rest)

    monkeypatch.setattr(format, "check_blanks", after_damage)
    with pytest.raises(VolumeError, match="reads otherwise than it was written"):
        format_volume(raw.plan())


@pytest.mark.parametrize("owner", ["", "x" * 65])
def test_an_owner_that_can_be_no_worker_is_refused(raw: Disk, owner: str) -> None:
    plan = raw.plan()
    with pytest.raises(UsageError, match="worker's name"):
        format_volume(FormatPlan(plan.device, plan.layout, owner, plan.files))  # type: ignore[arg-type]
