"""Is a volume's device fit, and mounted as the contract wants it on this host? Each breach is a finding."""

from __future__ import annotations

from blfs_mr.errors import VolumeError
from blfs_mr.linux import Mount
from blfs_mr.model import VolumeLayout
from blfs_mr.volume.contract import ContractLine, Finding, VolumePlace
from blfs_mr.volume.devices import NO_REPLAY, FileSystem, block_device, mount_at, mounts_of


def check_device(volume: VolumePlace, findings: list[Finding]) -> int | None:
    """The number of the volume's device; None, and a finding, where it cannot hold one."""
    try:
        return block_device(volume.device)
    except (VolumeError, OSError) as error:
        findings.append(
            Finding(
                ContractLine.DIRECT_READS, str(error), "name a block device of pages of 4096 bytes or less"
            )
        )
        return None


def check_own_mount(volume: VolumePlace, number: int, findings: list[Finding]) -> bool:
    """Whether the own volume can be looked into; findings for what is wrong with its mount."""
    if volume.layout is VolumeLayout.RAW:
        return _unmounted(volume, number, findings)
    mount = _mount(volume, number, "owner", findings)
    if mount is None:
        return False
    if "rw" not in mount.options:
        remedy = "detach it, and attach it with --role owner"
        findings.append(
            Finding(
                ContractLine.ONE_WRITER, f"{volume.root}, this worker's own volume, is mounted ro", remedy
            )
        )
    if "data=journal" in mount.options:
        findings.append(
            Finding(
                ContractLine.FROZEN_METADATA,
                f"{volume.root} is mounted with data=journal: data stands there, where no peer looks",
                "detach it, clear the option (`tune2fs -o ^journal_data`), and attach it again",
            )
        )
    return True


def check_peer_mount(volume: VolumePlace, number: int, findings: list[Finding]) -> bool:
    """As :func:`check_own_mount`, for a volume that this host only reads."""
    if volume.layout is VolumeLayout.RAW:
        return _unmounted(volume, number, findings)
    mount = _mount(volume, number, "peer", findings)
    if mount is None:
        return False
    remedy = "unmount it, and attach it with --role peer"
    if "rw" in mount.options:
        findings.append(
            Finding(ContractLine.ONE_WRITER, f"{volume.root}, a peer's volume, is mounted read-write", remedy)
        )
    if not mount.options & NO_REPLAY:
        findings.append(
            Finding(
                ContractLine.ONE_WRITER,
                f"{volume.root}, a peer's volume, is mounted without noload (ext4) or norecovery (xfs): the "
                "kernel replays the journal onto the owner's disk",
                remedy,
            )
        )
    return True


def _unmounted(volume: VolumePlace, number: int, findings: list[Finding]) -> bool:
    if mounts := mounts_of(number):
        findings.append(
            Finding(
                ContractLine.FROZEN_METADATA,
                f"{volume.device}, a raw volume, is mounted at {mounts[0].point}",
                "unmount it; no host mounts a raw volume",
            )
        )
    return not mounts


def _mount(volume: VolumePlace, number: int, role: str, findings: list[Finding]) -> Mount | None:
    remedy = f"`blfs-mr volume attach --device {volume.device} --mount {volume.root} --role {role}`"
    mount = mount_at(volume.root)
    if mount is None or mount.device != number:
        what = "nothing is" if mount is None else "another device is"
        findings.append(
            Finding(
                ContractLine.FROZEN_METADATA,
                f"{what} mounted at {volume.root}, where {volume.device} should be",
                remedy,
            )
        )
        return None
    if mount.kind not in set(FileSystem):
        findings.append(
            Finding(
                ContractLine.FROZEN_METADATA,
                f"{volume.root} is {mount.kind}, and the file layout is for ext4 and xfs",
                "format the device with `blfs-mr volume format`",
            )
        )
        return None
    return mount
