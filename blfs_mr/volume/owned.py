"""A volume on a block device as its owner sees it, in either layout: the lock, the claim and the leases.

Whether the device, its mount and its files keep to the contract is for :mod:`blfs_mr.volume.verify` to say,
before a volume is opened here.
"""

from __future__ import annotations

import errno
import os
from typing import Self

from blfs_mr.errors import VolumeBusy, VolumeError
from blfs_mr.linux import lock_exclusive
from blfs_mr.model import Lease, SharedFile, VolumeAccess, VolumeLayout, WorkerName
from blfs_mr.spill.reader import read_lease
from blfs_mr.volume.claims import new_claim, rival
from blfs_mr.volume.geometry import LOCK_NAME
from blfs_mr.volume.layout import Volume, open_volume
from blfs_mr.volume.superblock import NO_CLAIM, Claim
from blfs_mr.volume.superblock_pages import read_claim, read_superblock, superblock_place, write_claim


class OwnedBlockVolume:
    """A volume in the file or the raw layout, from :meth:`open_as_owner`."""

    def __init__(
        self, volume: Volume, files: tuple[SharedFile, ...], lock: int, place: str, claim: Claim
    ) -> None:
        self._volume, self._files, self._lock = volume, files, lock
        self._place, self._claim = place, claim

    @classmethod
    def open_as_owner(cls, layout: VolumeLayout, root: str, device: str, owner: WorkerName) -> Self:
        """Own the volume on ``device``, mounted at ``root`` in the file layout.

        Raises VolumeBusy while another owner, or a writer that it left behind, lives; VolumeError where there
        is no complete volume, one of another owner or layout, or one that another host claims; OSError.
        """
        place = superblock_place(layout, root, device)
        superblock, entries = read_superblock(place)
        if superblock.owner != owner:
            raise VolumeError(f"{device} is the volume of worker {superblock.owner}, not of {owner}")
        if superblock.layout is not layout:
            raise VolumeError(f"{device} is in the {superblock.layout.value} layout, not {layout.value}")
        lock = _lock(layout, root, device)
        try:
            claim = new_claim(device)
            if holder := rival(read_claim(place, superblock.volume), claim):
                raise VolumeError(
                    f"{device} has another owner, {holder}: stop that worker; if its host is gone for good, "
                    "`blfs-mr volume attach --take-over` ends its claim"
                )
            write_claim(place, superblock.volume, claim)
            access = VolumeAccess(
                superblock.volume, layout, device if layout is VolumeLayout.RAW else root, device
            )
            files = tuple(entry.shared_file(superblock) for entry in entries)
            return cls(open_volume(access), files, lock, place, claim)
        except BaseException:
            os.close(lock)
            raise

    @property
    def access(self) -> VolumeAccess:
        return self._volume.access

    @property
    def lock_descriptor(self) -> int:
        return self._lock

    def open_for_write(self, shared_file: SharedFile) -> int:
        return self._volume.open_for_write(shared_file)

    def open_for_read(self, shared_file: SharedFile) -> int:
        return self._volume.open_for_read(shared_file)

    def flush_device(self) -> bool:
        return self._volume.flush_device()

    def shared_files(self) -> tuple[SharedFile, ...]:
        return self._files

    def last_lease(self, shared_file: SharedFile) -> Lease | None:
        fd = self.open_for_read(shared_file)
        try:
            return read_lease(fd, shared_file)
        finally:
            os.close(fd)

    def close(self) -> None:
        """End the claim and close the lock; writers that inherited the lock keep it until they are gone.

        A claim that is no longer ours, or cannot be ended because the device has failed, is left as it is.
        """
        if self._lock < 0:
            return
        try:
            if read_claim(self._place, self.access.volume) == self._claim:
                write_claim(self._place, self.access.volume, NO_CLAIM)
        except (OSError, VolumeError):
            # The next owner on this host takes a claim over whose process is gone.
            pass
        os.close(self._lock)
        self._lock = -1


def _lock(layout: VolumeLayout, root: str, device: str) -> int:
    try:
        if layout is VolumeLayout.RAW:
            # O_EXCL claims the device in the kernel as well (open(2)): nobody can mount it here then.
            fd = os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
        else:
            fd = os.open(os.path.join(root, LOCK_NAME), os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise VolumeBusy(_busy(device)) from error
        raise
    try:
        lock_exclusive(fd)
    except VolumeBusy as error:
        os.close(fd)
        raise VolumeBusy(_busy(device)) from error
    # Processes that write must keep the volume locked when the owner dies before them, even across exec.
    os.set_inheritable(fd, True)
    return fd


def _busy(device: str) -> str:
    return f"volume {device} is held by another worker, or by task processes that one left behind"
