"""Judges an examination: a verdict for each line of the contract, with its reasons and remedies. No I/O."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from blfs_mr.volume.contract import ContractLine
from blfs_mr.volume.doctor.examination import OWNER
from blfs_mr.volume.doctor.messages import OwnerDeeds, PeerDeeds, SideReport

_STALE_REMEDY = (
    "something on this path keeps a cache of its own. A loop device needs --direct-io=on; an LIO fileio "
    "backstore serves the target's page cache: let the owner write through a login of its own to the same "
    "target, or export the disk as a block backstore"
)
_WRITER_REMEDY = (
    "write-protect the LUN for this initiator at the target (LIO: write_protect=1), and attach it with "
    "--role peer, which protects the device on this host"
)
_MIXED_REMEDY = (
    "the device or its driver returns what nobody wrote: look at the kernel's log, put no data on it"
)


class Judgement(enum.StrEnum):
    """What is known of one line."""

    OK = "ok"
    BROKEN = "broken"
    UNKNOWN = "could not be verified"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the contract: the judgement, why, and what to do where there is something to do."""

    line: ContractLine
    judgement: Judgement
    reasons: tuple[str, ...]
    remedies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Fault:
    reason: str
    remedy: str


def judge(reports: Mapping[str, SideReport]) -> tuple[Verdict, ...]:
    """The verdicts on the reports of all sides, the owner's under OWNER; one a line, in order."""
    owner = reports[OWNER]
    peers = {name: report for name, report in reports.items() if name != OWNER}
    read = {name: report.deeds for name, report in peers.items() if isinstance(report.deeds, PeerDeeds)}
    absent = [
        f"{_who(name)} took no part: {report.why}" for name, report in reports.items() if not report.deeds
    ]
    examined = [f"{len(reports)} sides looked at, with no finding"]
    fresh = [f"{name}: {deeds.rounds} rounds, all fresh" for name, deeds in read.items()]
    return (
        _verdict(ContractLine.FROZEN_METADATA, reports, (), absent, examined),
        _verdict(
            ContractLine.ONE_WRITER,
            reports,
            _writers(read),
            absent + [f"{n}: {d.writing_told}" for n, d in read.items() if d.writing == "untried"],
            [f"{name} was refused to write ({deeds.writing_told})" for name, deeds in read.items()],
        ),
        _flushes(reports, owner, absent, any(deeds.wrong for deeds in read.values())),
        _verdict(
            ContractLine.DIRECT_READS,
            reports,
            _stale(read),
            absent + [f"{name} read what nobody wrote" for name, deeds in read.items() if deeds.wrong],
            fresh,
        ),
        _verdict(ContractLine.SELF_DESCRIBING, reports, _mixed(read), absent, examined),
        _not_of_the_path(ContractLine.VERIFY_BEFORE_USE, "every reader does it, whatever the path"),
        _not_of_the_path(ContractLine.LEASES_OUTLIVE_READERS, "the master decides it while jobs run"),
        _not_of_the_path(ContractLine.LEASES_OUTLIVE_WRITERS, "the worker decides it while jobs run"),
    )


def _verdict(
    line: ContractLine,
    reports: Mapping[str, SideReport],
    faults: Iterable[_Fault],
    unknown: list[str],
    well: list[str],
) -> Verdict:
    found = [
        _Fault(f"{_who(name)}: {breach.problem}", breach.remedy)
        for name, report in reports.items()
        for breach in report.breaches
        if breach.line == line.number
    ]
    found += faults
    if found:
        remedies = dict.fromkeys(fault.remedy for fault in found)
        return Verdict(line, Judgement.BROKEN, tuple(fault.reason for fault in found), tuple(remedies))
    if unknown:
        return Verdict(
            line, Judgement.UNKNOWN, tuple(unknown), ("mend what is broken, and examine it again",)
        )
    return Verdict(line, Judgement.OK, tuple(well), ())


def _flushes(
    reports: Mapping[str, SideReport], owner: SideReport, unknown: list[str], stale: bool
) -> Verdict:
    line = ContractLine.FLUSH_THEN_PUBLISH
    cache = owner.path.write_cache if owner.path is not None else ""
    if not isinstance(owner.deeds, OwnerDeeds):
        return _verdict(line, reports, (), unknown, [])
    if stale:
        told = "every round was flushed, and peers did not see all of them: see the other lines"
        return _verdict(line, reports, (), [told], [])
    if unknown:
        return _verdict(line, reports, (), unknown, [])
    if cache == "write through":
        return _verdict(
            line, reports, (), [], ["every round was flushed; the disk says that it caches no writes"]
        )
    if owner.deeds.flushes:
        sent = f"every round was flushed; the disk caches writes, and was sent {owner.deeds.flushes} flushes"
        return _verdict(line, reports, (), [], [sent])
    said = f"its write cache is {cache!r}" if cache else "the kernel does not tell whether it caches writes"
    told = f"every round was flushed, but {said}, and no flush is seen to reach the disk"
    return Verdict(line, Judgement.UNKNOWN, (told,), ("have the disk tell its write cache, or turn it off",))


def _writers(read: Mapping[str, PeerDeeds]) -> list[_Fault]:
    return [
        _Fault(f"{name} could write to the owner's disk ({deeds.writing_told})", _WRITER_REMEDY)
        for name, deeds in read.items()
        if deeds.writing == "written"
    ]


def _stale(read: Mapping[str, PeerDeeds]) -> list[_Fault]:
    return [
        _Fault(f"{name} read {what} in {count} of {deeds.rounds} rounds, directly", _STALE_REMEDY)
        for name, deeds in read.items()
        for what, count in _few(deeds.wrong)
        if _is_old(what)
    ]


def _mixed(read: Mapping[str, PeerDeeds]) -> list[_Fault]:
    return [
        _Fault(f"{name} read {what} in {count} of {deeds.rounds} rounds", _MIXED_REMEDY)
        for name, deeds in read.items()
        for what, count in _few(deeds.wrong)
        if not _is_old(what)
    ]


def _few(wrong: Mapping[str, int]) -> list[tuple[str, int]]:
    """The most frequent kinds of wrong reads: more of them say nothing more."""
    return sorted(wrong.items(), key=lambda item: -item[1])[:3]


def _is_old(what: str) -> bool:
    return what.startswith("the bytes of")


def _not_of_the_path(line: ContractLine, why: str) -> Verdict:
    return Verdict(line, Judgement.UNKNOWN, (f"no property of the path: {why}",), ())


def _who(name: str) -> str:
    return name or "the owner"
