"""How a worker opens its own volume and finds its peers', from plain values of its configuration.

Only its own volume can stop a worker: a peer's that is absent or unsafe is left out with the reasons, and the
reduce tasks that would need it go elsewhere.
"""

from __future__ import annotations

from blfs_mr.errors import VolumeError
from blfs_mr.model import PeerVolume, VolumeAccess, VolumeLayout, WorkerName
from blfs_mr.volume.contract import ContractLine, Finding, VolumePlace
from blfs_mr.volume.directory import OwnedDirectoryVolume
from blfs_mr.volume.layout import OwnedVolume
from blfs_mr.volume.owned import OwnedBlockVolume
from blfs_mr.volume.superblock_pages import read_superblock
from blfs_mr.volume.verify import check_own_volume, check_peer_volume

DEFAULT_COUNT, DEFAULT_SIZE = 64, 16 << 20
"""The shared files of a directory volume for which nothing is configured."""


def open_own(
    layout: VolumeLayout,
    root: str,
    device: str,
    owner: WorkerName,
    count: int | None = None,
    size: int | None = None,
) -> OwnedVolume:
    """Own the volume at ``root``, on ``device`` where it has one; a directory volume is made where missing.

    ``count`` and ``size`` of the shared files must be those on the device where they are given. Raises
    VolumeBusy while another owner or its writers live, VolumeError with all breaches of the contract, or
    OSError.
    """
    if layout is VolumeLayout.DIRECTORY:
        return OwnedDirectoryVolume.open_or_create(root, owner, count or DEFAULT_COUNT, size or DEFAULT_SIZE)
    volume = VolumePlace(layout, device, "" if layout is VolumeLayout.RAW else root)
    if findings := check_own_volume(volume, owner, count, size):
        raise VolumeError("\n".join(map(str, findings)))
    return OwnedBlockVolume.open_as_owner(layout, volume.root, device, owner)


def open_peer(peer: PeerVolume) -> tuple[VolumeAccess | None, tuple[Finding, ...]]:
    """How to reach a peer's volume, None where it cannot be read here, with the reasons. Raises nothing."""
    layout = VolumeLayout.FILE if peer.mount else VolumeLayout.RAW
    volume = VolumePlace(layout, peer.device, peer.mount)
    try:
        if findings := check_peer_volume(volume, peer.owner, peer.serial):
            return None, findings
        superblock, _ = read_superblock(volume.place)
        root = volume.root or volume.device
        return VolumeAccess(superblock.volume, volume.layout, root, volume.device), ()
    except (VolumeError, OSError) as error:
        remedy = "look at the device and the kernel's log"
        problem = f"{peer.device} cannot be read: {error}"
        return None, (Finding(ContractLine.DIRECT_READS, problem, remedy),)
