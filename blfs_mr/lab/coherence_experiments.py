"""The experiments with ext4: the contract broken in one way each, and what each part of it does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from blfs_mr.lab.coherence_disk import NEW, DevicePair, MountedDisk
from blfs_mr.lab.coherence_observation import Experiment
from blfs_mr.linux import PAGE
from blfs_mr.volume.attach import run_tool

Seen = tuple[str, bool]

_FREE_INODES_AND_NAMES, _FREE_ALL = "2", "3"
"""What is written to drop_caches (Documentation/admin-guide/sysctl/vm.rst)."""


# ---------------------------------------------------------------- overwriting and flushing


def _overwritten(direct: bool, *, file: bool, device: bool, expected: str) -> Callable[[DevicePair], Seen]:
    """Overwrite in place with the given flushes, after the peer has read the file once."""

    def deed(devices: DevicePair) -> Seen:
        with devices.with_ext4() as disk, disk.peer_mounted():
            read = disk.read_direct if direct else disk.read_buffered
            read("data")
            disk.write("data", NEW, file=file, device=device)
            saw = read("data")
            return saw, saw == expected

    return deed


def _truncated(devices: DevicePair) -> Seen:
    with devices.with_ext4() as disk, disk.peer_mounted():
        disk.read_direct("data")
        # Something else gets the blocks that the truncation frees, as on any disk in use.
        disk.write("data", b"", flags=os.O_TRUNC)
        disk.write("other", b"else" * (PAGE // 4), flags=os.O_CREAT)
        disk.write("data", NEW, flags=os.O_TRUNC)
        disk.sync()
        saw = disk.read_direct("data")
        return saw, saw != "the new bytes"


# ---------------------------------------------------------------- names and extents


@contextmanager
def _new_file(devices: DevicePair) -> Iterator[MountedDisk]:
    """A file that its owner made and flushed after the peer had looked for it in vain."""
    with devices.with_ext4() as disk, disk.peer_mounted():
        os.listdir(disk.peer)
        _is_found(disk)
        disk.write("later", NEW, flags=os.O_CREAT)
        disk.sync()
        yield disk


def _looked_for(devices: DevicePair) -> Seen:
    with _new_file(devices) as disk:
        found = _is_found(disk)
        return _told(found), not found


def _looked_for_after(
    *, caches: str = "", device: bool = False, expected: bool | None = None
) -> Callable[[DevicePair], Seen]:
    """As :func:`_looked_for`, after dropping the host's ``caches`` and what is cached of the device.

    ``expected`` is whether the file is found then, None where nothing promises either.
    """

    def deed(devices: DevicePair) -> Seen:
        with _new_file(devices) as disk:
            start = time.perf_counter()
            if caches:
                Path("/proc/sys/vm/drop_caches").write_text(caches, encoding="ascii")
            if device:
                devices.drop_peer_device_cache()
            seconds = time.perf_counter() - start
            found = _is_found(disk)
            return (
                f"{_told(found)}; dropping took {seconds * 1_000:.0f} ms",
                expected is None or found is expected,
            )

    return deed


def _is_found(disk: MountedDisk) -> bool:
    return (disk.peer / "later").exists()


def _told(found: bool) -> str:
    return "the file" if found else "ENOENT"


def _allocated(devices: DevicePair) -> Seen:
    with devices.with_ext4() as disk:
        fd = os.open(disk.owner / "allocated", os.O_RDWR | os.O_CREAT, 0o600)
        os.posix_fallocate(fd, 0, PAGE)
        os.fsync(fd)
        os.close(fd)
        # Freezing brings what stands in the journal to its place, where a peer without replay finds it.
        run_tool(["fsfreeze", "--freeze", str(disk.owner)])
        run_tool(["fsfreeze", "--unfreeze", str(disk.owner)])
        with disk.peer_mounted():
            before = disk.read_direct("allocated")
            disk.write("allocated", NEW)
            disk.sync()
            after = disk.read_direct("allocated")
            return f"{before}; after the owner wrote and flushed: {after}", before == after == "zeros"


# ---------------------------------------------------------------- mounting


def _changes(devices: DevicePair, mount: Callable[[], None]) -> tuple[str, int]:
    """What mounting writes: in words, and the sectors that went through the peer's device."""
    before, written = devices.contents(), devices.sectors_written_by_peer()
    mount()
    sectors = devices.sectors_written_by_peer() - written
    after = devices.contents()
    pages = sum(before[at : at + PAGE] != after[at : at + PAGE] for at in range(0, len(before), PAGE))
    return f"the peer wrote {sectors} sectors; {pages} pages of the disk differ from before", sectors


def _mounted_beside_owner(options: str, *, writes: bool) -> Callable[[DevicePair], Seen]:
    """The peer mounts while the owner's journal has something in it."""

    def deed(devices: DevicePair) -> Seen:
        with devices.with_ext4() as disk:
            disk.write("journalled", b"x", flags=os.O_CREAT)

            def mount() -> None:
                with disk.peer_mounted(options, protected=False):
                    pass

            saw, sectors = _changes(devices, mount)
            return saw, (sectors > 0) is writes

    return deed


def _mounted_with_orphan(*, protected: bool) -> Callable[[DevicePair], Seen]:
    """The peer mounts without replay while an inode on disk is open and has no name any more."""

    def deed(devices: DevicePair) -> Seen:
        with devices.with_ext4() as disk, (disk.owner / "orphan").open("wb") as file:
            file.write(bytes(PAGE))
            os.fsync(file.fileno())
            os.unlink(file.name)
            run_tool(["sync", "-f", str(disk.owner)])
            # Onto its place on the disk, where a mount without replay can see it.
            run_tool(["fsfreeze", "--freeze", str(disk.owner)])
            try:

                def mount() -> None:
                    with disk.peer_mounted(protected=protected):
                        pass

                saw, sectors = _changes(devices, mount)
            finally:
                run_tool(["fsfreeze", "--unfreeze", str(disk.owner)])
        return saw, (sectors > 0) is not protected

    return deed


_NEW_FILE = "a file made after the peer looked for it, all flushed"

EXPERIMENTS = (
    Experiment(
        "buffered read",
        "overwrite in place, fsync(file), fsync(device); the peer reads through its page cache",
        "the old bytes",
        _overwritten(False, file=True, device=True, expected="the old bytes"),
    ),
    Experiment(
        "no flush",
        "overwrite in place, no flush at all; the peer reads with O_DIRECT",
        "the old bytes",
        _overwritten(True, file=False, device=False, expected="the old bytes"),
    ),
    Experiment(
        "file flush only",
        "overwrite in place, fsync(file); the peer reads with O_DIRECT",
        "the new bytes",
        _overwritten(True, file=True, device=False, expected="the new bytes"),
    ),
    Experiment(
        "both flushes",
        "overwrite in place, fsync(file), fsync(device); the peer reads with O_DIRECT",
        "the new bytes",
        _overwritten(True, file=True, device=True, expected="the new bytes"),
    ),
    Experiment(
        "truncating rewrite",
        "rewritten with O_TRUNC, all flushed; the peer reads with O_DIRECT",
        "what now stands in the blocks that the file had",
        _truncated,
    ),
    Experiment("new file", _NEW_FILE, "ENOENT", _looked_for),
    Experiment(
        "new file, device cache dropped",
        f"{_NEW_FILE}; BLKFLSBUF of the peer's device",
        "ENOENT",
        _looked_for_after(device=True, expected=False),
    ),
    Experiment(
        "new file, names dropped",
        f"{_NEW_FILE}; the host's names and inodes dropped (drop_caches 2)",
        "ENOENT",
        _looked_for_after(caches=_FREE_INODES_AND_NAMES, expected=False),
    ),
    Experiment(
        "new file, all caches dropped",
        f"{_NEW_FILE}; all caches of the host dropped (drop_caches 3)",
        "the file, unless something still holds the block of its folder",
        _looked_for_after(caches=_FREE_ALL),
    ),
    Experiment(
        "new file, everything dropped",
        f"{_NEW_FILE}; all caches of the host dropped (drop_caches 3), and BLKFLSBUF",
        "the file",
        _looked_for_after(caches=_FREE_ALL, device=True, expected=True),
    ),
    Experiment(
        "allocated file",
        "a file that was only allocated is written after the peer opened it, all flushed; O_DIRECT",
        "zeros, and no error",
        _allocated,
    ),
    Experiment(
        "plain ro",
        "the peer mounts `ro` beside the live owner",
        "the kernel replays the journal: the peer writes",
        _mounted_beside_owner("ro", writes=True),
        peer_writes=True,
    ),
    Experiment(
        "noload",
        "the peer mounts `ro,noload` beside the live owner",
        "nothing is written",
        _mounted_beside_owner("ro,noload", writes=False),
        peer_writes=True,
    ),
    Experiment(
        "orphan",
        "an orphan inode on disk; the peer mounts `ro,noload`",
        "the kernel cleans up: the peer writes",
        _mounted_with_orphan(protected=False),
        peer_writes=True,
    ),
    Experiment(
        "orphan, protected",
        "an orphan inode on disk; the device is made read-only, then the peer mounts `ro,noload`",
        "nothing is written",
        _mounted_with_orphan(protected=True),
    ),
)
