"""Who is to blame for a failed read."""

from __future__ import annotations

import pytest

from blfs_mr.core.blame import LASTS, REMEMBERED, Blame, Verdict
from blfs_mr.model import WorkerName

A, B, C, D = (WorkerName(name) for name in "abcd")


def after(*failures: tuple[WorkerName, WorkerName]) -> tuple[Blame, Verdict]:
    """Readers and the owners of volumes that they failed at, in order; the last verdict."""
    blame = Blame()
    for reader, owner in failures:
        verdict = blame.failed(reader, owner, "EIO", 0.0)
    return blame, verdict


@pytest.mark.parametrize(
    ("failures", "verdict", "readers", "volumes"),
    [
        ([(A, B)], Verdict.OUTPUT, set(), set()),
        ([(A, B), (A, B)], Verdict.OUTPUT, set(), set()),
        ([(A, B), (A, C)], Verdict.READER, {A}, set()),
        ([(A, B), (C, B)], Verdict.VOLUME, set(), {B}),
        ([(A, B), (C, D)], Verdict.OUTPUT, set(), set()),
        # What a reader that is to blame cannot read says nothing of a volume.
        ([(A, B), (A, C), (D, B)], Verdict.OUTPUT, {A}, set()),
        # Unless another one cannot read the very same volumes.
        ([(A, B), (A, C), (D, B), (D, C)], Verdict.VOLUME, set(), {B, C}),
        # A volume that is to blame says nothing of its readers.
        ([(A, B), (C, B), (A, D)], Verdict.OUTPUT, set(), {B}),
        ([(A, A), (B, A)], Verdict.VOLUME, set(), {A}),
    ],
)
def test_the_verdict_follows_from_who_fails_at_what(failures, verdict, readers, volumes):
    blame, told = after(*failures)
    assert told is verdict
    assert set(blame.readers) == readers
    assert set(blame.volumes) == volumes


def test_reasons_name_the_volumes_the_readers_and_the_last_failure():
    assert after((A, B), (A, C))[0].readers[A] == (
        "it cannot read the volumes of b, c, and others can; the last time: EIO"
    )
    assert after((A, B), (C, B))[0].volumes[B] == "it cannot be read by a, c; the last time: EIO"


def test_blame_ends_by_itself():
    blame, _ = after((A, B), (A, C), (B, D), (C, D))
    blame.pass_time(LASTS - 1)
    assert (set(blame.readers), set(blame.volumes)) == ({A}, {D})
    blame.pass_time(LASTS)
    assert not blame.readers
    assert not blame.volumes


def test_failures_long_ago_count_no_more():
    blame, _ = after((A, B))
    blame.pass_time(REMEMBERED)
    assert blame.failed(A, C, "EIO", REMEMBERED) is Verdict.OUTPUT


def test_a_new_incarnation_is_not_to_blame():
    blame, _ = after((A, B), (A, C))
    blame.joined(A)
    assert not blame.readers
    assert blame.failed(A, D, "EIO", 1.0) is Verdict.OUTPUT


def test_what_is_decided_shows_in_the_version():
    blame = Blame()
    versions = [blame.version]
    for owner in (B, C):
        blame.failed(A, owner, "EIO", 0.0)
    versions.append(blame.version)
    blame.pass_time(LASTS)
    versions.append(blame.version)
    assert versions == sorted(set(versions))
