"""A volume of pre-allocated files on ext4 or xfs, as task processes see it: the reference layout.

The owner has the file system mounted read-write, peers have the same device read-only and mounted without
replay of its journal. A peer's kernel keeps the names, sizes and extents that it saw first for good, so here
nothing is ever created, truncated or extended; whatever is not exactly as it was formatted is refused.
"""

from __future__ import annotations

import os
import stat

from blfs_mr.errors import VolumeError
from blfs_mr.linux import device_number, open_direct, open_for_overwrite
from blfs_mr.model import SharedFile, VolumeAccess
from blfs_mr.volume.geometry import is_name


class FileVolume:
    """A volume in the file layout. ``access.root`` is its mount point, ``access.device`` its device."""

    def __init__(self, access: VolumeAccess) -> None:
        self._access = access
        self._device_number: int | None = None

    @property
    def access(self) -> VolumeAccess:
        return self._access

    def open_for_write(self, shared_file: SharedFile) -> int:
        return self._checked(open_for_overwrite(self._path(shared_file)), shared_file)

    def open_for_read(self, shared_file: SharedFile) -> int:
        return self._checked(open_direct(self._path(shared_file)), shared_file)

    def flush_device(self) -> bool:
        flush(self._access.device)
        return True

    def close(self) -> None:
        """A task process holds nothing open."""

    def _path(self, shared_file: SharedFile) -> str:
        # The path came over the network; it must not lead out of the volume.
        name = shared_file.path
        if shared_file.volume != self._access.volume:
            raise VolumeError(f"{name} is of volume {shared_file.volume}, not of {self._access.volume}")
        if not is_name(name) or shared_file.offset != 0:
            raise VolumeError(f"{name!r} at {shared_file.offset} is no shared file of a file volume")
        return os.path.join(self._access.root, name)

    def _checked(self, fd: int, shared_file: SharedFile) -> int:
        try:
            if self._device_number is None:
                self._device_number = device_number(self._access.device)
            found = os.fstat(fd)
            # Catches a link, and a mount that is gone: the folder beneath it would be written unnoticed.
            if not stat.S_ISREG(found.st_mode) or found.st_dev != self._device_number:
                raise VolumeError(
                    f"{self._path(shared_file)} is not a file on {self._access.device}: attach the volume "
                    "(`blfs-mr volume attach`) and start the worker again"
                )
            if found.st_size != shared_file.size:
                raise VolumeError(
                    f"{self._path(shared_file)} has {found.st_size} bytes where it was formatted with "
                    f"{shared_file.size}: its volume has to be formatted again"
                )
        except BaseException:
            os.close(fd)
            raise
        return fd


def flush(device: str) -> None:
    """Have the block device write its cache to its medium: fsync(2) of a descriptor of the device itself.

    Opened for reading only: a flush needs no more, and a task process then has no descriptor to do harm with.
    Raises OSError.
    """
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
