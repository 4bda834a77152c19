"""Attaches a volume's device to this host, as its owner or as a peer, and detaches it again.

The order is the point. A peer's device is made read-only before anything mounts it: with an orphan inode on
disk even a mount without replay writes. What the kernel has cached of the device is dropped before each
mount, since it may stem from before the volume was formatted. Needs root.
"""

from __future__ import annotations

import enum
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from tempfile import mkdtemp

from blfs_mr.errors import UsageError, VolumeError
from blfs_mr.linux import Mount, drop_device_cache, set_read_only
from blfs_mr.model import VolumeLayout
from blfs_mr.volume.devices import (
    NO_REPLAY,
    READ_ONLY_OPTIONS,
    FileSystem,
    block_device,
    file_system_of,
    is_device_read_only,
    is_raw_volume,
    mount_at,
    mounts_of,
)
from blfs_mr.volume.superblock import NO_CLAIM
from blfs_mr.volume.superblock_pages import read_claim, read_superblock, superblock_place, write_claim

_SAFE = ("noatime", "nosuid", "nodev", "noexec")
"""Nothing on a volume is ever run, and reading must not change an inode."""

BUSY_DEADLINE = 5.0
"""Seconds that unmounting waits for others: programs that watch mounts look into each new one at once."""


class AttachRole(enum.StrEnum):
    """What this host is to a volume."""

    OWNER = "owner"
    PEER = "peer"


def attach(device: str, mount: str, role: AttachRole, *, take_over: bool = False) -> str:
    """Make the volume on ``device`` usable here; return what was done, in words.

    ``mount`` is a folder, made where it is missing, and empty for a raw volume. Doing it again changes
    nothing. With ``take_over`` the claim of an owner that is gone for good is ended. Raises VolumeError with
    the remedy, UsageError, or OSError.
    """
    number = block_device(device)
    raw = is_raw_volume(device)
    if raw and mount:
        raise UsageError(f"{device} is a raw volume, which nobody mounts: leave --mount out")
    if not raw and not mount:
        raise UsageError(f"{device} is no raw volume: name the folder to mount it at (--mount)")
    if role is AttachRole.PEER:
        _protect(device, number)
    elif is_device_read_only(device):
        raise VolumeError(
            f"{device} is read-only, and an owner writes: if this host is its owner, make it writable "
            f"(`blockdev --setrw {device}`; at the target, write_protect=0)"
        )
    if raw:
        done = f"{device} is a raw volume: nothing to mount"
    else:
        done = _mount_volume(device, number, mount, role)
    layout = VolumeLayout.RAW if raw else VolumeLayout.FILE
    place = superblock_place(layout, mount, device)
    superblock, _ = read_superblock(place)
    if take_over and role is AttachRole.OWNER:
        found = read_claim(place, superblock.volume)
        write_claim(place, superblock.volume, NO_CLAIM)
        done += f"; the claim of {found.host or 'nobody'} is ended"
    return f"{done}; volume {superblock.volume} of {superblock.owner}"


def detach(device: str, mount: str) -> str:
    """Unmount ``device`` from ``mount``; return what was done. Doing it again changes nothing.

    A peer's device stays read-only: a moment in which it can be written helps nobody. Raises VolumeError.
    """
    if not mount:
        return f"{device}: a raw volume is not mounted, nothing to do"
    found = mount_at(mount)
    if found is None:
        return f"{mount}: nothing is mounted there"
    if found.device != block_device(device):
        raise VolumeError(f"another device than {device} is mounted at {mount}; it stays there")
    unmount(mount)
    return f"{device} is unmounted from {mount}"


def mount_file_system(device: str, point: str, file_system: FileSystem, *, read_only: bool = False) -> None:
    """Mount ``device``, as a peer where ``read_only``. Raises VolumeError with what mount(8) said."""
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        drop_device_cache(fd)
    finally:
        os.close(fd)
    ours = READ_ONLY_OPTIONS[file_system] if read_only else ("rw", "nodiscard")
    if file_system is FileSystem.XFS and not read_only:
        ours = ("rw",)
    run_tool(["mount", "-t", file_system.value, "-o", ",".join((*ours, *_SAFE)), device, point])


def unmount(point: str) -> None:
    """Unmount what is mounted at ``point``. Raises VolumeError, after BUSY_DEADLINE where it is in use."""
    deadline = time.monotonic() + BUSY_DEADLINE
    while True:
        try:
            return run_tool(["umount", point])
        except VolumeError as error:
            if "busy" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


@contextmanager
def mounted_privately(device: str, file_system: FileSystem, *, read_only: bool = False) -> Iterator[str]:
    """``device`` mounted at a folder of our own for as long as the context lasts."""
    point = mkdtemp(prefix="blfs-mr-volume-")
    try:
        mount_file_system(device, point, file_system, read_only=read_only)
        try:
            yield point
        finally:
            unmount(point)
    finally:
        # What can be left is an empty folder, which is no reason for a whole format to fail.
        with suppress(OSError):
            os.rmdir(point)


@contextmanager
def read_only_device(device: str) -> Iterator[None]:
    """``device`` read-only for as long as the context lasts. Needs CAP_SYS_ADMIN; raises OSError."""
    before = is_device_read_only(device)
    _set_read_only(device, True)
    try:
        yield
    finally:
        _set_read_only(device, before)


def run_tool(command: Sequence[str]) -> None:
    """Run a program of the system to its end. Raises VolumeError with what it said, UsageError without it."""
    try:
        ran = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=os.environ | {"LC_ALL": "C"},
            check=False,
        )
    except FileNotFoundError as error:
        raise UsageError(f"{command[0]} is not installed, and this needs it") from error
    if ran.returncode != 0:
        said = " ".join((ran.stderr or ran.stdout).split()) or f"exit code {ran.returncode}"
        raise VolumeError(f"`{' '.join(command)}` failed: {said}")


def _protect(device: str, number: int) -> None:
    if writing := [mount for mount in mounts_of(number) if "rw" in mount.options]:
        raise VolumeError(
            f"{device} is mounted read-write at {writing[0].point}, and a peer never writes: detach it first "
            "(and if this host is the owner, attach it with --role owner)"
        )
    _set_read_only(device, True)
    if not is_device_read_only(device):
        raise VolumeError(
            f"{device} stays writable: its driver ignores BLKROSET; write-protect it at the target"
        )


def _mount_volume(device: str, number: int, point: str, role: AttachRole) -> str:
    file_system = file_system_of(device)
    if file_system is None:
        raise VolumeError(f"{device} holds no volume of ours: make one with `blfs-mr volume format`")
    peer = role is AttachRole.PEER
    present = mount_at(point)
    if present is not None:
        if present.device != number:
            raise VolumeError(f"another device than {device} is mounted at {point}: choose another folder")
        if not _fits(present, peer):
            raise VolumeError(
                f"{device} is mounted at {point}, but not as for {role.value}s "
                f"({','.join(sorted(present.options))}): unmount it and attach it again"
            )
        return f"{device} is attached at {point} already"
    if elsewhere := mounts_of(number):
        raise VolumeError(f"{device} is mounted at {elsewhere[0].point}: unmount it there first")
    os.makedirs(point, mode=0o755, exist_ok=True)
    if os.listdir(point):
        raise VolumeError(f"{point} is not empty, and a mount would hide what is in it")
    mount_file_system(device, point, file_system, read_only=peer)
    try:
        read_superblock(superblock_place(VolumeLayout.FILE, point, device))
    except BaseException:
        unmount(point)
        raise
    return f"{device} is attached at {point} as {role.value}"


def _fits(mount: Mount, peer: bool) -> bool:
    if peer:
        return "ro" in mount.options and bool(mount.options & NO_REPLAY)
    return "rw" in mount.options


def _set_read_only(device: str, read_only: bool) -> None:
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        set_read_only(fd, read_only)
    finally:
        os.close(fd)
