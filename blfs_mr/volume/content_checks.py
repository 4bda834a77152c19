"""Is what stands on a volume what was formatted, and whose it should be? Each breach is a finding."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from blfs_mr.errors import DirectIONotSupported, VolumeError
from blfs_mr.linux import device_size, file_system_uuid, open_direct, read_mounts
from blfs_mr.model import VolumeId, VolumeLayout, WorkerName
from blfs_mr.units import format_size
from blfs_mr.volume.claims import new_claim, rival
from blfs_mr.volume.contract import ContractLine, Finding, VolumePlace
from blfs_mr.volume.devices import FileSystem
from blfs_mr.volume.extents import extent_fault
from blfs_mr.volume.geometry import LOCK_NAME, SUPERBLOCK_NAME
from blfs_mr.volume.superblock import Superblock, TableEntry
from blfs_mr.volume.superblock_pages import read_claim, read_superblock

_TOLD = 3
"""Faults of files that are told one by one: the rest of a long list would be the same again."""


def check_superblock(
    volume: VolumePlace, owner: WorkerName | None, findings: list[Finding]
) -> tuple[Superblock, tuple[TableEntry, ...]] | None:
    """The superblock and table, of ``owner`` where that is known; None, and a finding, where unusable."""
    line = ContractLine.SELF_DESCRIBING
    try:
        superblock, entries = read_superblock(volume.place)
    except DirectIONotSupported as error:
        findings.append(Finding(ContractLine.DIRECT_READS, str(error), "use ext4 or xfs on a block device"))
        return None
    except (VolumeError, OSError) as error:
        findings.append(Finding(line, str(error), "nothing of it is used until then"))
        return None
    if superblock.layout is not volume.layout:
        problem = f"{volume.device} is in the {superblock.layout.value} layout, not {volume.layout.value}"
        findings.append(Finding(line, problem, "set the layout that the volume was formatted in"))
        return None
    if owner is not None and superblock.owner != owner:
        findings.append(
            Finding(
                ContractLine.ONE_WRITER,
                f"{volume.device} is the volume of worker {superblock.owner}, not of {owner}",
                "name the right device, or the worker as the volume was formatted",
            )
        )
    return superblock, entries


def check_geometry(
    volume: VolumePlace, entries: Sequence[TableEntry], count: int | None, size: int | None
) -> Iterator[Finding]:
    """Are the shared files as many, and as large, as the configuration says where it does?"""
    sizes = {entry.size for entry in entries}
    wrong_count = count is not None and count != len(entries)
    wrong_size = size is not None and sizes != {size}
    if wrong_count or wrong_size:
        found = " or ".join(format_size(found) for found in sorted(sizes)[:_TOLD])
        asked = (
            f"{count if count is not None else 'any number'} of {format_size(size) if size else 'any size'}"
        )
        yield Finding(
            ContractLine.FROZEN_METADATA,
            f"{volume.device} has {len(entries)} shared files of {found}, the configuration says {asked}",
            "leave worker.shared_files and worker.shared_file_size out, or format the volume again",
        )


def check_files(
    volume: VolumePlace, superblock: Superblock, entries: Sequence[TableEntry], number: int
) -> Iterator[Finding]:
    """Is each shared file there, in its size, with every byte in a place of its own on the device?"""
    if volume.layout is VolumeLayout.RAW:
        yield from _extents_fit(volume, entries)
        return
    faults = [f"{entry.name} {fault}" for entry in entries if (fault := _file_fault(volume, entry, number))]
    if len(faults) > _TOLD:
        faults[_TOLD - 1 :] = [f"{faults[_TOLD - 1]} (and {len(faults) - _TOLD} more are at fault)"]
    for fault in faults:
        yield Finding(
            ContractLine.FROZEN_METADATA,
            f"shared file {fault}",
            "format the volume again; nothing but blfs-mr may touch its files",
        )
    known = {entry.name for entry in entries} | {SUPERBLOCK_NAME, LOCK_NAME, "lost+found"}
    if strange := sorted(set(os.listdir(volume.root)) - known):
        yield Finding(
            ContractLine.FROZEN_METADATA,
            f"{', '.join(strange[:_TOLD])} in {volume.root} was made after the volume was formatted",
            "detach the volume on all hosts, remove that on its owner's, and attach the volume again",
        )


def _extents_fit(volume: VolumePlace, entries: Sequence[TableEntry]) -> Iterator[Finding]:
    fd = os.open(volume.device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        room = device_size(fd)
    finally:
        os.close(fd)
    end = max(entry.offset + entry.size for entry in entries)
    if end > room:
        yield Finding(
            ContractLine.FROZEN_METADATA,
            f"{volume.device} has {room} bytes, and its shared files end at {end}: it has shrunk",
            "give the device its size back, or format it again",
        )


def _file_fault(volume: VolumePlace, entry: TableEntry, number: int) -> str:
    try:
        fd = open_direct(os.path.join(volume.root, entry.name))
    except FileNotFoundError:
        return "is missing"
    except (OSError, DirectIONotSupported) as error:
        return f"cannot be opened: {error}"
    try:
        found = os.fstat(fd)
        if found.st_dev != number:
            return f"is not on {volume.device}"
        if found.st_size != entry.size:
            return f"has {found.st_size} bytes where it was formatted with {entry.size}"
        return extent_fault(fd, entry.size)
    except OSError as error:
        return f"cannot be examined: {error}"
    finally:
        os.close(fd)


def check_rivals(volume: VolumePlace, superblock: Superblock, number: int) -> Iterator[Finding]:
    """Does somebody else write to the volume?"""
    try:
        holder = rival(read_claim(volume.place, superblock.volume), new_claim(volume.device))
    except (VolumeError, OSError) as error:
        yield Finding(ContractLine.ONE_WRITER, str(error), "format the volume again")
        return
    if holder:
        yield Finding(
            ContractLine.ONE_WRITER,
            f"{volume.device} has another owner, {holder}",
            "stop that worker; if its host is gone for good: `blfs-mr volume attach --take-over`",
        )
    for mount in read_mounts() if volume.layout is VolumeLayout.FILE else ():
        twice = mount.kind in set(FileSystem) and "rw" in mount.options and mount.device != number
        if twice and _volume_at(mount.point, volume.root) == superblock.volume:
            yield Finding(
                ContractLine.ONE_WRITER,
                f"the file system of {volume.device} is mounted read-write at {mount.point} as well",
                "stop what uses it and unmount it; then format the volume again, for it may be damaged",
            )


def _volume_at(point: str, root: str) -> VolumeId | None:
    """The volume at ``point``, if it may be that at ``root``.

    What is another file system for sure is not read: its disk may be one that answers nobody.
    """
    try:
        uuids = [file_system_uuid(path) for path in (point, root)]
        if all(uuids) and len(set(uuids)) > 1:
            return None
        return read_superblock(os.path.join(point, SUPERBLOCK_NAME))[0].volume
    except (VolumeError, OSError):
        return None
