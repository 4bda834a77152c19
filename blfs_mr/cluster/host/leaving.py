"""The steps by which a host leaves the cluster and is again what it was before."""

from __future__ import annotations

import os

from blfs_mr.cluster.host.base import MODULES_FILE, units_of
from blfs_mr.cluster.host.steps import Step, command
from blfs_mr.cluster.host.system import System
from blfs_mr.cluster.host.volumes import present_superblock
from blfs_mr.cluster.places import CONFIG_FOLDER, DAEMON_USER, HOME, TASK_UNITS, TASK_USER, VOLUME_GROUP
from blfs_mr.cluster.plan import HostPlan
from blfs_mr.errors import VolumeError

_WIPED = 1 << 20
"""Bytes zeroed at the start of a volume: superblock, and that of a file system."""


def stopped_step(plan: HostPlan) -> Step:
    """No unit of ours runs or starts at boot, and nothing is mounted."""
    units = units_of(plan)

    def apply(system: System) -> bool:
        known = system.run(["systemctl", "list-unit-files", "--no-legend", *units]).output.split()
        present = [unit for unit in units if unit in known]
        changed = False
        if present:
            active = system.run(["systemctl", "is-active", *present]).output.split()
            enabled = system.run(["systemctl", "is-enabled", *present]).output.split()
            changed = "active" in active or "enabled" in enabled
            command(system, ["systemctl", "disable", "--now", *present])
            # Nobody's account goes while a process of theirs is there.
            command(system, ["systemctl", "stop", TASK_UNITS])
        mounts = [peer.mount for peer in plan.peers if peer.mount]
        if plan.own is not None and plan.own.mount:
            mounts.append(plan.own.mount)
        for mount in mounts:
            if os.path.ismount(mount):
                command(system, ["umount", mount])
                changed = True
        return changed

    return Step("stop and detach", [f"systemctl disable --now {' '.join(units)}"], apply)


def wiped_step(name: str, device: str) -> Step:
    """The device holds no volume of this worker any more. Another's is left alone."""

    def apply(system: System) -> bool:
        if not os.path.exists(device):
            return False
        present = present_superblock(device)
        if present is None:
            return False
        if present.owner != name:
            raise VolumeError(
                f"{device} is the volume of {present.owner}, not of {name}: it is left as it is"
            )
        fd = os.open(device, os.O_WRONLY | os.O_EXCL | os.O_CLOEXEC)
        try:
            os.pwrite(fd, bytes(_WIPED), 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        return True

    return Step("wipe the volume", [f"dd if=/dev/zero of={device} bs=1M count=1 conv=fsync"], apply)


def files_gone_step(plan: HostPlan) -> Step:
    """Neither units nor folders of ours are left. The program goes last, by another hand."""
    paths = [*(unit.path for unit in plan.units), MODULES_FILE, CONFIG_FOLDER, HOME]
    folders = {os.path.dirname(unit.path) for unit in plan.units}
    # Of additions to units of the system's, which may have others.
    shared = sorted(folder for folder in folders if folder.endswith(".service.d"))
    prune = ["rmdir", "--ignore-fail-on-non-empty", *shared]

    def apply(system: System) -> bool:
        removed = [system.remove(path) for path in paths]
        if any(system.matches(folder) for folder in shared):
            command(system, prune)
        command(system, ["systemctl", "daemon-reload"])
        return any(removed)

    return Step("files", [f"rm -rf {' '.join(paths)}", " ".join(prune), "systemctl daemon-reload"], apply)


def accounts_gone_step() -> Step:
    """Our users and group are gone."""
    removals = [
        ("passwd", DAEMON_USER, ["userdel", DAEMON_USER]),
        ("passwd", TASK_USER, ["userdel", TASK_USER]),
        *(("group", group, ["groupdel", group]) for group in (DAEMON_USER, TASK_USER, VOLUME_GROUP)),
    ]

    def apply(system: System) -> bool:
        changed = False
        for kind, name, remove in removals:
            # A user's own group goes with it, where it has no other member.
            if system.run(["getent", kind, name]).exit_code == 0:
                command(system, remove)
                changed = True
        return changed

    return Step("users and group", [" ".join(remove) for _, _, remove in removals], apply)
