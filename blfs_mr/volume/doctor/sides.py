"""The two sides of an examination, each a blocking dialogue over its own process' input and output."""

from __future__ import annotations

import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import BinaryIO, TypeVar

from blfs_mr.errors import LinkClosed, ProtocolError, VolumeBusy, VolumeError
from blfs_mr.linux import AlignedBuffer, lock_range, open_direct, open_for_overwrite, read_exactly, write_all
from blfs_mr.model import VolumeId, VolumeLayout, WorkerName
from blfs_mr.volume.canary import (
    CANARY_SIZE,
    CELL_SIZE,
    CELLS,
    Stamp,
    canary_offset,
    cell_offset,
    digest_of,
    pack_cell,
    reserved_size,
    what_stands_in,
)
from blfs_mr.volume.contract import ContractLine, Finding, VolumePlace
from blfs_mr.volume.doctor.messages import (
    Breach,
    Finish,
    Introduction,
    Message,
    OwnerDeeds,
    PeerDeeds,
    Published,
    Seen,
    SideReport,
    Timing,
    parse,
)
from blfs_mr.volume.doctor.paths import describe, flushes_sent
from blfs_mr.volume.doctor.trial import read_speed, try_to_write
from blfs_mr.volume.extents import extent_fault
from blfs_mr.volume.file_layout import flush
from blfs_mr.volume.superblock import Superblock, TableEntry
from blfs_mr.volume.superblock_pages import read_superblock
from blfs_mr.volume.verify import check_own_volume, check_peer_volume

WINDOW = CELLS - 1
"""Rounds that may be published and not yet read by all: the owner never overwrites what a peer is reading."""


class _NoCanary(VolumeError):
    """A volume without the area that an examination writes to."""


M = TypeVar("M", Introduction, Published, Seen, Finish)


class Lines:
    """Messages over two streams of bytes. A stream that ends raises LinkClosed."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming, self._outgoing = incoming, outgoing

    def send(self, message: Message) -> None:
        self._outgoing.write(message.model_dump_json().encode() + b"\n")
        self._outgoing.flush()

    def receive(self) -> Message:
        line = self._incoming.readline()
        if not line.endswith(b"\n"):
            raise LinkClosed("the examination was given up: whoever brought the two sides together is gone")
        return parse(line)

    def expect(self, kind: type[M]) -> M:
        message = self.receive()
        if not isinstance(message, kind):
            raise ProtocolError(f"a volume doctor expected {kind.__name__}, and was told {message!r}")
        return message


# ---------------------------------------------------------------- the owner's side


def own_side(volume: VolumePlace, owner: WorkerName | None, rounds: int, lines: Lines) -> None:
    """Overwrite the canary in ``rounds`` rounds; ``owner`` is whose volume it must be, where that is known.

    Nothing is written where the volume has a breach: what breaks it may be a second writer. Raises
    LinkClosed or ProtocolError for a dialogue that goes wrong; what the device does wrong is reported.
    """

    def examine(side: _Side) -> None:
        if side.found(check_own_volume(volume, owner)):
            side.why = "its own volume breaks the contract, so nothing was written"
            return
        superblock, entries = read_superblock(volume.place)
        # Opened and flushed as a mapper opens and flushes a shared file.
        fd = open_for_overwrite(volume.place)
        try:
            require_room(fd, volume, superblock, entries)
            _lock_canary(fd, volume, superblock)
            side.deeds = _overwrite(fd, volume, superblock, rounds, lines)
        finally:
            os.close(fd)

    lines.send(_report(volume, examine))


def _overwrite(fd: int, volume: VolumePlace, superblock: Superblock, rounds: int, lines: Lines) -> OwnerDeeds:
    session = os.urandom(8).hex()
    lines.send(Introduction(volume=superblock.volume, owner=superblock.owner, session=session))
    before = flushes_sent(volume.device)
    seconds: list[float] = []
    seen = lines.expect(Seen).round
    for number in range(1, rounds + 1):
        while number - seen > WINDOW:
            seen = lines.expect(Seen).round
        cell = pack_cell(Stamp(superblock.volume, session, number))
        start = time.perf_counter()
        write_all(fd, cell, cell_offset(superblock.count, number))
        os.fsync(fd)
        flush(volume.device)
        seconds.append(time.perf_counter() - start)
        lines.send(Published(round=number, digest=digest_of(cell)))
    after = flushes_sent(volume.device)
    flushes = None if before is None or after is None else after - before
    return OwnerDeeds(publishing=timing(seconds), flushes=flushes)


def _lock_canary(fd: int, volume: VolumePlace, superblock: Superblock) -> None:
    try:
        lock_range(fd, canary_offset(superblock.count), CANARY_SIZE)
    except VolumeBusy as error:
        raise VolumeBusy(f"another doctor examines {volume.device}: wait for it to end") from error


# ---------------------------------------------------------------- a peer's side


def peer_side(volume: VolumePlace, lines: Lines, *, try_target: bool = False) -> None:
    """Read each round that is published, then try to write; ``try_target`` as in :func:`try_to_write`.

    Told to finish before any introduction, it only looks at its device. Raises LinkClosed or ProtocolError
    for a dialogue that goes wrong; what the device does wrong is reported.
    """
    introduction = lines.receive()

    def examine(side: _Side) -> None:
        if not isinstance(introduction, Introduction):
            side.why = "the owner took no part"
            side.found(check_peer_volume(volume, None))
            return
        side.found(check_peer_volume(volume, WorkerName(introduction.owner)))
        superblock, entries = read_superblock(volume.place)
        if superblock.volume != introduction.volume:
            side.why = f"{volume.device} leads to volume {superblock.volume}, not to {introduction.volume}"
            remedy = "name the device of that volume"
            side.found([Finding(ContractLine.SELF_DESCRIBING, side.why, remedy)])
            return
        fd = open_direct(volume.place)
        try:
            require_room(fd, volume, superblock, entries)
            seconds, wrong = _read_rounds(fd, superblock, introduction, lines)
        finally:
            os.close(fd)
        attempt = try_to_write(volume, superblock, through_protection=try_target)
        side.deeds = PeerDeeds(
            rounds=len(seconds),
            wrong=wrong,
            latency=timing(seconds),
            bandwidth=read_speed(volume, entries),
            writing=attempt.outcome,
            writing_told=attempt.told,
        )

    lines.send(_report(volume, examine))


def _read_rounds(
    fd: int, superblock: Superblock, introduction: Introduction, lines: Lines
) -> tuple[list[float], dict[str, int]]:
    """The seconds of each read, and how often which wrong thing was seen."""
    wrong: Counter[str] = Counter()
    seconds: list[float] = []
    with AlignedBuffer(CELL_SIZE) as buffer, buffer.view() as view:
        # Whatever on the way keeps copies of its own is to have one of every cell.
        for number in range(CELLS):
            read_exactly(fd, view, cell_offset(superblock.count, number))
        lines.send(Seen(round=0))
        while not isinstance(message := lines.receive(), Finish):
            if not isinstance(message, Published):
                raise ProtocolError(f"a volume doctor expected a round, and was told {message!r}")
            start = time.perf_counter()
            try:
                length = read_exactly(fd, view, cell_offset(superblock.count, message.round))
                fault = "" if length == CELL_SIZE else "the end of the device"
            except OSError as error:
                fault = f"an error: {error.strerror}"
            seconds.append(time.perf_counter() - start)
            if not fault and digest_of(view) != message.digest:
                stamp = Stamp(VolumeId(introduction.volume), introduction.session, message.round)
                fault = what_stands_in(view, stamp) or "other bytes than were published"
            if fault:
                wrong[fault] += 1
            lines.send(Seen(round=message.round, wrong=fault))
    return seconds, dict(wrong)


# ---------------------------------------------------------------- what both do


def require_room(fd: int, volume: VolumePlace, superblock: Superblock, entries: Sequence[TableEntry]) -> None:
    """Raise VolumeError where the volume has no canary: it was formatted before there was one."""
    needed = reserved_size(superblock.count)
    if volume.layout is VolumeLayout.RAW:
        room = min(entry.offset for entry in entries)
    else:
        room = os.fstat(fd).st_size
        if fault := extent_fault(fd, room):
            raise VolumeError(f"{volume.place} {fault}: format the volume again")
    if room < needed:
        raise _NoCanary(
            f"{volume.device} has no canary area: it was formatted by a blfs-mr that made none; nothing is "
            "wrong with its data, but to examine it, format it again"
        )


def timing(seconds: Sequence[float]) -> Timing:
    """Median, and what 99 of 100 stay below; zeros for nothing."""
    if not seconds:
        return Timing(median=0.0, slowest_percent=0.0)
    ordered = sorted(seconds)
    return Timing(median=statistics.median(ordered), slowest_percent=ordered[len(ordered) * 99 // 100])


class _Side:
    """What a side gathers for its report."""

    def __init__(self) -> None:
        self.breaches: list[Breach] = []
        self.deeds: OwnerDeeds | PeerDeeds | None = None
        self.why = ""

    def found(self, findings: Sequence[Finding]) -> bool:
        """Note findings; whether there were any."""
        self.breaches += [
            Breach(line=finding.line.number, problem=finding.problem, remedy=finding.remedy)
            for finding in findings
        ]
        return bool(findings)


def _report(volume: VolumePlace, examine: Callable[[_Side], None]) -> SideReport:
    """The report of a side that does ``examine``, also where its device cannot be used."""
    side, path = _Side(), None
    try:
        examine(side)
        path = describe(volume.device)
    except (VolumeBusy, _NoCanary) as error:
        # Neither is a breach: the volume cannot be examined now, and is as sound as before.
        side.why = str(error)
    except (VolumeError, OSError) as error:
        side.why = str(error)
        if not side.breaches:
            remedy = "look at the device and the kernel's log; nothing of it is used until then"
            side.found([Finding(ContractLine.SELF_DESCRIBING, side.why, remedy)])
    return SideReport(path=path, breaches=tuple(side.breaches), deeds=side.deeds, why=side.why)
