"""The claim by which the owner of a volume says, on the volume itself, that it is in use.

A lock of the kernel keeps two owners of one host apart, but not two hosts, and not two block devices of one
host that lead to the same disk. So an owner writes who it is into the claim page once it has the lock, and
takes it out when it closes the volume. A claim that was left behind is taken over where its owner is proven
gone: the same host has started anew, or the process is gone. Another host's claim stands until an operator,
who can look there, takes it over.
"""

from __future__ import annotations

import os
import socket

from blfs_mr.linux import device_number, host_identity, machine_identity, process_start
from blfs_mr.model import IncarnationId
from blfs_mr.volume.superblock import NO_CLAIM, Claim


def new_claim(device: str) -> Claim:
    """The claim of this process for a volume that it writes through ``device``. Raises OSError."""
    process = os.getpid()
    return Claim(
        IncarnationId(os.urandom(8).hex()),
        machine_identity(),
        host_identity().replace("-", ""),
        socket.gethostname()[:64],
        process,
        process_start(process),
        device_number(device),
    )


def rival(found: Claim, ours: Claim) -> str:
    """Who holds the volume by the claim ``found``, when we would hold it by ``ours``; empty for nobody.

    Asked only with the volume's lock held: an owner through the same device of the same kernel is gone.
    """
    if found == NO_CLAIM or found.incarnation == ours.incarnation:
        return ""
    if not _same_host(found, ours):
        return f"process {found.process} on host {found.host}"
    if found.boot != ours.boot or found.device == ours.device:
        return ""
    if process_start(found.process) != found.started:
        return ""
    device = f"{os.major(found.device)}:{os.minor(found.device)}"
    return f"process {found.process} of this host, through block device {device}"


def _same_host(one: Claim, other: Claim) -> bool:
    if one.boot == other.boot:
        return True
    # Hosts without a machine id are told apart by their names.
    return one.machine == other.machine and (one.machine != NO_CLAIM.machine or one.host == other.host)
