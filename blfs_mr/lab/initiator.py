"""The commands of the two initiators: open-iscsi, and without the kernel's iSCSI a process for each session.

The process is qemu-storage-daemon: it logs in by a name of its own and shows the LUN as a file (FUSE), on
which a loop device stands. With either each node of a lab has TCP sessions of its own, as hosts have. Pure,
but for the look into sysfs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from blfs_mr.lab.plan import ADDRESS, Attachment, LabPlan
from blfs_mr.lab.target import LUN, initiator_name, target_name
from blfs_mr.model import WorkerName
from blfs_mr.volume.attach import AttachRole

KERNEL_TRANSPORT = Path("/sys/class/iscsi_transport/tcp")
"""Exists where the kernel's module iscsi_tcp is loaded."""

KERNEL_SESSIONS = Path("/sys/class/iscsi_session")
"""The sessions of the kernel, with their target and interface names, and the disks beneath their devices."""


def login_process(plan: LabPlan, attachment: Attachment, pid_file: Path) -> list[str]:
    """Log in, and leave a process that keeps the session; ends when the file shows the LUN."""
    writable = attachment.role is AttachRole.OWNER
    disk = {
        "driver": "iscsi",
        "node-name": "lun",
        "transport": "tcp",
        "portal": f"{ADDRESS}:{plan.portal(attachment.owner)}",
        "target": target_name(attachment),
        "lun": str(LUN),
        "initiator-name": initiator_name(attachment.node),
        "read-only": "off" if writable else "on",
    }
    shown = {
        "type": "fuse",
        "id": "export",
        "node-name": "lun",
        # A comma divides options, two stand for one.
        "mountpoint": str(attachment.lun).replace(",", ",,"),
        "writable": "on" if writable else "off",
    }
    return [
        *("qemu-storage-daemon", "--daemonize", "--pidfile", str(pid_file)),
        *("--blockdev", _options(disk), "--export", _options(shown)),
    ]


def interface_name(plan: LabPlan, node: WorkerName) -> str:
    """The interface of open-iscsi that carries a node's initiator name."""
    return f"lab-{plan.mark}-{node}"


def new_interface(plan: LabPlan, node: WorkerName) -> Iterator[list[str]]:
    """The commands that make a node's interface."""
    interface = _interface(plan, node)
    yield [*interface, "--op", "new"]
    for name, value in (("iface.transport_name", "tcp"), ("iface.initiatorname", initiator_name(node))):
        yield [*interface, "--op", "update", "--name", name, "--value", value]


def delete_interface(plan: LabPlan, node: WorkerName) -> list[str]:
    """The command that removes a node's interface, once all its sessions are gone."""
    return [*_interface(plan, node), "--op", "delete"]


def kernel_login(plan: LabPlan, attachment: Attachment) -> Iterator[list[str]]:
    """The commands that log the kernel in, through the node's interface."""
    record = _record(plan, attachment)
    yield [*record, "--op", "new"]
    timeout = str(round(plan.session_timeout))
    for name, value in (
        ("node.session.timeo.replacement_timeout", timeout),
        ("node.startup", "manual"),
    ):
        yield [*record, "--op", "update", "--name", name, "--value", value]
    yield [*record, "--login"]


def kernel_logout(plan: LabPlan, attachment: Attachment) -> Iterator[list[str]]:
    """The commands that end what :func:`kernel_login` began."""
    record = _record(plan, attachment)
    yield [*record, "--logout"]
    yield [*record, "--op", "delete"]


def kernel_disk(plan: LabPlan, attachment: Attachment) -> str:
    """The kernel's device of a session, as sysfs shows it; empty while there is none.

    Not by /dev/disk/by-path: the paths there tell targets apart, but not the initiators of one host.
    """
    wanted = (target_name(attachment), interface_name(plan, attachment.node))
    for session in KERNEL_SESSIONS.glob("session*"):
        if tuple(_text(session / name) for name in ("targetname", "ifacename")) == wanted:
            for disk in session.glob(f"device/target*/*:{LUN}/block/*"):
                return f"/dev/{disk.name}"
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _interface(plan: LabPlan, node: WorkerName) -> list[str]:
    return ["iscsiadm", "--mode", "iface", "--interface", interface_name(plan, node)]


def _record(plan: LabPlan, attachment: Attachment) -> list[str]:
    portal = f"{ADDRESS}:{plan.portal(attachment.owner)}"
    return [
        *("iscsiadm", "--mode", "node", "--targetname", target_name(attachment), "--portal", portal),
        *("--interface", interface_name(plan, attachment.node)),
    ]


def _options(given: dict[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in given.items())
