"""Disks for tests: one image seen through two loop devices, as a disk on a SAN is seen by two hosts.

The loop devices read and write the image directly, so that no page cache makes them agree. What a disk had
mounted is unmounted and its devices are freed however the test ends.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from blfs_mr.linux import device_number, read_mounts
from blfs_mr.model import VolumeLayout, WorkerName
from blfs_mr.volume.attach import unmount
from blfs_mr.volume.contract import VolumePlace
from blfs_mr.volume.devices import FileSystem
from blfs_mr.volume.format import FormatPlan, format_volume
from blfs_mr.volume.geometry import uniform_files

OWNER = WorkerName("alpha")
FILES, SIZE = 3, 64 << 10

KINDS = ("ext4", "xfs", "raw")

_READ, _WRITTEN = 2, 6

# Nobody can make a smaller xfs: mkfs.xfs refuses it.
_IMAGE_SIZES = {"ext4": 48 << 20, "xfs": 300 << 20, "raw": 8 << 20}


def why_not() -> str:
    """Why there can be no loop devices here; empty where there can."""
    if os.geteuid() != 0:
        return "needs root"
    if not os.path.exists("/dev/loop-control"):
        return "needs loop devices (/dev/loop-control)"
    return ""


def tool(*command: str) -> str:
    """Run a program and return what it printed; its failure fails the test."""
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{' '.join(command)}: {ran.stderr or ran.stdout}"
    return ran.stdout.strip()


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk, seen through two devices, each with a folder to mount it at."""

    image: Path
    kind: str
    owner: str
    peer: str
    mount: str
    peer_mount: str
    written_before: int

    @property
    def layout(self) -> VolumeLayout:
        return VolumeLayout.RAW if self.kind == "raw" else VolumeLayout.FILE

    @property
    def own(self) -> VolumePlace:
        return VolumePlace(self.layout, self.owner, self.mount if self.kind != "raw" else "")

    @property
    def peers(self) -> VolumePlace:
        return VolumePlace(self.layout, self.peer, self.peer_mount if self.kind != "raw" else "")

    def plan(self, *, force: bool = False, count: int = FILES, size: int = SIZE) -> FormatPlan:
        system = FileSystem.EXT4 if self.kind == "raw" else FileSystem(self.kind)
        return FormatPlan(self.owner, self.layout, OWNER, uniform_files(count, size), system, force)

    def format(self) -> None:
        format_volume(self.plan(force=True))

    def sectors_that_the_peer_wrote(self) -> int:
        """How much has been written through the peer's device since the disk was made."""
        return _sectors(self.peer, _WRITTEN) - self.written_before

    def sectors_that_the_peer_read(self) -> int:
        """Sectors that have been read through the peer's device, by this disk and those before it."""
        return _sectors(self.peer, _READ)

    def mounts(self) -> list[str]:
        """Where the disk is mounted, through either device."""
        numbers = {device_number(self.owner), device_number(self.peer)}
        return [mount.point for mount in read_mounts() if mount.device in numbers]


@contextmanager
def a_disk(folder: Path, kind: str, size: int | None = None) -> Iterator[Disk]:
    """A new disk, its image and mount points in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    image = folder / "disk.image"
    with image.open("wb") as file:
        file.truncate(size or _IMAGE_SIZES[kind])
    mounts = [folder / "owner", folder / "peer"]
    for mount in mounts:
        mount.mkdir()
    devices: list[str] = []
    try:
        while len(devices) < 2:
            devices += [loop(image)]
        owner, peer = devices
        yield Disk(image, kind, owner, peer, str(mounts[0]), str(mounts[1]), _sectors(peer, _WRITTEN))
    finally:
        for device in devices:
            number = device_number(device)
            for found in reversed(read_mounts()):
                if found.device == number:
                    unmount(found.point)
            free(device)


def loop(image: str | Path, *, direct: bool = True) -> str:
    """A loop device over a file or another device, with a page cache of its own where not ``direct``."""
    device = tool("losetup", "--find", "--show", f"--direct-io={'on' if direct else 'off'}", str(image))
    # Read-only outlives what a loop device stood for before.
    tool("blockdev", "--setrw", device)
    return device


def free(device: str) -> None:
    """Detach a loop device."""
    tool("blockdev", "--setrw", device)
    tool("losetup", "--detach", device)


def _sectors(device: str, field: int) -> int:
    """Since the device's node was made, whatever disk it stood for (Documentation/block/stat.rst)."""
    return int(Path(f"/sys/block/{os.path.basename(device)}/stat").read_text().split()[field])
