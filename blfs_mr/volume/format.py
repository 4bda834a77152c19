"""Makes a block device a volume: superblock, table and shared files, every byte of them written.

A format that is cut short must never pass for a volume, so the superblock says *formatting* until all was
read back directly, after an unmount, and the device was flushed. Nothing is formatted over that this host
uses, and nothing that holds data without ``force``. Needs root.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from blfs_mr.errors import UsageError, VolumeError
from blfs_mr.linux import PAGE, device_size, drop_device_cache, open_direct
from blfs_mr.model import VolumeId, VolumeLayout, WorkerName
from blfs_mr.units import format_size
from blfs_mr.volume.attach import mounted_privately, read_only_device, run_tool
from blfs_mr.volume.blanks import Tell, check_blanks, write_blanks
from blfs_mr.volume.canary import blank_canary, reserved_size
from blfs_mr.volume.devices import FileSystem, block_device, contents, is_device_read_only, why_in_use
from blfs_mr.volume.extents import extent_fault
from blfs_mr.volume.file_layout import flush
from blfs_mr.volume.geometry import LOCK_NAME, SUPERBLOCK_NAME, NamedFile
from blfs_mr.volume.raw_layout import FIRST_EXTENT
from blfs_mr.volume.superblock import (
    MAX_OWNER,
    NO_CLAIM,
    State,
    Superblock,
    TableEntry,
    pack_claim,
    pack_superblock,
    pack_table,
    table_digest,
)
from blfs_mr.volume.superblock_pages import read_superblock, superblock_place, write_pages

LABEL = "blfs-mr"

_WIPED = 1 << 20
"""Bytes wiped at both ends: the places of partition tables, RAID members and file systems of before."""

_MAKE = {
    # No reserve, few inodes and a small journal: the metadata never changes again. Lazy initialisation would
    # write on after the format, and the journal may not hold data (a direct read would miss it).
    FileSystem.EXT4: (
        *("mkfs.ext4", "-q", "-F", "-b", str(PAGE), "-m", "0", "-J", "size=8", "-L", LABEL),
        *("-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"),
    ),
    # Without reflink an overwrite is always in place: a copy would move data to where no peer looks.
    FileSystem.XFS: (
        ["mkfs.xfs", "-q", "-f", "-K", "-b", f"size={PAGE}", "-m", "reflink=0", "-L", LABEL]
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FormatPlan:
    """What to make of ``device``. ``file_system`` counts in the file layout only."""

    device: str
    layout: VolumeLayout
    owner: WorkerName
    files: Sequence[NamedFile]
    file_system: FileSystem = FileSystem.EXT4
    force: bool = False

    @property
    def size(self) -> int:
        """Bytes of all shared files."""
        return sum(file.size for file in self.files)


def format_volume(plan: FormatPlan, tell: Tell = lambda done: None) -> Superblock:
    """Format ``plan.device``; ``tell`` hears of twice ``plan.size`` bytes, once written and once read back.

    Raises VolumeError where the device is in use, holds data (without ``force``), is too small, or does not
    keep what was written; UsageError where the plan cannot be; OSError.
    """
    _check(plan)
    entries = _place(plan)
    volume = VolumeId(os.urandom(16).hex())
    table = pack_table(volume, entries)
    superblock = Superblock(
        volume,
        plan.owner,
        plan.layout,
        len(entries),
        State.FORMATTING,
        int(time.time()),
        table_digest(table),
    )
    pages = pack_superblock(superblock) + pack_claim(volume, NO_CLAIM) + table + blank_canary(volume)
    complete = replace(superblock, state=State.COMPLETE)
    if plan.layout is VolumeLayout.RAW:
        _format_raw(plan.device, entries, pages, complete, tell)
    else:
        _format_files(plan, entries, pages, complete, tell)
    return complete


def _check(plan: FormatPlan) -> None:
    if plan.layout is VolumeLayout.DIRECTORY:
        raise UsageError("a directory volume is not formatted: its worker makes it")
    if not plan.owner or len(plan.owner.encode()) > MAX_OWNER:
        raise UsageError(f"the owner is a worker's name of 1 to {MAX_OWNER} letters")
    block_device(plan.device)
    if is_device_read_only(plan.device):
        raise VolumeError(
            f"{plan.device} is read-only: format it on its owner's host (`blockdev --setrw {plan.device}`; "
            "at the target, write_protect=0)"
        )
    if why := why_in_use(plan.device):
        raise VolumeError(f"{plan.device} is in use: {why}")
    if not plan.force and (found := contents(plan.device)):
        raise VolumeError(f"{plan.device} holds {found}: --force destroys it and formats the device")


def _place(plan: FormatPlan) -> tuple[TableEntry, ...]:
    """Where each shared file goes. Raises VolumeError where the device is too small."""
    fd = os.open(plan.device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        room = device_size(fd)
    finally:
        os.close(fd)
    raw = plan.layout is VolumeLayout.RAW
    position = -(-reserved_size(len(plan.files)) // FIRST_EXTENT) * FIRST_EXTENT
    if position + plan.size > room:
        raise _too_small(plan, room, position + plan.size)
    entries = []
    for file in plan.files:
        entries.append(TableEntry(file.name, position if raw else 0, file.size))
        position += file.size
    return tuple(entries)


def _too_small(plan: FormatPlan, room: int, needed: int) -> VolumeError:
    return VolumeError(
        f"{plan.device} is too small: it has {format_size(room)} for data, and {len(plan.files)} shared "
        f"files of together {format_size(plan.size)} need {format_size(needed)}: ask for fewer, or smaller"
    )


# ---------------------------------------------------------------- the raw layout


def _format_raw(
    device: str, entries: Sequence[TableEntry], pages: bytes, complete: Superblock, tell: Tell
) -> None:
    # Held exclusively all the time, so that nobody mounts or formats it meanwhile.
    fd = os.open(device, os.O_RDWR | os.O_DIRECT | os.O_EXCL | os.O_CLOEXEC)
    try:
        _wipe(device)
        write_pages(device, 0, pages)
        for number, entry in enumerate(entries):
            write_blanks(fd, entry.offset, entry.size, complete.volume, number, tell)
        os.fsync(fd)
        drop_device_cache(fd)
        for number, entry in enumerate(entries):
            check_blanks(fd, entry.offset, entry.size, complete.volume, number, tell, device)
        write_pages(device, 0, pack_superblock(complete))
        os.fsync(fd)
        read_superblock(device)
    finally:
        os.close(fd)


# ---------------------------------------------------------------- the file layout


def _format_files(
    plan: FormatPlan, entries: Sequence[TableEntry], pages: bytes, complete: Superblock, tell: Tell
) -> None:
    _wipe(plan.device)
    inodes = ["-N", str(len(entries) + 64)] if plan.file_system is FileSystem.EXT4 else []
    run_tool([*_MAKE[plan.file_system], *inodes, plan.device])
    with mounted_privately(plan.device, plan.file_system) as root:
        _write_files(plan, root, entries, pages, complete.volume, tell)
    flush(plan.device)
    # Mounted anew, and as a peer mounts: what is read now is what peers will find.
    with (
        read_only_device(plan.device),
        mounted_privately(plan.device, plan.file_system, read_only=True) as root,
    ):
        place = superblock_place(VolumeLayout.FILE, root, plan.device)
        fd = open_direct(place)
        try:
            _refuse_extents(fd, len(pages), place)
        finally:
            os.close(fd)
        for number, entry in enumerate(entries):
            path = os.path.join(root, entry.name)
            fd = open_direct(path)
            try:
                _refuse_extents(fd, entry.size, path)
                check_blanks(fd, 0, entry.size, complete.volume, number, tell, path)
            finally:
                os.close(fd)
    with mounted_privately(plan.device, plan.file_system) as root:
        place = superblock_place(VolumeLayout.FILE, root, plan.device)
        write_pages(place, 0, pack_superblock(complete))
        read_superblock(place)
    flush(plan.device)


def _write_files(
    plan: FormatPlan,
    root: str,
    entries: Sequence[TableEntry],
    pages: bytes,
    volume: VolumeId,
    tell: Tell,
) -> None:
    room = os.statvfs(root)
    if plan.size + len(pages) + PAGE > room.f_bavail * room.f_frsize:
        raise _too_small(plan, room.f_bavail * room.f_frsize, plan.size + len(pages) + PAGE)
    files = {SUPERBLOCK_NAME: len(pages), LOCK_NAME: PAGE} | {entry.name: entry.size for entry in entries}
    for name, size in files.items():
        fd = os.open(os.path.join(root, name), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # First all in one piece where that is possible; the bytes follow, for allocated is not written.
            os.posix_fallocate(fd, 0, size)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise _too_small(plan, room.f_bavail * room.f_frsize, sum(files.values())) from error
            raise
        finally:
            os.close(fd)
    write_pages(os.path.join(root, SUPERBLOCK_NAME), 0, pages)
    write_pages(os.path.join(root, LOCK_NAME), 0, b"\xb1" * PAGE)
    for number, entry in enumerate(entries):
        path = os.path.join(root, entry.name)
        fd = os.open(path, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)
        try:
            write_blanks(fd, 0, entry.size, volume, number, tell)
            os.fsync(fd)
            _refuse_extents(fd, entry.size, path)
        finally:
            os.close(fd)


def _refuse_extents(fd: int, size: int, path: str) -> None:
    if fault := extent_fault(fd, size):
        raise VolumeError(f"{path} {fault}, though every byte was written: this file system is not fit")


def _wipe(device: str) -> None:
    """Zero both ends of ``device``, so that nothing of before is found there again."""
    fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        size = device_size(fd)
        zeros = bytes(min(_WIPED, size))
        os.pwrite(fd, zeros, 0)
        os.pwrite(fd, zeros, size - len(zeros))
        os.fsync(fd)
        drop_device_cache(fd)
    finally:
        os.close(fd)
