"""``blfs-mr volume doctor``: a live examination of the path between a volume's owner and its peers."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

import click

from blfs_mr.errors import UsageError, VolumeError
from blfs_mr.model import VolumeLayout, WorkerName
from blfs_mr.units import format_size
from blfs_mr.volume.contract import VolumePlace
from blfs_mr.volume.doctor.conversation import examine, local_side, side_arguments
from blfs_mr.volume.doctor.examination import OWNER
from blfs_mr.volume.doctor.messages import OwnerDeeds, PeerDeeds, SideReport
from blfs_mr.volume.doctor.sides import Lines, own_side, peer_side
from blfs_mr.volume.doctor.verdicts import Judgement, Verdict, judge

ROUNDS = 1_000
"""Rounds of an examination: each cell of the canary is reused 60 times, in some seconds on a slow disk."""


@click.command("doctor")
@click.option("--owner-device", help="The volume's device as its owner has it, on this machine.")
@click.option("--owner-mount", default="", help="Where the owner has it mounted; left out for a raw volume.")
@click.option(
    "--peer-device", "peer_devices", multiple=True, help="The same disk as a peer has it; one or more."
)
@click.option("--peer-mount", "peer_mounts", multiple=True, help="Where each peer has it mounted, in order.")
@click.option("--role", type=click.Choice(["owner", "peer"]), help="Be one side only, in lines of JSON.")
@click.option("--device", help="With --role: the volume's device on this host.")
@click.option("--mount", default="", help="With --role: where it is mounted; left out for a raw volume.")
@click.option("--owner", help="The worker whose volume it must be.")
@click.option("--rounds", type=click.IntRange(1, 10_000_000), default=ROUNDS, show_default=True)
@click.option(
    "--try-target", is_flag=True, help="Lift a peer's own protection for one write, to see the disk's."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def doctor(
    owner_device: str | None,
    owner_mount: str,
    peer_devices: tuple[str, ...],
    peer_mounts: tuple[str, ...],
    role: str | None,
    device: str | None,
    mount: str,
    owner: str | None,
    rounds: int,
    try_target: bool,
    as_json: bool,
) -> None:
    """Examine the path between a volume's owner and its peers, with a live canary (needs root).

    The owner writes to an area that holds no data, flushes and publishes, and every peer reads it directly,
    round after round; then each peer tries to write there and must be refused. A volume may be in service
    meanwhile. Attach it first. Fails where a line of the consistency contract is broken.
    """
    name = WorkerName(owner) if owner else None
    if role is not None:
        if owner_device or peer_devices or not device:
            raise UsageError("--role goes with --device, and with neither --owner-device nor --peer-device")
        lines = Lines(sys.stdin.buffer, sys.stdout.buffer)
        if role == "owner":
            own_side(_place(device, mount), name, rounds, lines)
        else:
            peer_side(_place(device, mount), lines, try_target=try_target)
        return
    if not owner_device or not peer_devices:
        raise UsageError("name --owner-device and at least one --peer-device, or one side with --role")
    if peer_mounts and len(peer_mounts) != len(peer_devices):
        raise UsageError("name one --peer-mount for each --peer-device, in the same order")
    mounts = peer_mounts or ("",) * len(peer_devices)
    peers = [_place(*pair) for pair in zip(peer_devices, mounts, strict=True)]
    if len(set(peer_devices)) != len(peers):
        raise UsageError("a --peer-device stands there twice")
    reports = asyncio.run(_examine(_place(owner_device, owner_mount), peers, name, rounds, try_target))
    verdicts = judge(reports)
    if as_json:
        click.echo(json.dumps(_as_object(reports, verdicts), indent=2))
    else:
        _print(reports, verdicts)
    if broken := [verdict for verdict in verdicts if verdict.judgement is Judgement.BROKEN]:
        numbers = ", ".join(str(verdict.line.number) for verdict in broken)
        raise VolumeError(
            f"the consistency contract is broken here (line {numbers}): put no data on this path"
        )
    if not isinstance(reports[OWNER].deeds, OwnerDeeds):
        raise VolumeError(f"the path could not be examined: {reports[OWNER].why}")
    if absent := [report.why for report in reports.values() if report.deeds is None]:
        raise VolumeError(f"not every peer could be examined: {absent[0]}")


async def _examine(
    own: VolumePlace,
    peers: Sequence[VolumePlace],
    owner: WorkerName | None,
    rounds: int,
    try_target: bool,
) -> dict[str, SideReport]:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(
            local_side(side_arguments("owner", own, owner=owner, rounds=rounds))
        )
        others = {
            peer.device: await stack.enter_async_context(
                local_side(side_arguments("peer", peer, try_target=try_target))
            )
            for peer in peers
        }
        return await examine(one, others)


def _place(device: str, mount: str) -> VolumePlace:
    return VolumePlace(VolumeLayout.FILE if mount else VolumeLayout.RAW, device, mount)


def _as_object(reports: dict[str, SideReport], verdicts: Sequence[Verdict]) -> dict[str, object]:
    return {
        "lines": [
            {
                "line": verdict.line.number,
                "title": verdict.line.title,
                "verdict": verdict.judgement.value,
                "reasons": verdict.reasons,
                "remedies": verdict.remedies,
            }
            for verdict in verdicts
        ],
        "owner": reports[OWNER].model_dump(),
        "peers": {name: report.model_dump() for name, report in reports.items() if name != OWNER},
    }


def _print(reports: dict[str, SideReport], verdicts: Sequence[Verdict]) -> None:
    for name, report in reports.items():
        click.echo(f"{'owner' if name == OWNER else 'peer'} {_path(name, report)}")
        if isinstance(deeds := report.deeds, OwnerDeeds):
            click.echo(f"  write, flush, publish  {_milliseconds(deeds.publishing.median)}"
                       f" (99 of 100 below {_milliseconds(deeds.publishing.slowest_percent)})")  # fmt: skip
        elif isinstance(deeds, PeerDeeds):
            click.echo(f"  read of a cell         {_milliseconds(deeds.latency.median)}"
                       f" (99 of 100 below {_milliseconds(deeds.latency.slowest_percent)})")  # fmt: skip
            click.echo(
                f"  shared files           {format_size(int(deeds.bandwidth))}/s, one read after another"
            )
            click.echo(f"  wrong reads            {sum(deeds.wrong.values())} of {deeds.rounds}")
            click.echo(f"  trying to write        {deeds.writing}: {deeds.writing_told}")
        else:
            click.echo(f"  not examined: {report.why}")
    for verdict in verdicts:
        click.echo(f"{verdict.line.number} {verdict.line.title:<24}{verdict.judgement.value}")
        for reason in verdict.reasons:
            click.echo(f"    {reason}")
        for remedy in verdict.remedies:
            click.echo(f"    remedy: {remedy}")


def _path(name: str, report: SideReport) -> str:
    path = report.path
    if path is None:
        return name
    cache = path.write_cache or "write cache unknown"
    access = "read-only" if path.read_only else "writable"
    return f"{path.device}: {format_size(path.size)}, blocks of {path.logical_block_size}, {cache}, {access}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1_000:.2f} ms"
