"""What the kernel says of a side's way to the disk: read from sysfs and the device, nothing is written."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path as FilePath

from blfs_mr.linux import device_number, device_size, is_read_only, logical_block_size
from blfs_mr.volume.doctor.messages import Path

_FLUSHES = 15
"""The field of ``stat`` that counts flushes since Linux 5.5 (Documentation/block/stat.rst)."""


def describe(device: str) -> Path:
    """The path that ``device`` is. Raises OSError."""
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return Path(
            device=device,
            size=device_size(fd),
            logical_block_size=logical_block_size(fd),
            read_only=is_read_only(fd),
            write_cache=_said(device, "queue/write_cache"),
            # Only a loop device has this setting: 0 is that it reads its file through the page cache.
            through_page_cache=_said(device, "loop/dio") == "0",
        )
    finally:
        os.close(fd)


def flushes_sent(device: str) -> int | None:
    """Flushes that the kernel has sent to the disk so far; None where it does not count them."""
    fields = _said(device, "stat").split()
    return int(fields[_FLUSHES]) if len(fields) > _FLUSHES else None


def _said(device: str, name: str) -> str:
    """A line of sysfs about the disk, that of the whole disk for a partition; empty where there is none."""
    number = device_number(device)
    folder = FilePath(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if (folder / "partition").exists():
        folder = folder.resolve().parent
    with suppress(OSError):
        return (folder / name).read_text(encoding="ascii").strip()
    return ""
