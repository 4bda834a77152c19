"""What a peer sees of a disk that another host writes: the facts behind the consistency contract, measured.

One image seen through two loop devices stands for a disk on a SAN: each device has caches of its own, and
neither learns of what is written through the other. Each observation breaks the contract in one way, or keeps
it. Needs root; everything is made in a folder of its own and taken away again.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from blfs_mr.errors import UsageError
from blfs_mr.linux import (
    PAGE,
    AlignedBuffer,
    drop_device_cache,
    open_direct,
    open_for_overwrite,
    read_exactly,
    set_read_only,
)
from blfs_mr.volume.attach import run_tool, unmount
from blfs_mr.volume.file_layout import flush

ROUNDS = 10_000
"""Overwrites that the contract has to show fresh: a stale read of one in a thousand would be seen."""

_IMAGE_SIZE = 48 << 20


@dataclass(frozen=True, slots=True)
class Observation:
    """What was done, what the peer saw, the seconds that it took, and whether it was as documented."""

    action: str
    outcome: str
    seconds: float
    expected: bool


@dataclass(frozen=True, slots=True)
class Pair:
    """A disk with ext4 and one pre-written file, ``data``, mounted by its owner only."""

    owner_device: str
    peer_device: str
    owner: Path
    peer: Path

    @contextmanager
    def peer_mounted(self, options: str = "ro,noload", *, protected: bool = True) -> Iterator[None]:
        """The disk mounted by the peer, its device read-only before where ``protected``."""
        self._set_read_only(protected)
        run_tool(["mount", "-t", "ext4", "-o", options, self.peer_device, str(self.peer)])
        try:
            yield
        finally:
            unmount(str(self.peer))
            self._set_read_only(False)

    def write(
        self, name: str, data: bytes, *, flags: int = 0, file: bool = True, device: bool = True
    ) -> None:
        """Overwrite the beginning of a file as its owner, and flush what is asked for."""
        path = str(self.owner / name)
        fd = os.open(path, os.O_RDWR | flags, 0o600) if flags else open_for_overwrite(path)
        try:
            os.pwrite(fd, data, 0)
            if file:
                os.fsync(fd)
        finally:
            os.close(fd)
        if device:
            flush(self.owner_device)

    def sectors_written_by_peer(self) -> int:
        """Through the peer's device, ever (Documentation/block/stat.rst)."""
        return int(Path(f"/sys/block/{os.path.basename(self.peer_device)}/stat").read_text().split()[6])

    def _set_read_only(self, read_only: bool) -> None:
        fd = os.open(self.peer_device, os.O_RDONLY)
        try:
            set_read_only(fd, read_only)
        finally:
            os.close(fd)


def observe(rounds: int = ROUNDS) -> list[Observation]:
    """All observations, each on a disk of its own. Raises UsageError without root, VolumeError, OSError."""
    if os.geteuid() != 0:
        raise UsageError("loop devices and mounts need root")
    observations = []
    for deed in (
        _buffered_read_after_overwrite,
        _new_file,
        _new_file_after_dropping_caches,
        _allocated_file,
        _plain_read_only_mount,
        _orphan_without_protection,
        _orphan_with_protection,
        _no_flush,
        _file_flush_only,
        _truncating_rewrite,
        lambda pair: _contract(pair, rounds),
    ):
        with _pair() as pair:
            observations.append(deed(pair))
    return observations


def _timed(action: str, deed: Callable[[], tuple[str, bool]]) -> Observation:
    start = time.perf_counter()
    outcome, expected = deed()
    return Observation(action, outcome, time.perf_counter() - start, expected)


# ---------------------------------------------------------------- the observations


def _buffered_read_after_overwrite(pair: Pair) -> Observation:
    def deed() -> tuple[str, bool]:
        with pair.peer_mounted():
            (pair.peer / "data").read_bytes()
            pair.write("data", b"new!")
            buffered = (pair.peer / "data").read_bytes()[:4]
            direct = _read_direct(pair.peer / "data")
            outcome = f"buffered: {_age(buffered)} bytes; O_DIRECT: {_age(direct)} bytes"
            return outcome, (buffered, direct) == (b"old!", b"new!")

    return _timed("overwrite in place, fsync(file), fsync(device)", deed)


def _new_file(pair: Pair) -> Observation:
    def deed() -> tuple[str, bool]:
        with pair.peer_mounted():
            os.listdir(pair.peer)
            pair.write("later", b"new!", flags=os.O_CREAT)
            os.sync()
            seen = (pair.peer / "later").exists()
            return ("found" if seen else "ENOENT"), not seen

    return _timed("a file made after the peer read the folder, all flushed", deed)


def _new_file_after_dropping_caches(pair: Pair) -> Observation:
    with pair.peer_mounted():
        os.listdir(pair.peer)
        pair.write("later", b"new!", flags=os.O_CREAT)
        os.sync()

        def deed() -> tuple[str, bool]:
            Path("/proc/sys/vm/drop_caches").write_text("3")
            fd = os.open(pair.peer_device, os.O_RDONLY)
            drop_device_cache(fd)
            os.close(fd)
            seen = (pair.peer / "later").exists()
            return ("found" if seen else "ENOENT still"), seen

        return _timed("the same, then all caches of the peer's host dropped, and BLKFLSBUF", deed)


def _allocated_file(pair: Pair) -> Observation:
    def deed() -> tuple[str, bool]:
        fd = os.open(pair.owner / "allocated", os.O_RDWR | os.O_CREAT)
        os.posix_fallocate(fd, 0, PAGE)
        os.fsync(fd)
        os.close(fd)
        os.sync()
        with pair.peer_mounted("ro,noload"):
            peer = pair.peer / "allocated"
            before = peer.exists() and _read_direct(peer)
            pair.write("allocated", b"new!")
            os.sync()
            after = peer.exists() and _read_direct(peer)
            if before is False:
                return "ENOENT: its name stands in the journal only", False
            return f"O_DIRECT: {_age(after or b'')} bytes, no error", after == bytes(4)

    return _timed("a file that was only allocated, written after the peer opened it, all flushed", deed)


def _plain_read_only_mount(pair: Pair) -> Observation:
    def deed() -> tuple[str, bool]:
        pair.write("journalled", b"x", flags=os.O_CREAT)
        before = pair.sectors_written_by_peer()
        with pair.peer_mounted("ro", protected=False):
            pass
        written = pair.sectors_written_by_peer() - before
        return f"the peer wrote {written} sectors to the owner's disk", written > 0

    return _timed("the peer mounts plain `ro` beside the live owner", deed)


def _orphan(pair: Pair, protected: bool) -> tuple[str, bool]:
    with (pair.owner / "orphan").open("wb") as file:
        file.write(bytes(PAGE))
        os.fsync(file.fileno())
        os.unlink(file.name)
        run_tool(["sync", "-f", str(pair.owner)])
        # Onto its place on the disk, where a mount without replay can see it.
        run_tool(["fsfreeze", "--freeze", str(pair.owner)])
        try:
            before = pair.sectors_written_by_peer()
            with pair.peer_mounted(protected=protected):
                pass
            written = pair.sectors_written_by_peer() - before
        finally:
            run_tool(["fsfreeze", "--unfreeze", str(pair.owner)])
    return f"the peer wrote {written} sectors to the owner's disk", (written > 0) is not protected


def _orphan_without_protection(pair: Pair) -> Observation:
    return _timed("an orphan inode on disk, the peer mounts `ro,noload`", lambda: _orphan(pair, False))


def _orphan_with_protection(pair: Pair) -> Observation:
    return _timed("the same, the device made read-only before", lambda: _orphan(pair, True))


def _flushed_partly(pair: Pair, file: bool) -> tuple[str, bool]:
    with pair.peer_mounted():
        pair.write("data", b"new!", file=file, device=False)
        found = _read_direct(pair.peer / "data")
        return f"O_DIRECT: {_age(found)} bytes", found == (b"new!" if file else b"old!")


def _no_flush(pair: Pair) -> Observation:
    return _timed("overwrite in place, no flush at all", lambda: _flushed_partly(pair, False))


def _file_flush_only(pair: Pair) -> Observation:
    return _timed("overwrite in place, fsync(file) only", lambda: _flushed_partly(pair, True))


def _truncating_rewrite(pair: Pair) -> Observation:
    def deed() -> tuple[str, bool]:
        with pair.peer_mounted():
            _read_direct(pair.peer / "data")
            # Something else gets the blocks that the truncation frees, as on any disk in use.
            pair.write("data", b"", flags=os.O_TRUNC)
            pair.write("other", b"else" * (PAGE // 4), flags=os.O_CREAT)
            pair.write("data", b"new!", flags=os.O_TRUNC)
            os.sync()
            found = _read_direct(pair.peer / "data")
            return f"O_DIRECT: {_age(found)} bytes", found != b"new!"

    return _timed("rewritten with O_TRUNC, all flushed", deed)


def _contract(pair: Pair, rounds: int) -> Observation:
    def deed() -> tuple[str, bool]:
        stale = 0
        with pair.peer_mounted():
            for number in range(rounds):
                data = number.to_bytes(4, "big")
                pair.write("data", data)
                stale += _read_direct(pair.peer / "data") != data
        return f"{stale} stale reads in {rounds} rounds", stale == 0

    return _timed("the contract as a whole", deed)


# ---------------------------------------------------------------- the disk


@contextmanager
def _pair() -> Iterator[Pair]:
    with (
        TemporaryDirectory(prefix="blfs-mr-lab-", ignore_cleanup_errors=True) as folder,
        ExitStack() as stack,
    ):
        image = Path(folder, "disk.image")
        with image.open("wb") as file:
            file.truncate(_IMAGE_SIZE)
        run_tool(["mkfs.ext4", "-q", "-F", "-b", str(PAGE), "-E", "lazy_itable_init=0", str(image)])
        owner_device, peer_device = (_loop(image, stack) for _ in range(2))
        owner, peer = Path(folder, "owner"), Path(folder, "peer")
        owner.mkdir()
        peer.mkdir()
        run_tool(["mount", "-t", "ext4", owner_device, str(owner)])
        (owner / "data").write_bytes(b"old!" * (PAGE // 4))
        unmount(str(owner))
        run_tool(["mount", "-t", "ext4", owner_device, str(owner)])
        stack.callback(unmount, str(owner))
        yield Pair(owner_device, peer_device, owner, peer)


def _loop(image: Path, stack: ExitStack) -> str:
    command = ["losetup", "--find", "--show", "--direct-io=on", str(image)]
    device = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    stack.callback(run_tool, ["losetup", "--detach", device])
    return device


def _read_direct(path: Path) -> bytes:
    fd = open_direct(str(path))
    try:
        with AlignedBuffer(PAGE) as buffer, buffer.view() as view:
            return bytes(view[: min(4, read_exactly(fd, view, 0))])
    finally:
        os.close(fd)


def _age(found: bytes) -> str:
    return {b"old!": "the old", b"new!": "the new", bytes(4): "zero", b"": "no"}.get(found, "another file's")
