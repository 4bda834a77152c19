"""The opener: an attempt gets what the worker has told it of, and an error for all else."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from blfs_mr.errors import LinkClosed, OutputError, VolumeError
from blfs_mr.model import InputSplit, Lease, MapOutput, PublishedFile, TaskKind, WorkerName
from blfs_mr.taskrun import opener
from blfs_mr.taskrun.access import OpenerAccess
from blfs_mr.taskrun.opener import Opener
from blfs_mr.volume.directory import OwnedDirectoryVolume
from blfs_mr.wire.codec import Envelope, codec_for
from blfs_mr.wire.frames import encode_frame
from blfs_mr.wire.messages.base import CommitOutput, Message
from blfs_mr.wire.messages.child import LeaseGranted, MapOutputs, RunMapTask, RunReduceTask, WorkerToChild
from tests.unit.taskrun.conftest import UNHURRIED, attempt_of


class Opened:
    """An opener that runs in a thread, and both who speak to it."""

    def __init__(self, folder: Path) -> None:
        self.volume = OwnedDirectoryVolume.create(str(folder / "volume"), WorkerName("w"), 4, 64 << 10)
        self.orders, orders = socket.socketpair()
        self.child, requests = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.access = OpenerAccess(self.child)
        self._thread = Thread(target=Opener(orders, requests, os.getegid()).serve)
        self._thread.start()

    def tell(self, *messages: Message) -> None:
        """What the worker says to the attempt."""
        for message in messages:
            self.orders.sendall(encode_frame(codec_for(WorkerToChild).encode(Envelope(message))))

    def close(self) -> None:
        self.orders.close()
        self._thread.join()
        self.child.close()
        self.volume.close()


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    monkeypatch.setattr(opener, "LAG", 0.05)
    opened = Opened(tmp_path)
    yield opened
    opened.close()


def map_task(opened: Opened) -> RunMapTask:
    split = InputSplit("input", 0, 1)
    return RunMapTask(attempt_of(TaskKind.MAP, 0), split, opened.volume.access, UNHURRIED)


def reduce_task(folder: Path) -> RunReduceTask:
    attempt = attempt_of(TaskKind.REDUCE, 0)
    return RunReduceTask(attempt, 1, UNHURRIED, str(folder), str(folder / "part.1"), str(folder / "part"))


def test_a_lease_can_be_written_and_no_other_file(opened: Opened) -> None:
    leased, other, *_ = opened.volume.shared_files()
    task = map_task(opened)
    opened.tell(task, LeaseGranted(Lease(leased, 1, task.attempt)))
    volume = opened.access.volume(opened.volume.access)
    descriptor = volume.open_for_write(leased)
    assert os.pwrite(descriptor, b"x", 0) == 1
    assert not os.get_inheritable(descriptor), "no program that user code starts gets it"
    os.close(descriptor)
    for refused in (other, replace(leased, path="../volume.json"), replace(leased, offset=4096)):
        with pytest.raises(VolumeError, match="what this attempt was not given"):
            volume.open_for_write(refused)
    with pytest.raises(VolumeError, match="what this attempt was not given"):
        volume.open_for_read(leased)
    volume.flush_device()


def test_published_files_can_be_read_and_not_written(opened: Opened, tmp_path: Path) -> None:
    published, other, *_ = opened.volume.shared_files()
    os.close(opened.volume.open_for_write(published))
    writer = attempt_of(TaskKind.MAP, 0)
    file = PublishedFile(Lease(published, 1, writer), b"d" * 16, 4096, 1)
    outputs = MapOutputs((MapOutput(writer, WorkerName("w"), (file,)),), (opened.volume.access,))
    opened.tell(reduce_task(tmp_path), outputs)
    volume = opened.access.volume(opened.volume.access)
    descriptor = volume.open_for_read(published)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.pwrite(descriptor, b"x", 0)
    os.close(descriptor)
    for refused in (volume.open_for_write, lambda file: volume.open_for_read(other)):
        with pytest.raises(VolumeError, match="what this attempt was not given"):
            refused(published)
    with pytest.raises(VolumeError, match="what this attempt was not given"):
        volume.flush_device()


def test_an_output_gets_its_name_only_when_the_commit_is_granted(opened: Opened, tmp_path: Path) -> None:
    task = reduce_task(tmp_path)
    opened.tell(task)
    with open(opened.access.begin_output(task), "wb") as file:
        file.write(b"result")
    with pytest.raises(VolumeError, match="what this attempt was not given"):
        opened.access.commit_output(task)
    assert not (tmp_path / "part").exists()
    opened.tell(CommitOutput(task.attempt))
    opened.access.commit_output(task)
    assert (tmp_path / "part").read_bytes() == b"result"
    assert not (tmp_path / "part").stat().st_mode & 0o022


def test_an_error_of_the_system_is_the_attempts_as_it_was(opened: Opened, tmp_path: Path) -> None:
    task = reduce_task(tmp_path / "missing")
    opened.tell(task)
    with pytest.raises(OutputError, match="No such file or directory"):
        opened.access.begin_output(task)
    opened.tell(CommitOutput(task.attempt))
    with pytest.raises(OSError, match="Bad file descriptor"):
        opened.access.commit_output(task)


def test_an_opener_that_is_gone_is_told_as_a_link_that_ended(opened: Opened) -> None:
    opened.orders.close()
    with pytest.raises(LinkClosed):
        opened.access.volume(opened.volume.access).flush_device()
