"""Two workers with a disk each on this machine, each the owner of one and a peer of the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from blfs_mr.volume.attach import AttachRole, attach
from blfs_mr.volume.format import FormatPlan, format_volume
from tests.block.disks import Disk, a_disk

WORKERS = ("worker-0", "worker-1")


@dataclass(frozen=True, slots=True)
class Disks:
    """A disk for each of WORKERS. Daemons find devices by links in ``folder``, which a test may turn."""

    folder: Path
    disks: tuple[Disk, ...]

    @property
    def worker(self) -> str:
        """The section of the configuration that all workers have."""
        peers = "".join(
            f"\n[[worker.peers]]\nname = '{name}'\ndevice = '{self.link(name)}'\nmount = '{disk.peers.root}'"
            for name, disk in zip(WORKERS, self.disks, strict=True)
        )
        return (
            f"slots = 2\nlayout = '{self.disks[0].layout.value}'\ndevice = '{self.folder}/{{name}}/device'\n"
            f"volume = '{self.folder}/{{name}}/owner'\npeer_check_interval = '200ms'\n{peers}"
        )

    def link(self, owner: str) -> Path:
        """What leads to the device by which peers read the volume of ``owner``."""
        return self.folder / owner / "peer-device"


@contextmanager
def attached_disks(folder: Path, kind: str, count: int = 6, size: int = 512 << 10) -> Iterator[Disks]:
    """Disks that are formatted, and attached by owner and peer."""
    with ExitStack() as stack:
        disks = []
        for name in WORKERS:
            disk = stack.enter_context(a_disk(folder / name, kind))
            plan = disk.plan(count=count, size=size)
            format_volume(FormatPlan(plan.device, plan.layout, name, plan.files, plan.file_system))  # type: ignore[arg-type]
            attach(disk.owner, disk.own.root, AttachRole.OWNER)
            attach(disk.peer, disk.peers.root, AttachRole.PEER)
            (folder / name / "device").symlink_to(disk.owner)
            (folder / name / "peer-device").symlink_to(disk.peer)
            disks.append(disk)
        yield Disks(folder, tuple(disks))
