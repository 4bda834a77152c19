"""The deadline of reads and writes: told once, by a thread that is not held up by what it watches."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable

from blfs_mr.blocking_link import BlockingLink
from blfs_mr.errors import LinkClosed
from blfs_mr.model import (
    AttemptId,
    FailureKind,
    InputSplit,
    JobId,
    Lease,
    PublishedFile,
    SharedFile,
    TaskId,
    TaskKind,
    VolumeAccess,
    VolumeId,
    VolumeLayout,
)
from blfs_mr.taskrun.deadline import Watch, watch_reads, watch_writes
from blfs_mr.wire.messages.base import MapOutputLost, TaskFailed
from blfs_mr.wire.messages.child import ChildToWorker, RunMapTask, RunReduceTask, WorkerToChild

VOLUME = VolumeId("f" * 32)
FILE = SharedFile(VOLUME, "shared-3", 0, 1 << 20)
MAP = AttemptId(TaskId(JobId("j"), TaskKind.MAP, 7), 1)
REDUCE = AttemptId(TaskId(JobId("j"), TaskKind.REDUCE, 2), 1)
PUBLISHED = PublishedFile(Lease(FILE, 1, MAP), b"d" * 16, 4096, 1)


def told_by(hang: Callable[[BlockingLink], None]) -> list[object]:
    """What a process says on its link that hangs in ``hang``; it ends with code 1 all the same."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            hang(BlockingLink(theirs, incoming=WorkerToChild, outgoing=ChildToWorker))
        finally:
            os._exit(70)
    theirs.close()
    link, said = BlockingLink(ours, incoming=ChildToWorker, outgoing=WorkerToChild), list[object]()
    try:
        while True:
            said.append(link.receive())
    except LinkClosed:
        pass
    link.close()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    return said


def test_what_takes_too_long_is_told_while_it_lasts():
    told: list[SharedFile] = []
    is_told = threading.Event()

    def overdue(file: SharedFile) -> None:
        told.append(file)
        is_told.set()

    watch = Watch(0.05, overdue)
    with watch.over(FILE):
        assert is_told.wait(60), "it lasts for ever"
    watch.close()
    assert told == [FILE]


def test_what_ends_in_time_is_forgotten():
    told: list[SharedFile] = []
    watch = Watch(600, told.append)
    for _ in range(100):
        with watch.over(FILE):
            pass
    assert not watch._under_way
    watch.close()
    assert told == []


def test_a_reader_that_hangs_tells_what_is_lost_and_ends():
    def hang(link: BlockingLink) -> None:
        with watch_reads(RunReduceTask(REDUCE, 1, 0.05, "", "", ""), link).over(PUBLISHED):
            threading.Event().wait()

    lost, failed = told_by(hang)
    assert isinstance(lost, MapOutputLost)
    assert (lost.reader, lost.output, lost.corrupt) == (REDUCE, MAP, False)
    assert isinstance(failed, TaskFailed)
    assert failed.failure.summary == lost.reason
    assert lost.reason.startswith("a read of shared-3 at 0 of volume ffff")
    assert "took longer than 0.05 s: its device does not answer (worker.read_deadline)" in lost.reason


def test_a_writer_that_hangs_says_so_and_ends():
    def hang_over(file: SharedFile | None) -> Callable[[BlockingLink], None]:
        access = VolumeAccess(VOLUME, VolumeLayout.DIRECTORY, "/")
        task = RunMapTask(MAP, InputSplit("input", 0, 1), access, 0.05)

        def hang(link: BlockingLink) -> None:
            with watch_writes(task, link).over(file):
                threading.Event().wait()

        return hang

    for file, what in ((FILE, "a write to shared-3 at 0 of volume ffff"), (None, "the flush of volume ffff")):
        (failed,) = told_by(hang_over(file))
        assert isinstance(failed, TaskFailed)
        assert (failed.attempt, failed.failure.kind) == (MAP, FailureKind.STORAGE)
        assert failed.failure.summary.startswith(what)
        assert "worker.write_deadline" in failed.failure.summary
