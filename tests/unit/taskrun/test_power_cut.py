"""The contract's third line, flush then publish: without it, what is published is lost with the power.

The volume of these tests forgets what no sync protected, as a host and a disk with a write cache do.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from blfs_mr.errors import CorruptData
from blfs_mr.model import PublishedFile
from blfs_mr.shuffle import decode_batch
from blfs_mr.spill.buffers import BufferPool
from blfs_mr.spill.reader import SegmentReader
from blfs_mr.taskrun import access
from blfs_mr.taskrun.mapper import MapOutputWriter
from blfs_mr.wire.messages.base import Message
from blfs_mr.wire.messages.child import PublishMapOutput
from tests.unit.taskrun.conftest import Worker, load, spec_of

WORDS = """
class Words(Job):
    def map(self, record):
        for word in record.split(): yield word, 1
    def reduce(self, key, values): yield key, sum(values)
"""


class ForgetfulVolume:
    """The worker's volume, of which only that is kept which was flushed twice: its file, then its device.

    A byte that is written is in the host's cache; ``fsync`` of its file brings it to the disk's cache,
    ``flush_device`` from there onto the medium. A power cut leaves what is on the medium.
    """

    def __init__(self, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
        self._root = Path(worker.volume.access.root)
        self._medium = self._host()
        self._disk_cache: dict[Path, bytes] = {}
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(access, "open_volume", lambda access: worker.volume)
        monkeypatch.setattr(type(worker.volume), "flush_device", lambda volume: self.flush_device())

    def fsync(self, descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if path.parent == self._root:
            self._disk_cache[path] = path.read_bytes()
        self._fsync(descriptor)

    def flush_device(self) -> bool:
        self._medium.update(self._disk_cache)
        return True

    def cut_power(self) -> None:
        for path, found in self._host().items():
            path.write_bytes(self._medium.get(path, bytes(len(found))))

    def _host(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self._root.glob("shared-*")}


@pytest.fixture
def volume(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> ForgetfulVolume:
    """One that holds the output of an earlier job, and loses its power when the next one is published."""
    map_words(worker, "of an earlier job")
    worker.published.clear()
    worker.leases, worker.generation = 0, worker.generation + 1
    volume = ForgetfulVolume(worker, monkeypatch)
    request = Worker.request

    def lose_power_first(self: Worker, message: Message, **options: type[Message] | None) -> Message:
        if isinstance(message, PublishMapOutput):
            volume.cut_power()
        return request(self, message, **options)

    monkeypatch.setattr(Worker, "request", lose_power_first)
    return volume


def map_words(worker: Worker, text: str) -> None:
    loaded = load(WORDS)
    worker.map(spec_of(loaded), loaded, f"{text}\n")


def read_keys(worker: Worker) -> list[object]:
    """The keys of the one map output that is published."""
    (output,) = worker.published
    keys: list[object] = []
    for published in output.files:
        descriptor = worker.volume.open_for_read(published.lease.shared_file)
        try:
            with BufferPool() as pool:
                for block in SegmentReader(descriptor, published, 0, pool):
                    keys += decode_batch(block.payload).keys
        finally:
            os.close(descriptor)
    return keys


def test_what_is_published_outlives_a_power_cut(worker: Worker, volume: ForgetfulVolume) -> None:
    map_words(worker, "b a c")
    assert read_keys(worker) == ["a", "b", "c"]


def no_flush(writer: MapOutputWriter) -> tuple[PublishedFile, ...]:
    return tuple(writer._published)


def file_only(writer: MapOutputWriter) -> tuple[PublishedFile, ...]:
    for descriptor in writer._descriptors.values():
        os.fsync(descriptor)
    return tuple(writer._published)


def device_only(writer: MapOutputWriter) -> tuple[PublishedFile, ...]:
    writer._volume.flush_device()
    return tuple(writer._published)


def device_before_file(writer: MapOutputWriter) -> tuple[PublishedFile, ...]:
    writer._volume.flush_device()
    return file_only(writer)


@pytest.mark.parametrize("flush", [no_flush, file_only, device_only, device_before_file])
def test_without_both_flushes_in_order_it_does_not_and_readers_see_that(
    flush: Callable[[MapOutputWriter], tuple[PublishedFile, ...]],
    worker: Worker,
    volume: ForgetfulVolume,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MapOutputWriter, "flush", flush)
    map_words(worker, "b a c")
    with pytest.raises(CorruptData):
        read_keys(worker)


def test_a_flush_that_fails_ends_the_attempt_and_is_not_tried_again(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []

    def fail(descriptor: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        map_words(worker, "b a c")
    assert len(flushed) == 1
    assert worker.published == []
