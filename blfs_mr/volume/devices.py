"""What a block device is fit for and what it holds: asked before anything is done to it."""

from __future__ import annotations

import enum
import errno
import os
import subprocess

from blfs_mr.errors import UsageError, VolumeError
from blfs_mr.linux import (
    PAGE,
    Mount,
    device_holders,
    device_number,
    is_read_only,
    logical_block_size,
    read_mounts,
    swap_devices,
)
from blfs_mr.volume.superblock import MAGIC
from blfs_mr.volume.superblock_pages import read_pages

_EXT_MAGIC_AT, _EXT_MAGIC = 1024 + 56, b"\x53\xef"
_XFS_MAGIC = b"XFSB"


class FileSystem(enum.StrEnum):
    """The file systems of the file layout: both map files to extents and overwrite them in place."""

    EXT4 = "ext4"
    XFS = "xfs"


READ_ONLY_OPTIONS = {
    FileSystem.EXT4: ("ro", "noload"),
    # The id of the file system is known already where owner and peer share a host.
    FileSystem.XFS: ("ro", "norecovery", "nouuid"),
}
"""How a peer mounts: nothing is replayed, for a replay would write to the owner's disk."""

NO_REPLAY = frozenset({"noload", "norecovery"})
"""How the kernel shows that the journal was not replayed: ext4 has two names for it."""


def block_device(device: str) -> int:
    """The number of a block device that can hold a volume.

    Raises VolumeError where there is none, or one whose blocks are larger than a page of the format.
    """
    try:
        number = device_number(device)
        fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise VolumeError(
                f"{device} does not exist: is this host logged in to its target (`iscsiadm -m session -P 3`)?"
            ) from error
        if error.errno == errno.ENOTBLK:
            raise VolumeError(f"{device} is no block device") from error
        raise
    try:
        if logical_block_size(fd) > PAGE:
            raise VolumeError(
                f"{device} has logical blocks of {logical_block_size(fd)} bytes, and a volume is read in "
                f"pages of {PAGE}: present it with blocks of {PAGE} bytes or less"
            )
    finally:
        os.close(fd)
    return number


def is_device_read_only(device: str) -> bool:
    """Whether the kernel refuses writes to ``device``. Raises OSError."""
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return is_read_only(fd)
    finally:
        os.close(fd)


def mounts_of(number: int) -> list[Mount]:
    """Where a block device is mounted."""
    return [mount for mount in read_mounts() if mount.device == number]


def mount_at(point: str) -> Mount | None:
    """What is mounted at ``point``: the last one, where several are."""
    real = os.path.realpath(point)
    return next((mount for mount in reversed(read_mounts()) if mount.point == real), None)


def why_in_use(device: str) -> str:
    """What uses ``device`` so that it must not be formatted; empty for nothing. Raises OSError."""
    number = device_number(device)
    if mounts := mounts_of(number):
        return f"it is mounted at {mounts[0].point}: unmount it"
    if holders := device_holders(number):
        return f"{', '.join(sorted(holders))} of this host is made of it"
    if any(_same_device(path, number) for path in swap_devices()):
        return "it is swap of this host: `swapoff` it"
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return "a process of this host holds it exclusively: stop it (a worker that runs?)"
        raise
    return ""


def contents(device: str) -> str:
    """What ``device`` holds, as blkid(8) names it; empty where it finds nothing it knows.

    Raises UsageError where blkid is not installed.
    """
    if read_pages(device, 0, 1).startswith(MAGIC):
        return "a volume of blfs-mr in the raw layout"
    command = ["blkid", "-p", "-o", "export", device]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise UsageError(
            "blkid is not installed (package util-linux): it tells what a device holds"
        ) from error
    found = dict(line.split("=", 1) for line in ran.stdout.splitlines() if "=" in line)
    if kind := found.get("TYPE") or found.get("PTTYPE"):
        return f"{kind}{' labelled ' + found['LABEL'] if 'LABEL' in found else ''}"
    # 2 is nothing found; 8 is contradictory findings (blkid(8)).
    return "" if ran.returncode == 2 else "signatures that blkid finds contradictory"


def file_system_of(device: str) -> FileSystem | None:
    """The file system on ``device`` where it is one of ours to mount. Read directly; raises OSError."""
    page = read_pages(device, 0, 1)
    if page.startswith(_XFS_MAGIC):
        return FileSystem.XFS
    if page[_EXT_MAGIC_AT : _EXT_MAGIC_AT + 2] == _EXT_MAGIC:
        return FileSystem.EXT4
    return None


def is_raw_volume(device: str) -> bool:
    """Whether ``device`` begins as a volume in the raw layout does. Read directly; raises OSError."""
    return read_pages(device, 0, 1).startswith(MAGIC)


def _same_device(path: str, number: int) -> bool:
    try:
        return device_number(path) == number
    except OSError:
        return False
