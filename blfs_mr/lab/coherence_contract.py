"""The contract as a whole, with a volume as ``blfs-mr volume`` makes it: never a stale read."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

from blfs_mr.lab.coherence_disk import DevicePair
from blfs_mr.lab.coherence_observation import Observation
from blfs_mr.linux import PAGE, AlignedBuffer, read_exactly, write_all
from blfs_mr.model import SharedFile, VolumeAccess, VolumeLayout, WorkerName
from blfs_mr.volume.attach import AttachRole, attach, detach
from blfs_mr.volume.devices import FileSystem
from blfs_mr.volume.format import FormatPlan, format_volume
from blfs_mr.volume.geometry import uniform_files
from blfs_mr.volume.layout import Volume, open_volume
from blfs_mr.volume.superblock_pages import read_superblock, superblock_place

_OWNER = WorkerName("coherence")
_FILES, _SIZE = 8, 4 * PAGE


def contract_kept(
    name: str, devices: DevicePair, layout: VolumeLayout, file_system: FileSystem, rounds: int
) -> Observation:
    """Format, attach on both sides, and overwrite and read the shared files. Raises as these do."""
    did = f"format, attach, then {rounds} rounds of overwrite, fsync(file), fsync(device), read with O_DIRECT"
    start = time.perf_counter()
    mounts = ("", "")
    if layout is VolumeLayout.FILE:
        mounts = (str(devices.folder / "owner"), str(devices.folder / "peer"))
    devices.protect_peer(False)
    format_volume(
        FormatPlan(devices.owner, layout, _OWNER, uniform_files(_FILES, _SIZE), file_system, force=True)
    )
    try:
        attach(devices.owner, mounts[0], AttachRole.OWNER)
        attach(devices.peer, mounts[1], AttachRole.PEER)
        stale = _stale_reads(layout, devices, mounts, rounds)
    finally:
        detach(devices.peer, mounts[1])
        detach(devices.owner, mounts[0])
        devices.protect_peer(False)
    saw = f"{stale} stale reads in {rounds} rounds"
    return Observation(name, did, saw, "never a stale read", stale == 0, time.perf_counter() - start)


def _stale_reads(layout: VolumeLayout, devices: DevicePair, mounts: tuple[str, str], rounds: int) -> int:
    superblock, entries = read_superblock(superblock_place(layout, mounts[0], devices.owner))
    own = open_volume(VolumeAccess(superblock.volume, layout, mounts[0] or devices.owner, devices.owner))
    peers = open_volume(VolumeAccess(superblock.volume, layout, mounts[1] or devices.peer, devices.peer))

    def stale_reads_of(number: int) -> int:
        file = entries[number].shared_file(superblock)
        return sum(_is_stale(own, peers, file, round) for round in range(number, rounds, _FILES))

    # All shared files at once, as by mappers beside one another.
    with ThreadPoolExecutor(_FILES) as threads:
        return sum(threads.map(stale_reads_of, range(_FILES)))


def _is_stale(own: Volume, peers: Volume, file: SharedFile, round: int) -> bool:
    data = round.to_bytes(8, "big") * (file.size // 8)
    fd = own.open_for_write(file)
    try:
        write_all(fd, data, file.offset)
        os.fsync(fd)
    finally:
        os.close(fd)
    own.flush_device()
    fd = peers.open_for_read(file)
    try:
        with AlignedBuffer(file.size) as buffer, buffer.view() as view:
            return read_exactly(fd, view, file.offset) != file.size or view != data
    finally:
        os.close(fd)
