"""Does a volume keep to the consistency contract? Asked by a worker at its start, and by an operator.

All breaches that can be found are found at once: an operator who mends a node wants the whole list.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from blfs_mr.errors import VolumeError
from blfs_mr.linux import AlignedBuffer, device_serial, open_direct, read_exactly
from blfs_mr.model import VolumeId, VolumeLayout, WorkerName
from blfs_mr.volume.blanks import CHUNK, Tell, is_blank
from blfs_mr.volume.content_checks import check_files, check_geometry, check_rivals, check_superblock
from blfs_mr.volume.contract import ContractLine, Finding, VolumePlace
from blfs_mr.volume.devices import is_device_read_only
from blfs_mr.volume.mount_checks import check_device, check_own_mount, check_peer_mount
from blfs_mr.volume.superblock import Superblock, TableEntry


def check_own_volume(
    volume: VolumePlace, owner: WorkerName | None, count: int | None = None, size: int | None = None
) -> tuple[Finding, ...]:
    """What keeps worker ``owner``, None for whoever it is, from writing to ``volume``; empty for nothing.

    ``count`` and ``size`` are what the configuration says of the shared files, None where it does not.
    """
    findings: list[Finding] = []
    number = check_device(volume, findings)
    if number is None:
        return tuple(findings)
    if is_device_read_only(volume.device):
        findings.append(
            Finding(
                ContractLine.ONE_WRITER,
                f"{volume.device} is read-only, and it is configured as this worker's own volume",
                f"name the right device, or make it writable here only (`blockdev --setrw {volume.device}`; "
                "at the target, write_protect=0)",
            )
        )
    mounted = check_own_mount(volume, number, findings)
    found = check_superblock(volume, owner, findings) if mounted else None
    if found is None:
        return tuple(findings)
    superblock, entries = found
    findings += check_geometry(volume, entries, count, size)
    findings += check_files(volume, superblock, entries, number)
    findings += check_rivals(volume, superblock, number)
    return tuple(findings)


def check_peer_volume(volume: VolumePlace, owner: WorkerName | None, serial: str = "") -> tuple[Finding, ...]:
    """What keeps this host from reading ``volume`` of its peer ``owner``, None for any; empty for nothing.

    ``serial`` is the serial number that its device must have, empty where any will do.
    """
    findings: list[Finding] = []
    number = check_device(volume, findings)
    if number is None:
        return tuple(findings)
    if serial and (found_serial := device_serial(number)) != serial:
        findings.append(
            Finding(
                ContractLine.SELF_DESCRIBING,
                f"{volume.device} has the serial number {found_serial or '(none)'}, and that of {owner} "
                f"should be {serial}",
                "name the right device, or the right serial",
            )
        )
    if not is_device_read_only(volume.device):
        findings.append(
            Finding(
                ContractLine.ONE_WRITER,
                f"{volume.device}, a peer's volume, can be written here",
                "unmount it, and attach it with --role peer, which makes it read-only before it is mounted",
            )
        )
    mounted = check_peer_mount(volume, number, findings)
    found = check_superblock(volume, owner, findings) if mounted else None
    if found is not None:
        findings += check_files(volume, *found, number)
    return tuple(findings)


@dataclass(slots=True)
class Verification:
    """What reading all of a volume found: the files that are blank or written, and what is wrong."""

    superblock: Superblock | None = None
    blank: int = 0
    written: int = 0
    findings: list[Finding] = field(default_factory=list)


def verify_volume(volume: VolumePlace, tell: Tell = lambda done: None) -> Verification:
    """Read every byte of every shared file directly. ``tell`` hears of the bytes read."""
    result = Verification()
    number = check_device(volume, result.findings)
    if number is None:
        return result
    found = check_superblock(volume, None, result.findings)
    if found is None:
        return result
    result.superblock, entries = found
    result.findings += check_files(volume, result.superblock, entries, number)
    with AlignedBuffer(CHUNK) as buffer, buffer.view() as view:
        for entry in entries:
            path = (
                volume.device if volume.layout is VolumeLayout.RAW else os.path.join(volume.root, entry.name)
            )
            try:
                if _read_through(path, entry, view, result.superblock.volume, tell):
                    result.blank += 1
                else:
                    result.written += 1
            except (OSError, VolumeError) as error:
                remedy = "the device fails: look at the kernel's log, replace it, and format the new one"
                result.findings.append(
                    Finding(ContractLine.FROZEN_METADATA, f"{entry.name} cannot be read: {error}", remedy)
                )
    return result


def _read_through(path: str, entry: TableEntry, view: memoryview, volume: VolumeId, tell: Tell) -> bool:
    """Read all of a shared file; whether it is blank."""
    blank = False
    fd = open_direct(path)
    try:
        for start in range(0, entry.size, CHUNK):
            length = min(CHUNK, entry.size - start)
            with view[:length] as part:
                if read_exactly(fd, part, entry.offset + start) != length:
                    raise VolumeError(f"{path} ends before {entry.offset + start + length}")
                if start == 0:
                    blank = is_blank(part, volume)
            tell(length)
    finally:
        os.close(fd)
    return blank
