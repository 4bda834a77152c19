"""What the kernel says of block devices, extents and mounts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from blfs_mr import linux
from tests.block.disks import Disk, tool


@pytest.mark.root
def test_a_device_tells_its_size_blocks_and_protection(raw: Disk) -> None:
    fd = os.open(raw.owner, os.O_RDONLY)
    assert linux.device_size(fd) == raw.image.stat().st_size
    assert linux.logical_block_size(fd) == 512
    for read_only in (True, False):
        linux.set_read_only(fd, read_only)
        assert linux.is_read_only(fd) is read_only
    os.close(fd)


@pytest.mark.root
def test_a_device_is_named_by_its_number(raw: Disk) -> None:
    assert linux.device_path(linux.device_number(raw.owner)) == raw.owner
    assert linux.device_path(os.makedev(4095, 1)) == ""
    assert linux.device_holders(linux.device_number(raw.owner)) == []


@pytest.mark.root
def test_a_dropped_cache_is_read_anew(raw: Disk, kept_caches: None) -> None:
    fd = os.open(raw.peer, os.O_RDONLY)
    assert os.pread(fd, 4, 0) == bytes(4)
    with raw.image.open("r+b") as file:
        file.write(b"new!")
        file.flush()
        os.fsync(file.fileno())
    assert os.pread(fd, 4, 0) == bytes(4), "this cache is coherent: a weak test"
    linux.drop_device_cache(fd)
    assert os.pread(fd, 4, 0) == b"new!"
    os.close(fd)


@pytest.mark.root
def test_a_mount_is_read_with_its_options_and_a_blank_in_its_path(ext4: Disk) -> None:
    ext4.format()
    point = Path(ext4.mount, "with blank\\")
    point.mkdir()
    tool("mount", "-o", "ro,noload,noexec", ext4.owner, str(point))
    (mount,) = [m for m in linux.read_mounts() if m.device == linux.device_number(ext4.owner)]
    assert (mount.point, mount.kind) == (str(point), "ext4")
    assert {"ro", "noexec", "norecovery"} <= mount.options
    assert "rw" not in mount.options


@pytest.mark.root
def test_a_file_system_has_one_uuid_wherever_it_is_mounted(files: Disk, tmp_path: Path) -> None:
    uuid = linux.file_system_uuid(files.mount)
    assert uuid.hex() == tool("blkid", "-p", "-s", "UUID", "-o", "value", files.owner).replace("-", "")
    tool(
        "mount",
        "-o",
        "ro,noload" if files.kind == "ext4" else "ro,norecovery,nouuid",
        files.peer,
        files.peer_mount,
    )
    assert linux.file_system_uuid(files.peer_mount) == uuid


def test_a_file_system_that_has_no_uuid_to_tell(tmp_path: Path) -> None:
    assert linux.file_system_uuid("/proc") == b""


@pytest.mark.root
def test_a_file_in_many_pieces_has_all_of_them_in_its_map(ext4: Disk) -> None:
    ext4.format()
    tool("mount", ext4.owner, ext4.mount)
    path = Path(ext4.mount, "pieces")
    with path.open("wb") as file:
        for piece in range(300):
            os.pwrite(file.fileno(), bytes(4096), piece * 8192)
        os.fsync(file.fileno())
        extents = linux.file_extents(file.fileno())
    assert [extent.logical for extent in extents] == [piece * 8192 for piece in range(300)]
    assert extents[-1].flags & linux.EXTENT_LAST
    assert not any(extent.flags & linux.EXTENT_LAST for extent in extents[:-1])


def test_a_file_is_no_block_device(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Block device required"):
        linux.device_number(str(tmp_path))


def test_a_process_has_a_start_until_it_is_gone() -> None:
    assert linux.process_start(os.getpid()) > linux.process_start(1) >= 0
    assert linux.process_start(2**22 + 1) == 0
