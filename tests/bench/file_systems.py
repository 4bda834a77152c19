"""A file system to measure on: one of its own on a loop device for root, a plain folder for everybody else.

A file system of its own has nothing but the shared files on it, as a volume has, and a block device to flush.
The loop device reads and writes its image with O_DIRECT: through the page cache it would be a measurement of
memory.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .processes import Command, CommandFailed

_ROOM = 64 << 20
"""Bytes beside the files, for ext4's own metadata and journal."""

_TOOLS = ("mkfs.ext4", "mount", "umount", "losetup")


@dataclass(frozen=True, slots=True)
class FileSystem:
    """``folder`` takes the files, ``device`` is what to flush after them; empty for a plain folder."""

    folder: Path
    device: str

    @property
    def described(self) -> str:
        return "ext4 on a loop device" if self.device else "a folder"


@contextlib.contextmanager
def file_system(size: int) -> Iterator[FileSystem]:
    """Room for ``size`` bytes of files; gone at the end, however the block ends."""
    with tempfile.TemporaryDirectory(prefix="blfs-mr-bench-") as name:
        folder = Path(name)
        if os.geteuid() == 0 and all(map(shutil.which, _TOOLS)) and Path("/dev/loop-control").exists():
            with _on_loop_device(folder, size + _ROOM) as mounted:
                yield mounted
        else:
            yield FileSystem(folder, "")


@contextlib.contextmanager
def _on_loop_device(folder: Path, size: int) -> Iterator[FileSystem]:
    image, mount_point = folder / "image", folder / "mounted"
    mount_point.mkdir()
    with open(image, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    # Without its lazy initialization, which the kernel would go on with while we measure.
    _run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image])
    try:
        # The mount owns the loop device: it is detached by being unmounted, whoever does that.
        _run(["mount", "-o", "loop,noatime", image, mount_point])
        device = _run(["losetup", "--noheadings", "--output", "NAME", "--associated", image]).strip()
        _run(["losetup", "--direct-io=on", device])
        yield FileSystem(mount_point, device)
    finally:
        if os.path.ismount(mount_point):
            _run(["umount", mount_point])


def _run(command: Command) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandFailed(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout
