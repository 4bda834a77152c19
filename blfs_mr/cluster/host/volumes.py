"""The steps of a host's own volume and of those of its peers."""

from __future__ import annotations

import grp
import os

from blfs_mr.cluster.host.steps import Step, command
from blfs_mr.cluster.host.system import System
from blfs_mr.cluster.places import COMMAND, CONFIG_FILE, FORMATTING_FILE, VOLUME_GROUP, VOLUMES_UNIT
from blfs_mr.cluster.plan import HostPlan, OwnVolume
from blfs_mr.errors import CorruptData, VolumeError
from blfs_mr.model import VolumeLayout, WorkerName
from blfs_mr.volume.attach import mounted_privately, read_only_device
from blfs_mr.volume.devices import FileSystem, contents, file_system_of, is_raw_volume, mounts_of
from blfs_mr.volume.format import FormatPlan, format_volume
from blfs_mr.volume.geometry import parse_shared_files
from blfs_mr.volume.superblock import Superblock
from blfs_mr.volume.superblock_pages import read_superblock, superblock_place

MOUNTS = "/proc/self/mounts"
"""What is mounted here, and how (proc(5))."""


def format_step(name: str, own: OwnVolume) -> Step:
    """The device is a volume of this worker. One that holds anything else is refused."""

    def apply(system: System) -> bool:
        present = present_superblock(own.device)
        if present is not None:
            _check_owner(present, name, own)
            system.remove(FORMATTING_FILE)
            return False
        interrupted = (system.read(FORMATTING_FILE) or "").strip() == own.device
        if not interrupted and (found := contents(own.device)):
            raise VolumeError(
                f"{own.device} holds data: {found}; if it is of no use any more, `wipefs -a {own.device}`"
            )
        # Until it is complete, whatever stands on the device is of this very format.
        system.write(FORMATTING_FILE, f"{own.device}\n", mode=0o600, user="root", group="root")
        format_volume(
            FormatPlan(
                own.device,
                VolumeLayout(own.layout),
                WorkerName(name),
                parse_shared_files(own.shared_files),
                FileSystem(own.file_system),
                force=interrupted,
            )
        )
        if own.layout == VolumeLayout.FILE.value:
            _give_files_to_group(own)
        system.remove(FORMATTING_FILE)
        return True

    kind = f"--fs {own.file_system} " if own.layout == "file" else ""
    shown = (
        f"blfs-mr volume format {own.device} --layout {own.layout} {kind}--owner {name} --sharedfiles …  # "
        f"{len(own.shared_files.splitlines())} shared files"
    )
    return Step("format", [shown], apply)


def _give_files_to_group(own: OwnVolume) -> None:
    # Now, before any peer attaches: afterwards nothing but the contents of files may change.
    try:
        group = grp.getgrnam(VOLUME_GROUP).gr_gid
    except KeyError:
        return  # A host whose accounts are not made by a plan: the files stay root's.
    with mounted_privately(own.device, FileSystem(own.file_system)) as root:
        for entry in os.scandir(root):
            if entry.is_file(follow_symlinks=False):
                os.chown(entry.path, -1, group)
                os.chmod(entry.path, 0o660)


def attach_step(plan: HostPlan) -> Step:
    """Own volume and peers' volumes are attached, now and at each boot."""
    start = ["systemctl", "start", VOLUMES_UNIT]
    attach = [COMMAND, "host", "attach", "--config", CONFIG_FILE, "--name", plan.name]

    def apply(system: System) -> bool:
        running = system.run(["systemctl", "is-active", VOLUMES_UNIT]).exit_code == 0
        if not running:
            command(system, start)
            return True
        # The unit knows nothing of peers that have come since it was started.
        before = system.read(MOUNTS)
        command(system, attach)
        return system.read(MOUNTS) != before

    return Step("attach volumes", [" ".join(start)], apply)


def present_superblock(device: str) -> Superblock | None:
    """The superblock of the volume on ``device``, wherever it is mounted; None where no complete one is."""
    try:
        if is_raw_volume(device):
            return read_superblock(device)[0]
        file_system = file_system_of(device)
        if file_system is None:
            return None
        if mounts := mounts_of(os.stat(device).st_rdev):
            return read_superblock(superblock_place(VolumeLayout.FILE, mounts[0].point, device))[0]
        with read_only_device(device), mounted_privately(device, file_system, read_only=True) as root:
            return read_superblock(superblock_place(VolumeLayout.FILE, root, device))[0]
    except (VolumeError, CorruptData, FileNotFoundError):
        return None  # Whatever else it is, the caller finds out.


def _check_owner(present: Superblock, name: str, own: OwnVolume) -> None:
    if present.owner != name:
        raise VolumeError(
            f"{own.device} is the volume of {present.owner}, not of {name}: is this the right device? If "
            f"that worker is gone for good, `wipefs -a {own.device}` here"
        )
    if present.layout.value != own.layout:
        raise VolumeError(
            f"{own.device} is a volume in the layout {present.layout.value}, and config.toml says "
            f"{own.layout}: tear the cluster down first, or put cluster.layout right"
        )
