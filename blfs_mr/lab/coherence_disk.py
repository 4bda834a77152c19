"""The disk of an experiment: one disk, seen through an owner's and a peer's block device."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from blfs_mr.errors import UsageError, VolumeError
from blfs_mr.linux import (
    PAGE,
    AlignedBuffer,
    device_number,
    device_size,
    drop_device_cache,
    is_read_only,
    open_direct,
    open_for_overwrite,
    read_exactly,
    set_read_only,
)
from blfs_mr.volume.attach import mount_file_system, run_tool, unmount
from blfs_mr.volume.devices import FileSystem, block_device, contents, mounts_of, why_in_use
from blfs_mr.volume.file_layout import flush
from blfs_mr.volume.superblock_pages import read_pages, write_pages

EXT4_SIZE, XFS_SIZE = 48 << 20, 320 << 20
"""Bytes that experiments with ext4 use of a disk, and what the smallest xfs needs."""

OLD, NEW = b"old!", b"new!"

_CHUNK = 4 << 20
_SECTORS_WRITTEN = 6


@dataclass(frozen=True, slots=True)
class DevicePair:
    """Two devices that lead to one disk, and a folder in which each can be mounted."""

    owner: str
    peer: str
    folder: Path

    def size(self) -> int:
        """Bytes of the disk."""
        fd = os.open(self.owner, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return device_size(fd)
        finally:
            os.close(fd)

    def protect_peer(self, protected: bool) -> None:
        """Have this host refuse writes through the peer's device, or take them again."""
        fd = os.open(self.peer, os.O_RDONLY | os.O_CLOEXEC)
        try:
            set_read_only(fd, protected)
        finally:
            os.close(fd)

    def peer_is_protected_elsewhere(self) -> bool:
        """Whether the peer's device refuses writes although this host would let them pass."""
        self.protect_peer(False)
        fd = os.open(self.peer, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return is_read_only(fd)
        finally:
            os.close(fd)

    def drop_peer_device_cache(self) -> None:
        """BLKFLSBUF of the peer's device."""
        fd = os.open(self.peer, os.O_RDONLY | os.O_CLOEXEC)
        try:
            drop_device_cache(fd)
        finally:
            os.close(fd)

    def sectors_written_by_peer(self) -> int:
        """Through the peer's device, ever (Documentation/block/stat.rst)."""
        number = device_number(self.peer)
        stat = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/stat").read_text(encoding="ascii")
        return int(stat.split()[_SECTORS_WRITTEN])

    def contents(self) -> bytes:
        """What stands on the part of the disk that ext4 uses, read directly."""
        found = bytearray()
        fd = open_direct(self.owner)
        try:
            with AlignedBuffer(_CHUNK) as buffer, buffer.view() as view:
                while len(found) < EXT4_SIZE:
                    found += view[: read_exactly(fd, view, len(found))]
        finally:
            os.close(fd)
        return bytes(found)

    @contextmanager
    def with_ext4(self) -> Iterator[MountedDisk]:
        """The disk with ext4 and one file that is written in full, ``data``, mounted by its owner only."""
        self.protect_peer(False)
        run_tool(
            ["mkfs.ext4", "-q", "-F", "-b", str(PAGE), "-E", "nodiscard,lazy_itable_init=0", self.owner,
             str(EXT4_SIZE // PAGE)]
        )  # fmt: skip
        owner, peer = self.folder / "owner", self.folder / "peer"
        owner.mkdir()
        peer.mkdir()
        mount_file_system(self.owner, str(owner), FileSystem.EXT4)
        try:
            (owner / "data").write_bytes(OLD * (PAGE // len(OLD)))
            # So that it stands on the disk, and the journal is empty, before a peer looks.
            unmount(str(owner))
            mount_file_system(self.owner, str(owner), FileSystem.EXT4)
            yield MountedDisk(self, owner, peer)
        finally:
            unmount(str(owner))


@dataclass(frozen=True, slots=True)
class MountedDisk:
    """A disk whose owner has it mounted at ``owner``; ``peer`` is where the peer will."""

    devices: DevicePair
    owner: Path
    peer: Path

    @contextmanager
    def peer_mounted(self, options: str = "ro,noload", *, protected: bool = True) -> Iterator[None]:
        """The disk mounted by the peer, its device read-only before where ``protected``."""
        self.devices.protect_peer(protected)
        run_tool(["mount", "-t", "ext4", "-o", options, self.devices.peer, str(self.peer)])
        try:
            yield
        finally:
            unmount(str(self.peer))
            self.devices.protect_peer(False)

    def write(
        self, name: str, data: bytes, *, flags: int = 0, file: bool = True, device: bool = True
    ) -> None:
        """Overwrite the beginning of a file as its owner, and flush what is asked for."""
        path = str(self.owner / name)
        fd = os.open(path, os.O_RDWR | flags, 0o600) if flags else open_for_overwrite(path)
        try:
            os.pwrite(fd, data, 0)
            if file:
                os.fsync(fd)
        finally:
            os.close(fd)
        if device:
            flush(self.devices.owner)

    def sync(self) -> None:
        """Flush all that the owner wrote, names as well, and the device."""
        run_tool(["sync", "-f", str(self.owner)])
        flush(self.devices.owner)

    def read_buffered(self, name: str) -> str:
        """What the peer reads through its page cache, in words."""
        return _age((self.peer / name).read_bytes()[: len(OLD)])

    def read_direct(self, name: str) -> str:
        """What the peer reads past its page cache, in words."""
        fd = open_direct(str(self.peer / name))
        try:
            with AlignedBuffer(PAGE) as buffer, buffer.view() as view:
                return _age(bytes(view[: min(len(OLD), read_exactly(fd, view, 0))]))
        finally:
            os.close(fd)


@contextmanager
def loop_pair() -> Iterator[DevicePair]:
    """Two loop devices over a new image. They read it directly, so that no page cache makes them agree."""
    with (
        TemporaryDirectory(prefix="blfs-mr-lab-", ignore_cleanup_errors=True) as folder,
        ExitStack() as stack,
    ):
        image = Path(folder, "disk.image")
        with image.open("wb") as file:
            file.truncate(XFS_SIZE)
        owner, peer = (_loop(image, stack) for _ in range(2))
        yield DevicePair(owner, peer, Path(folder))


@dataclass(frozen=True, slots=True)
class GivenPair:
    """Two devices of the user's, from :func:`given_pair`."""

    owner: str
    peer: str

    @contextmanager
    def for_one_experiment(self) -> Iterator[DevicePair]:
        """The devices with a new folder. The peer's is left read-only, as a peer's has to be."""
        with TemporaryDirectory(prefix="blfs-mr-lab-", ignore_cleanup_errors=True) as folder:
            pair = DevicePair(self.owner, self.peer, Path(folder))
            try:
                yield pair
            finally:
                pair.protect_peer(True)


def given_pair(owner: str, peer: str, *, force: bool) -> GivenPair:
    """Two devices of the user's, proven to lead to one disk that may be overwritten.

    Raises UsageError where they do not, VolumeError where the disk is in use or holds data, OSError.
    """
    if block_device(owner) == block_device(peer):
        raise UsageError("the owner's device and the peer's are one device: its caches are one, too")
    if why := why_in_use(owner):
        raise VolumeError(f"{owner} is in use: {why}")
    if mounts := mounts_of(device_number(peer)):
        raise VolumeError(f"{peer} is in use: it is mounted at {mounts[0].point}: unmount it")
    if not force and (found := contents(owner)):
        raise VolumeError(f"{owner} holds {found}: --force destroys it")
    with TemporaryDirectory(prefix="blfs-mr-lab-") as folder:
        if (size := DevicePair(owner, peer, Path(folder)).size()) < EXT4_SIZE:
            raise UsageError(f"{owner} has {size} bytes, and the experiments need {EXT4_SIZE}")
    token = os.urandom(PAGE)
    write_pages(owner, 0, token)
    flush(owner)
    # By a value of this moment, since a path with a cache of its own may well know what stood there before.
    if read_pages(peer, 0, 1) != token:
        raise VolumeError(
            f"what is written to {owner} is not read from {peer}: they are two disks, or something between "
            "them serves a cache of its own, and then no contract can be kept on them"
        )
    return GivenPair(owner, peer)


def _loop(image: Path, stack: ExitStack) -> str:
    command = ["losetup", "--find", "--show", "--direct-io=on", str(image)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise VolumeError(f"`{' '.join(command)}` failed: {ran.stderr.strip()}")
    device = ran.stdout.strip()
    stack.callback(run_tool, ["losetup", "--detach", device])
    # Read-only outlives the image that a loop device had before.
    run_tool(["blockdev", "--setrw", device])
    return device


def _age(found: bytes) -> str:
    words = {OLD: "the old bytes", NEW: "the new bytes", bytes(len(OLD)): "zeros", b"": "no bytes"}
    return words.get(found, "another file's bytes")
