"""What speaks against making a host part of the cluster, by what it told about itself. Pure.

All hosts are asked before any is changed, and all that is wrong is told at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from blfs_mr.cluster.facts import BlockDevice, HostFacts
from blfs_mr.cluster.places import VOLUME_GROUP, VOLUMES
from blfs_mr.units import format_size

OLDEST_PYTHON = (3, 11)
LARGEST_SECTOR = 4096
OUR_LABEL = " labelled blfs-mr"

LIO_MODULES = ("target_core_mod", "target_core_iblock", "iscsi_target_mod", "iscsi_tcp")
"""What a host needs of its kernel to export a volume and to reach those of others."""

_SUPERBLOCK_ROOM = 16 << 20
"""Bytes of a device beyond its shared files: superblock and table, and a file system's own."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What one host must have. Sizes are bytes, times seconds.

    ``device`` is the own volume's, empty where there is none; ``volume_size`` that of all its shared files.
    ``python`` and ``machine`` are what the wheels are made for.
    """

    device: str
    volume_size: int
    peer_devices: tuple[str, ...]
    modules: tuple[str, ...]
    free_space: int
    clock_skew: float
    gid: int
    python: str
    machine: str


def host_problems(facts: HostFacts, needs: Needs, asked: tuple[float, float]) -> list[str]:
    """What is wrong with one host, and its remedy; ``asked`` is our clock before and after the question."""
    return [
        *_system_problems(facts, needs),
        *_clock_problems(facts, needs, asked),
        *_group_problems(facts, needs),
        *(_device_problems(facts.devices.get(needs.device), needs) if needs.device else ()),
        *(
            f"{path} does not exist here, and should be a peer's volume: is the SAN connected?"
            for path in needs.peer_devices
            if facts.devices.get(path) is None
        ),
    ]


def problems_between(facts: Mapping[str, HostFacts]) -> list[str]:
    """What hosts must not have in common."""
    found = []
    for what, remedy, values in (
        (
            "iSCSI initiator name",
            "targets could not tell them apart; give one of them a new name (`iscsi-iname`, in "
            "/etc/iscsi/initiatorname.iscsi)",
            {name: host.initiator for name, host in facts.items()},
        ),
        (
            "machine id",
            "they are copies of one system, or one host twice; make new ones (`rm /etc/machine-id; "
            "systemd-machine-id-setup`)",
            {name: host.machine_id for name, host in facts.items()},
        ),
    ):
        for value in sorted({value for value in values.values() if value}):
            sharing = [name for name, other in values.items() if other == value]
            if len(sharing) > 1:
                found.append(f"{', '.join(sharing)} have the same {what}, {value}: {remedy}")
    return found


def _system_problems(facts: HostFacts, needs: Needs) -> Sequence[str]:
    problems = []
    if facts.user != 0:
        problems.append("commands do not run as root there")
    if "systemctl" not in facts.tools:
        problems.append(f"{facts.system or 'the system'} has no systemd, which runs the daemons")
    if not {"apt-get", "dnf"} & facts.tools:
        problems.append(f"{facts.system or 'the system'} has neither apt nor dnf: this is no system we know")
    if not facts.python:
        problems.append("there is no python3 with the module venv; install it")
    elif tuple(map(int, facts.python.split("."))) < OLDEST_PYTHON:
        problems.append(f"its Python is {facts.python}, and 3.11 or newer is needed")
    elif needs.python and (facts.python, facts.machine) != (needs.python, needs.machine):
        problems.append(
            f"its Python is {facts.python} on {facts.machine}, and the wheels here are for {needs.python} on "
            f"{needs.machine}; make wheels for it (`pip wheel` on such a host) and name their folder as "
            "cluster.wheels"
        )
    problems += [
        f"its kernel has no module {module}; install the distribution's full kernel (Debian's cloud kernels "
        "lack some)"
        for module in needs.modules
        if module not in facts.modules
    ]
    problems += [
        f"{folder} has {format_size(free)} free, and {format_size(needs.free_space)} is needed "
        "(cluster.limits.free_space)"
        for folder, free in facts.free.items()
        if free < needs.free_space
    ]
    return problems


def _clock_problems(facts: HostFacts, needs: Needs, asked: tuple[float, float]) -> Sequence[str]:
    before, after = asked
    # The host looked at its clock at some time between: only what lies outside is skew.
    skew = facts.clock - after if facts.clock > after else min(0.0, facts.clock - before)
    if abs(skew) <= needs.clock_skew:
        return ()
    return (
        f"its clock is {abs(skew):.0f}s {'ahead of' if skew > 0 else 'behind'} this one: certificates would "
        "not be valid; let it be synchronised (`timedatectl set-ntp true`)",
    )


def _group_problems(facts: HostFacts, needs: Needs) -> Sequence[str]:
    if facts.group_of_gid not in ("", VOLUME_GROUP):
        return (
            f"the number {needs.gid} is that of the group {facts.group_of_gid} there; choose one that is "
            "free on all hosts (cluster.volume_gid)",
        )
    if facts.gid_of_group not in ("", str(needs.gid)):
        return (
            f"the group {VOLUME_GROUP} has the number {facts.gid_of_group} there, and {needs.gid} elsewhere "
            "(cluster.volume_gid)",
        )
    return ()


def _device_problems(device: BlockDevice | None, needs: Needs) -> Sequence[str]:
    path = needs.device
    if device is None:
        return (f"{path} does not exist, or is no block device",)
    problems = []
    # Where it is our volume already, its owner has it mounted.
    mounts = [point for point in device.mounts if not point.startswith(f"{VOLUMES}/")]
    if mounts:
        problems.append(f"{path} is in use: it is mounted at {', '.join(mounts)}; unmount it")
    if device.parts:
        problems.append(
            f"{path} is in use: {', '.join(device.parts)} is made of it; name a whole, free device"
        )
    if device.read_only:
        problems.append(f"{path} is read-only")
    if device.sector > LARGEST_SECTOR:
        problems.append(
            f"{path} has blocks of {device.sector} bytes, and at most {LARGEST_SECTOR} can be used"
        )
    if device.size < needs.volume_size + _SUPERBLOCK_ROOM:
        problems.append(
            f"{path} has {format_size(device.size)}, and the shared files need "
            f"{format_size(needs.volume_size + _SUPERBLOCK_ROOM)} (cluster.shared_files, shared_file_size)"
        )
    if device.holds and device.holds != "blfs-mr" and not device.holds.endswith(OUR_LABEL):
        problems.append(
            f"{path} holds data: {device.holds}; if it is of no use any more, `wipefs -a {path}` there"
        )
    return problems
