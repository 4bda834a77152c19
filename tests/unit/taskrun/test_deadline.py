"""The deadline of reads: told once, by a thread that is not held up by what it watches."""

from __future__ import annotations

import threading

from blfs_mr.model import AttemptId, JobId, Lease, PublishedFile, SharedFile, TaskId, TaskKind, VolumeId
from blfs_mr.taskrun.deadline import ReadWatch

LEASE = Lease(
    SharedFile(VolumeId("f" * 32), "shared-3", 0, 1 << 20),
    1,
    AttemptId(TaskId(JobId("j"), TaskKind.MAP, 7), 1),
)
PUBLISHED = PublishedFile(LEASE, b"d" * 16, 4096, 1)


def test_a_read_that_takes_too_long_is_told_while_it_lasts():
    told: list[tuple[PublishedFile, str]] = []
    is_told = threading.Event()

    def overdue(published: PublishedFile, why: str) -> None:
        told.append((published, why))
        is_told.set()

    watch = ReadWatch(0.05, overdue)
    with watch.reading(PUBLISHED):
        assert is_told.wait(60), "the read lasts for ever"
    watch.close()
    assert told[0][0] == PUBLISHED
    assert told[0][1].startswith("a read of shared-3 at 0 of volume ffff")
    assert "worker.read_deadline" in told[0][1]


def test_reads_that_end_in_time_are_forgotten():
    told: list[str] = []
    watch = ReadWatch(600, lambda published, why: told.append(why))
    for _ in range(100):
        with watch.reading(PUBLISHED):
            pass
    assert not watch._reads
    watch.close()
    assert told == []
