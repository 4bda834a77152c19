"""What a peer sees of a disk that another host writes: the facts behind the consistency contract, measured.

Each experiment breaks the contract in one way, or keeps it, on a disk that is made anew for it. Two block
devices that lead to one disk are needed, which know nothing of each other's caches: loop devices over one
image are made where none are given. Needs root.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from blfs_mr.errors import UsageError
from blfs_mr.lab.coherence_contract import contract_kept
from blfs_mr.lab.coherence_disk import XFS_SIZE, DevicePair, given_pair, loop_pair
from blfs_mr.lab.coherence_experiments import EXPERIMENTS
from blfs_mr.lab.coherence_observation import Observation
from blfs_mr.model import VolumeLayout
from blfs_mr.volume.devices import FileSystem

ROUNDS = 10_000
"""Overwrites that the contract has to show fresh: a stale read of one in a thousand would be seen."""


@dataclass(frozen=True, slots=True)
class Findings:
    """All that was seen on one disk, in order, and what was left out there, with the reason."""

    disk: str
    versions: dict[str, str]
    experiments: tuple[Observation, ...]
    left_out: dict[str, str]


def observe(
    rounds: int = ROUNDS,
    owner_device: str = "",
    peer_device: str = "",
    *,
    force: bool = False,
    tell: Callable[[Observation], None] = lambda seen: None,
) -> Findings:
    """All experiments, on the disk of two given devices (whose data is lost) or on loop devices.

    ``tell`` hears of each as it ends. Raises UsageError without root or for devices that do not fit,
    VolumeError for those in use or that hold data (without ``force``), OSError.
    """
    if os.geteuid() != 0:
        raise UsageError("loop devices and mounts need root")
    if bool(owner_device) != bool(peer_device):
        raise UsageError("name the owner's device and the peer's, or neither")
    if owner_device:
        given = given_pair(owner_device, peer_device, force=force)

        def made() -> AbstractContextManager[DevicePair]:
            return given.for_one_experiment()
    else:
        made = loop_pair
    with made() as devices:
        protected, size = devices.peer_is_protected_elsewhere(), devices.size()
    experiments: list[Observation] = []
    left_out: dict[str, str] = {}
    for experiment in EXPERIMENTS:
        if experiment.peer_writes and protected:
            left_out[experiment.name] = "the disk refuses the peer's writes by itself, as it should"
            continue
        with made() as devices:
            experiments.append(experiment.run(devices))
        tell(experiments[-1])
    for layout, file_system, missing in _layouts(size):
        name = f"contract, {file_system.value if layout is VolumeLayout.FILE else 'raw'}"
        if missing:
            left_out[name] = missing
            continue
        with made() as devices:
            experiments.append(contract_kept(name, devices, layout, file_system, rounds))
        tell(experiments[-1])
    disk = f"{owner_device} and {peer_device}" if owner_device else "two loop devices over one image"
    return Findings(disk, versions(), tuple(experiments), left_out)


def _layouts(size: int) -> Iterable[tuple[VolumeLayout, FileSystem, str]]:
    """What the contract is tried in, each with the reason why not, empty for none."""
    without_xfs = ""
    if shutil.which("mkfs.xfs", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
        without_xfs = "mkfs.xfs is not installed (package xfsprogs)"
    elif size < XFS_SIZE:
        without_xfs = f"mkfs.xfs makes no file system of less than {XFS_SIZE >> 20} MiB"
    yield VolumeLayout.FILE, FileSystem.EXT4, ""
    yield VolumeLayout.FILE, FileSystem.XFS, without_xfs
    yield VolumeLayout.RAW, FileSystem.EXT4, ""


def versions() -> dict[str, str]:
    """The kernel, which holds the file systems' code, and the tools that make and mount them."""
    found = {"kernel": f"{platform.system()} {platform.release()}", "architecture": platform.machine()}
    for tool, option in (("mkfs.ext4", "-V"), ("mkfs.xfs", "-V"), ("mount", "--version")):
        try:
            ran = subprocess.run([tool, option], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            continue
        said = re.search(r"\d+\.\d+[\w.-]*", ran.stdout + ran.stderr)
        if said:
            found[tool] = said.group()
    return found
