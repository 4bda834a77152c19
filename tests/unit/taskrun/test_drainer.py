"""Drains: a copy reads as its original does, and failures are the map output's or the scratch's."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from blfs_mr.blocking_link import BlockingLink
from blfs_mr.model import Failure, FailureKind, MapOutput, VolumeAccess, VolumeId, VolumeLayout
from blfs_mr.shuffle import decode_batch
from blfs_mr.spill import writer as spill_writer
from blfs_mr.spill.buffers import BufferPool
from blfs_mr.spill.reader import SegmentReader
from blfs_mr.taskrun.access import OwnAccess
from blfs_mr.taskrun.drainer import run_drain
from blfs_mr.volume.layout import open_volume
from blfs_mr.wire.messages.child import CannotDrain, Drained, RunDrain
from tests.unit.taskrun.conftest import KIB, UNHURRIED, Worker, load, spec_of

PARTITIONS = 5
NUMBERS = """
class Numbers(Job):
    def map(self, record): yield int(record), "x" * (int(record) % 50)
    def reduce(self, key, values): yield key, len(list(values))
    def partition(self, key, partitions): return key % partitions
"""


class Told:
    """Stands in for the link: what the drain says at its end."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def send(self, message: object) -> None:
        self.messages.append(message)


def drain(task: RunDrain) -> MapOutput | Failure:
    told = Told()
    code = run_drain(task, cast(BlockingLink, told), OwnAccess())
    (message,) = told.messages
    assert code == (0 if isinstance(message, Drained) else 1)
    return message.output if isinstance(message, Drained) else cast(CannotDrain, message).failure


@pytest.fixture
def task(make_worker: Callable[..., Worker], tmp_path: Path) -> RunDrain:
    """Drain partitions 3 and 1 of a map output of several files."""
    worker, loaded = make_worker(size=16 * KIB), load(NUMBERS)
    worker.map(
        spec_of(loaded, reduce_tasks=PARTITIONS, block_size=4 * KIB),
        loaded,
        "".join(f"{n}\n" for n in range(3000)),
    )
    (output,) = worker.published
    assert len(output.files) > 2
    scratch = VolumeAccess(
        VolumeId("5c" * 16), VolumeLayout.DIRECTORY, str(tmp_path / "drained"), direct=False
    )
    os.mkdir(scratch.root)
    return RunDrain(1, output, (worker.volume.access,), UNHURRIED, (3, 1), PARTITIONS, scratch)


def keys(output: MapOutput, access: VolumeAccess, partition: int) -> list[object]:
    found: list[object] = []
    for published in output.files:
        descriptor = open_volume(access).open_for_read(published.lease.shared_file)
        with BufferPool() as pool:
            for block in SegmentReader(descriptor, published, partition, pool):
                found += decode_batch(block.payload).keys
        os.close(descriptor)
    return found


def test_a_copy_has_the_records_of_its_partitions_and_no_others(task: RunDrain) -> None:
    copy = drain(task)
    assert isinstance(copy, MapOutput)
    assert (copy.attempt, copy.worker) == (task.output.attempt, task.output.worker)
    for partition in range(PARTITIONS):
        expected = keys(task.output, task.volumes[0], partition) if partition in task.partitions else []
        assert keys(copy, task.scratch, partition) == expected
    assert len(keys(copy, task.scratch, 1)) == 600


def test_two_drains_of_one_output_do_not_meet(task: RunDrain) -> None:
    first = drain(task)
    second = drain(RunDrain(2, task.output, task.volumes, UNHURRIED, (0,), PARTITIONS, task.scratch))
    assert isinstance(first, MapOutput)
    assert isinstance(second, MapOutput)
    assert len(keys(first, task.scratch, 1)) == len(keys(second, task.scratch, 0)) == 600


def test_bytes_that_fail_their_checks_are_the_map_outputs_fault(task: RunDrain) -> None:
    published = task.output.files[0]
    path = os.path.join(task.volumes[0].root, published.lease.shared_file.path)
    with open(path, "r+b") as file:
        file.seek(published.length - 1)
        (last,) = file.read(1)
        file.seek(published.length - 1)
        file.write(bytes([last ^ 1]))
    drained = RunDrain(
        1, task.output, task.volumes, UNHURRIED, tuple(range(PARTITIONS)), PARTITIONS, task.scratch
    )
    failure = drain(drained)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.DATA
    assert "ChecksumMismatch" in failure.summary


def test_files_that_are_gone_or_cannot_be_reached_are_the_map_outputs_fault(task: RunDrain) -> None:
    unreachable = drain(RunDrain(1, task.output, (), UNHURRIED, (1,), PARTITIONS, task.scratch))
    os.unlink(os.path.join(task.volumes[0].root, task.output.files[0].lease.shared_file.path))
    gone = drain(task)
    for failure, said in ((unreachable, "cannot be reached from here"), (gone, "FileNotFoundError")):
        assert isinstance(failure, Failure)
        assert failure.kind is FailureKind.DATA
        assert said in failure.summary


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "is full; copying this map output takes up to"), (errno.EIO, "cannot be written")],
)
def test_a_scratch_that_cannot_take_it_is_named(
    task: RunDrain, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(spill_writer, "write_all", fail)
    failure = drain(task)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.STORAGE
    assert said in failure.summary
    assert task.scratch.root in failure.summary
    assert ("worker.scratch" in failure.summary) is (number == errno.ENOSPC)
