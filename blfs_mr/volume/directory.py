"""A volume that is a plain directory: what an embedded run and a first trial use, on one host only.

Its shared files are ordinary files that one kernel writes and reads, so no cache of a peer can be stale and
files may be made when they are first leased. Beside them stand ``volume.json``, which says what the volume
is, and ``volume.lock``, which its owner and all its writers hold.
"""

from __future__ import annotations

import os
import re
from typing import Self

from blfs_mr.errors import VolumeBusy, VolumeError
from blfs_mr.linux import PAGE, lock_exclusive, open_direct, supports_direct_io
from blfs_mr.model import Lease, SharedFile, VolumeAccess, VolumeId, VolumeLayout, WorkerName
from blfs_mr.spill.reader import read_lease

MANIFEST = "volume.json"
LOCK = "volume.lock"
MANIFEST_FORMAT = 1

_NAME = re.compile(r"shared-[0-9-]{1,32}")

MAX_SHARED_FILES = 100_000
"""Files of one volume: more would fit neither the five digits of their names nor one folder's comfort."""


class DirectoryVolume:
    """A directory volume as task processes see it."""

    def __init__(self, access: VolumeAccess) -> None:
        self._access = access

    @property
    def access(self) -> VolumeAccess:
        return self._access

    def open_for_write(self, shared_file: SharedFile) -> int:
        """Opens the file, and makes it or brings it to its size where that has not been done yet."""
        fd = os.open(self._path(shared_file), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if os.fstat(fd).st_size < shared_file.size:
                os.ftruncate(fd, shared_file.size)
        except OSError:
            os.close(fd)
            raise
        return fd

    def open_for_read(self, shared_file: SharedFile) -> int:
        path = self._path(shared_file)
        if self._access.direct:
            return open_direct(path)
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def flush_device(self) -> bool:
        """There is no device to flush: fsync of a file makes its data visible to its own kernel for good."""
        return False

    def close(self) -> None:
        """A task process holds nothing open."""

    def _path(self, shared_file: SharedFile) -> str:
        # The path came over the network; it must not lead out of the volume.
        name = shared_file.path
        if shared_file.volume != self._access.volume:
            raise VolumeError(f"{name} is of volume {shared_file.volume}, not of {self._access.volume}")
        if _NAME.fullmatch(name) is None or shared_file.offset != 0:
            raise VolumeError(f"{name!r} at {shared_file.offset} is no shared file of a directory volume")
        return os.path.join(self._access.root, name)


class OwnedDirectoryVolume(DirectoryVolume):
    """A directory volume as its owner sees it, from :meth:`create` or :meth:`open_as_owner`."""

    def __init__(self, access: VolumeAccess, count: int, size: int, lock: int) -> None:
        super().__init__(access)
        self._files = tuple(SharedFile(access.volume, f"shared-{i:05d}", 0, size) for i in range(count))
        self._lock = lock

    @classmethod
    def create(cls, root: str, owner: WorkerName, count: int, size: int) -> Self:
        """Make ``root`` a volume of ``count`` shared files of ``size`` bytes, and own it.

        Raises VolumeError where ``root`` is a volume already or the figures cannot be, OSError otherwise.
        """
        _check_figures(count, size)
        os.makedirs(root, mode=0o700, exist_ok=True)
        lock = _lock(root)
        try:
            if os.path.exists(os.path.join(root, MANIFEST)):
                raise VolumeError(f"{root} is a volume already; remove it first to make a new one")
            _write_manifest(root, owner, count, size)
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)
        return cls.open_as_owner(root, owner)

    @classmethod
    def open_or_create(cls, root: str, owner: WorkerName, count: int, size: int) -> Self:
        """Own the volume at ``root``; make it first where there is none. Raises as the other two do."""
        if os.path.exists(os.path.join(root, MANIFEST)):
            return cls.open_as_owner(root, owner)
        return cls.create(root, owner, count, size)

    @classmethod
    def open_as_owner(cls, root: str, owner: WorkerName) -> Self:
        """Own the volume at ``root``.

        Raises VolumeBusy while another owner or a writer that it left behind lives, VolumeError where there
        is no volume, or one of another owner.
        """
        if not os.path.isfile(os.path.join(root, MANIFEST)):
            raise VolumeError(f"{root} is no volume: it has no {MANIFEST}")
        lock = _lock(root)
        try:
            volume, found_owner, count, size = _read_manifest(root)
            if found_owner != owner:
                raise VolumeError(f"{root} is the volume of worker {found_owner}, not of {owner}")
            access = VolumeAccess(
                volume, VolumeLayout.DIRECTORY, os.path.abspath(root), direct=supports_direct_io(root)
            )
            return cls(access, count, size, lock)
        except BaseException:
            os.close(lock)
            raise

    @property
    def lock_descriptor(self) -> int:
        return self._lock

    def shared_files(self) -> tuple[SharedFile, ...]:
        return self._files

    def last_lease(self, shared_file: SharedFile) -> Lease | None:
        try:
            fd = self.open_for_read(shared_file)
        except FileNotFoundError:
            return None
        try:
            return read_lease(fd, shared_file)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close the owner's lock; the volume stays busy until writers that inherited it are gone as well."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _check_figures(count: int, size: int) -> None:
    if not 1 <= count <= MAX_SHARED_FILES:
        raise VolumeError(f"a volume has 1 to {MAX_SHARED_FILES} shared files, not {count}")
    if size < 2 * PAGE or size % PAGE:
        raise VolumeError(f"a shared file has a multiple of {PAGE} bytes, at least {2 * PAGE}, not {size}")


def _lock(root: str) -> int:
    fd = os.open(os.path.join(root, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        lock_exclusive(fd)
    except VolumeBusy as error:
        os.close(fd)
        raise VolumeBusy(
            f"volume {root} is held by another worker, or by task processes that one left behind"
        ) from error
    # Processes that write must keep the volume locked when the owner dies before them, even across exec.
    os.set_inheritable(fd, True)
    return fd


def _write_manifest(root: str, owner: WorkerName, count: int, size: int) -> None:
    # Imported here and below, since task processes use this module and never need it.
    import json

    manifest = {
        "format": MANIFEST_FORMAT,
        "volume": os.urandom(16).hex(),
        "owner": owner,
        "layout": VolumeLayout.DIRECTORY.value,
        "count": count,
        "size": size,
    }
    path = os.path.join(root, MANIFEST)
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)


def _read_manifest(root: str) -> tuple[VolumeId, WorkerName, int, int]:
    import json

    path = os.path.join(root, MANIFEST)
    try:
        with open(path, encoding="utf-8") as file:
            manifest = json.load(file)
    except ValueError as error:
        raise VolumeError(f"{path} is no JSON: {error}") from error
    match manifest:
        case {"format": int(found)} if found != MANIFEST_FORMAT:
            raise VolumeError(f"{path} is of format {found}; this version reads {MANIFEST_FORMAT}")
        case {
            "format": int(),
            "volume": str(volume),
            "owner": str(owner),
            "layout": VolumeLayout.DIRECTORY.value,
            "count": int(count),
            "size": int(size),
        } if len(volume) == 32 and set(volume) <= set("0123456789abcdef"):
            _check_figures(count, size)
            return VolumeId(volume), WorkerName(owner), count, size
        case _:
            raise VolumeError(f"{path} does not describe a directory volume")
