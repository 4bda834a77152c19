"""A block device that can be made to answer nobody, as a disk whose network has gone.

It is a loop device over a file that qemu-storage-daemon shows by FUSE. While that process is stopped, whoever
reads the device waits in the kernel, and no signal ends that.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.block.disks import loop, tool
from tests.integration.harness import wait_for


def why_no_hanging_disk() -> str:
    """Why there can be none here; empty where there can."""
    if shutil.which("qemu-storage-daemon") is None:
        return "needs qemu-storage-daemon (package qemu-utils)"
    if shutil.which("fusermount3") is None or not os.path.exists("/dev/fuse"):
        return "needs FUSE (package fuse3, /dev/fuse)"
    return ""


@dataclass(frozen=True, slots=True)
class HangingDisk:
    """``device`` shows an image, and answers nobody from ``hang`` to ``recover``."""

    device: str
    process: subprocess.Popen[bytes]

    def hang(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def recover(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def hanging_disk(image: Path, folder: Path, *, writable: bool = False) -> Iterator[HangingDisk]:
    """A device over ``image``; it recovers before it goes, so that nothing is left waiting."""
    protected, shows = ("off", "on") if writable else ("on", "off")
    folder.mkdir()
    shown, log = folder / "shown", folder / "log"
    shown.touch()
    command = [
        "qemu-storage-daemon",
        *(
            "--blockdev",
            f"driver=file,filename={image},node-name=disk,read-only={protected},cache.direct=on",
        ),
        *("--export", f"type=fuse,id=export,node-name=disk,mountpoint={shown},writable={shows}"),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    device = ""
    try:
        size = image.stat().st_size
        wait_for(lambda: process.poll() is not None or shown.stat().st_size == size, "the image is shown", 60)
        assert process.poll() is None, log.read_text()
        if writable:
            # QEMU 7.2 corrupts what is written concurrently, as with direct I/O.
            device = loop(shown, direct=False)
        else:
            device = tool("losetup", "--find", "--show", "--read-only", "--direct-io=on", str(shown))
        yield HangingDisk(device, process)
    finally:
        process.send_signal(signal.SIGCONT)
        if device:
            tool("losetup", "--detach", device)
            backing = Path(f"/sys/block/{os.path.basename(device)}/loop/backing_file")
            # Detaching waits for the last reader, and so must the end of what it reads.
            wait_for(lambda: not backing.exists(), "the device is free", 60)
        process.terminate()
        process.wait(60)
