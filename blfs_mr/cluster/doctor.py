"""``cluster doctor``: every volume's path, from its owner to all of its peers, examined over SSH.

The sides of an examination are the processes that ``blfs-mr volume doctor`` has as well; here each runs on
its own host.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from blfs_mr.cluster.fleet import Fleet
from blfs_mr.cluster.places import COMMAND
from blfs_mr.cluster.plan import HostPlan
from blfs_mr.cluster.reporting import Report
from blfs_mr.cluster.ssh import SshHost
from blfs_mr.errors import ClusterError
from blfs_mr.model import VolumeLayout, WorkerName
from blfs_mr.volume.contract import VolumePlace
from blfs_mr.volume.doctor.conversation import examine, side_arguments
from blfs_mr.volume.doctor.examination import OWNER
from blfs_mr.volume.doctor.messages import SideReport
from blfs_mr.volume.doctor.verdicts import Judgement, Verdict, judge

ROUNDS = 100
"""Rounds of one volume's examination: enough to reuse each slot of the canary, and over in some seconds."""

AT_ONCE = 8
"""Volumes that are examined at the same time. Each takes a session on every host, of which a server lets one
connection have ten (``MaxSessions`` of sshd_config(5))."""


async def examine_volumes(fleet: Fleet, plans: Mapping[str, HostPlan], report: Report, rounds: int) -> None:
    """Examine the volume of each worker of ``plans``, and tell what is known of each line of the contract.

    Raises ClusterError where a line is broken, or a volume or one of its sides could not be examined.
    """
    turns = asyncio.Semaphore(AT_ONCE)

    async def examined(host: SshHost) -> list[str]:
        name = host.address.name
        async with turns:
            reports = await _examine(fleet, plans, name, rounds)
        if not reports:
            report.say(f"{name}: doctor: it has no peers, so there is nothing to examine")
            return []
        verdicts = judge(reports)
        report.say(f"{name}: doctor: {_summary(verdicts, len(reports) - 1)}")
        return _faults(name, verdicts, reports)

    outcome = await fleet.each(examined, [name for name, plan in plans.items() if plan.own is not None])
    if faults := [fault for found in outcome.results.values() for fault in found]:
        faults += [f"{name}: its volume could not be examined: {why}" for name, why in outcome.errors.items()]
        told = "\n".join(f"  {fault}" for fault in faults)
        raise ClusterError(f"the consistency contract is not kept:\n{told}")
    outcome.check("the examination of volumes")


def _faults(name: str, verdicts: Sequence[Verdict], reports: Mapping[str, SideReport]) -> list[str]:
    broken = [
        f"{name}: line {verdict.line.number}, {verdict.line.title}: {_told(verdict)}"
        for verdict in verdicts
        if verdict.judgement is Judgement.BROKEN
    ]
    return broken + [
        f"{name}: {'the owner' if side == OWNER else side} could not be examined: {found.why}"
        for side, found in reports.items()
        if found.deeds is None
    ]


async def _examine(
    fleet: Fleet, plans: Mapping[str, HostPlan], name: str, rounds: int
) -> dict[str, SideReport]:
    own = plans[name].own
    assert own is not None
    readers = {peer: volume for peer, plan in plans.items() for volume in plan.peers if volume.worker == name}
    if not readers:
        return {}
    async with AsyncExitStack() as stack:
        owner = side_arguments("owner", _place(own.device, own.mount), owner=WorkerName(name), rounds=rounds)
        one = await stack.enter_async_context(fleet.hosts[name].conversation([COMMAND, *owner]))
        others = {}
        for peer, volume in readers.items():
            side = side_arguments("peer", _place(volume.device, volume.mount))
            talk = fleet.hosts[peer].conversation([COMMAND, *side])
            others[peer] = await stack.enter_async_context(talk)
        return await examine(one, others)


def _place(device: str, mount: str) -> VolumePlace:
    return VolumePlace(VolumeLayout.FILE if mount else VolumeLayout.RAW, device, mount)


def _summary(verdicts: tuple[Verdict, ...], peers: int) -> str:
    parts = [f"{peers} peers"]
    for judgement in Judgement:
        lines = [str(verdict.line.number) for verdict in verdicts if verdict.judgement is judgement]
        if lines:
            parts.append(f"lines {', '.join(lines)} {judgement.value}")
    return "; ".join(parts)


def _told(verdict: Verdict) -> str:
    return "; ".join([*verdict.reasons, *(f"remedy: {remedy}" for remedy in verdict.remedies)])
