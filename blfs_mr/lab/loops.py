"""Loop devices of a lab: the commands that make and end them (pure), and those that there are.

Devices read and write their files directly, past the page cache, so that two over one image agree no more
than two hosts do. One device must not: that of an owner over the file of an initiator process. QEMU 7.2
corrupts what is written there concurrently, and without direct I/O the kernel writes one request at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from blfs_mr.lab.plan import Attachment, Backend, LabPlan
from blfs_mr.volume.attach import AttachRole

_DELETED = " (deleted)"
"""What the kernel adds to the name of a file that is gone."""


def make_loop(plan: LabPlan, attachment: Attachment) -> list[str]:
    """The command that makes the device of an attachment, and prints its path."""
    writes = attachment.role is AttachRole.OWNER
    direct = "off" if writes and plan.backend is Backend.ISCSI else "on"
    behind = attachment.lun if plan.backend is Backend.ISCSI else plan.image(attachment.owner)
    protection = [] if writes else ["--read-only"]
    return ["losetup", "--find", "--show", f"--direct-io={direct}", *protection, str(behind)]


def make_writable(device: str) -> list[str]:
    """The command for a new device of an owner, and for one of a peer before it ends.

    The number of a loop device is used again, and keeps the protection that was set on the last one.
    """
    return ["blockdev", "--setrw", device]


def end_loop(device: str) -> list[str]:
    """The command that ends a device, once nothing uses it any more."""
    return ["losetup", "--detach", device]


def loops_over(folder: Path) -> Iterator[str]:
    """The loop devices of this host over files in ``folder``, by what the kernel says."""
    for backing in sorted(Path("/sys/block").glob("loop*/loop/backing_file")):
        try:
            path = backing.read_text().rstrip("\n").removesuffix(_DELETED)
        except OSError:
            continue  # Ended while we looked.
        if path.startswith(f"{folder}/"):
            yield f"/dev/{backing.parts[3]}"
