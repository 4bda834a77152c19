"""A volume of fixed extents straight on a block device, as task processes see it. Nobody mounts anything.

A direct read depends on no cache of any kernel, since there is no metadata but the table in the superblock.
The price is that a writer's descriptor reaches the whole device, other shared files included.
"""

from __future__ import annotations

import os

from blfs_mr.errors import VolumeError
from blfs_mr.linux import PAGE, device_size, open_direct, open_for_overwrite
from blfs_mr.model import SharedFile, VolumeAccess
from blfs_mr.volume.file_layout import flush

FIRST_EXTENT = 1 << 20
"""No shared file begins below: the superblock's pages and the canary stand there, and devices with large
physical blocks or stripes want data aligned to a mebibyte."""


class RawVolume:
    """A volume in the raw layout. Its device is both ``access.root`` and ``access.device``."""

    def __init__(self, access: VolumeAccess) -> None:
        self._access = access

    @property
    def access(self) -> VolumeAccess:
        return self._access

    def open_for_write(self, shared_file: SharedFile) -> int:
        self._check(shared_file)
        return self._checked(open_for_overwrite(self._access.device), shared_file)

    def open_for_read(self, shared_file: SharedFile) -> int:
        self._check(shared_file)
        return self._checked(open_direct(self._access.device), shared_file)

    def flush_device(self) -> bool:
        flush(self._access.device)
        return True

    def close(self) -> None:
        """A task process holds nothing open."""

    def _check(self, shared_file: SharedFile) -> None:
        # The place came over the network; it must not lead to the superblock.
        place = shared_file.offset
        if shared_file.volume != self._access.volume:
            raise VolumeError(
                f"extent {place} is of volume {shared_file.volume}, not of {self._access.volume}"
            )
        if shared_file.path or place < FIRST_EXTENT or place % PAGE or shared_file.size % PAGE:
            raise VolumeError(f"{shared_file.path!r} at {place} is no shared file of a raw volume")

    def _checked(self, fd: int, shared_file: SharedFile) -> int:
        try:
            size = device_size(fd)
            if shared_file.offset + shared_file.size > size:
                raise VolumeError(
                    f"{self._access.device} has {size} bytes and ends before the shared file at "
                    f"{shared_file.offset}: it is not the device that was formatted"
                )
        except BaseException:
            os.close(fd)
            raise
        return fd
