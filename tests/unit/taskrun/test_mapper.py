"""Map attempts: what is published, counted and blamed."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from blfs_mr.errors import KeyNotSupported, PoolExhausted, RecordTooLarge
from blfs_mr.shuffle import decode_batch
from blfs_mr.shuffle.range_partition import encode_boundaries
from blfs_mr.spill.buffers import BufferPool
from blfs_mr.spill.reader import SegmentReader
from blfs_mr.taskrun import access, mapper
from blfs_mr.taskrun.attempt import Progress
from tests.unit.taskrun.conftest import MIB, Worker, load, spec_of

WORDS = """
class Words(Job):
    def map(self, record):
        for word in record.split(): yield word, 1
    def reduce(self, key, values): yield key, sum(values)
"""


def _keys(worker: Worker, partition: int) -> list[object]:
    keys: list[object] = []
    for output in worker.published:
        for published in output.files:
            descriptor = worker.volume.open_for_read(published.lease.shared_file)
            with BufferPool() as pool:
                for block in SegmentReader(descriptor, published, partition, pool):
                    keys += decode_batch(block.payload).keys
            os.close(descriptor)
    return keys


def test_records_and_pairs_are_counted_at_every_stage(worker: Worker) -> None:
    loaded = load(WORDS + "    def combine(self, key, values): yield key, sum(values)\n")
    worker.map(spec_of(loaded), loaded, "a b a\nb a\n")
    (output,) = worker.published
    assert worker.counters.pop("map.peak_memory") > 0
    assert worker.counters == {
        "map.records_in": 2,
        "map.bytes_in": 10,
        "map.records_out": 5,
        "combine.records_in": 5,
        "combine.records_out": 2,
        "map.records_spilled": 2,
        "map.bytes_spilled": sum(file.length for file in output.files),
    }
    assert [file.records for file in output.files] == [2]


def test_an_input_without_pairs_publishes_no_file(worker: Worker) -> None:
    loaded = load(WORDS)
    worker.map(spec_of(loaded), loaded, "\n\n")
    assert worker.published[0].files == ()


def test_boundaries_decide_the_partitions(worker: Worker) -> None:
    loaded = load(WORDS)
    spec = spec_of(loaded, encode_boundaries(["h", "p"]), reduce_tasks=3)
    worker.map(spec, loaded, "z a m p h b\n")
    assert [_keys(worker, partition) for partition in range(3)] == [["a", "b"], ["h", "m"], ["p", "z"]]


def test_files_are_flushed_before_they_are_published(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    real_request = Worker.request

    def request(self: Worker, message: object, **options: object) -> object:
        happened.append(type(message).__name__)
        return real_request(self, message, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", lambda descriptor: happened.append("fsync"))
    monkeypatch.setattr(type(worker.volume), "flush_device", lambda volume: happened.append("flush device"))
    monkeypatch.setattr(access, "open_volume", lambda access: worker.volume)
    monkeypatch.setattr(Worker, "request", request)
    loaded = load(WORDS)
    worker.map(spec_of(loaded), loaded, "a\n")
    assert happened == ["LeaseSharedFile", "fsync", "flush device", "PublishMapOutput"]


def test_memory_is_given_back_after_each_spill(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    trims: list[None] = []
    monkeypatch.setattr(mapper.linux, "trim_memory", lambda: trims.append(None))
    loaded = load(
        """
        class Many(Job):
            def map(self, record):
                for number in range(300_000): yield f"{record} {number}", "v" * 20
            def reduce(self, key, values): pass
        """
    )
    worker.map(spec_of(loaded, memory=1), loaded, "x\n")
    assert len(trims) > 1
    assert worker.counters["map.records_spilled"] == 300_000


def test_a_pool_without_files_ends_the_attempt_with_its_reason(make_worker: Callable[..., Worker]) -> None:
    worker = make_worker(files=1, size=16 << 10)
    loaded = load(WORDS)
    with pytest.raises(PoolExhausted, match="no more files"):
        worker.map(spec_of(loaded, block_size=4096), loaded, " ".join(map(str, range(3000))))


def test_a_record_that_no_block_holds_is_refused(worker: Worker) -> None:
    loaded = load(
        """
        class Large(Job):
            def map(self, record): yield 1, "x" * (5 << 20)
            def reduce(self, key, values): pass
        """
    )
    with pytest.raises(RecordTooLarge, match="larger than a block"):
        worker.map(spec_of(loaded), loaded, "x\n")


def _failing(method: str, worker: Worker, monkeypatch: pytest.MonkeyPatch, body: str) -> Progress:
    kept: list[Progress] = []

    class Kept(Progress):
        def __init__(self) -> None:
            super().__init__()
            kept.append(self)

    monkeypatch.setattr("tests.unit.taskrun.conftest.Progress", Kept)
    loaded = load(WORDS + f"    def {method}:\n        {body}\n")
    with pytest.raises((ZeroDivisionError, KeyNotSupported)):
        worker.map(spec_of(loaded, reduce_tasks=2), loaded, "a b a\nculprit b culprit\n")
    (progress,) = kept
    return progress


def test_a_combiner_that_raises_is_named_with_its_key(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "yield key, 1 // (key != 'culprit')"
    progress = _failing("combine(self, key, values)", worker, monkeypatch, body)
    assert (progress.doing, progress.describe()) == ("combine", "'culprit'")


def test_a_partition_method_that_raises_is_named_with_its_key(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "return 0 // (key != 'culprit')"
    progress = _failing("partition(self, key, partitions)", worker, monkeypatch, body)
    assert (progress.doing, progress.describe()) == ("partition", "'culprit'")


def test_a_map_that_raises_is_named_with_its_record(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "yield record, 1 // ('culprit' not in record)"
    progress = _failing("map(self, record)", worker, monkeypatch, body)
    assert (progress.doing, progress.describe()) == ("map", "'culprit b culprit'")


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_compressed_output_is_smaller_and_says_the_same(worker: Worker, codec: str) -> None:
    loaded = load(WORDS)
    text = " ".join(f"word{number:06d}" for number in range(5000))
    worker.map(spec_of(loaded), loaded, text)
    plain = worker.counters["map.bytes_spilled"]
    keys = _keys(worker, 0)
    worker.published.clear()
    worker.map(spec_of(loaded, compression=codec), loaded, text)
    assert worker.counters["map.bytes_spilled"] < plain / 1.5
    assert _keys(worker, 0) == keys


def test_the_device_is_left_alone_without_output(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        type(worker.volume), "flush_device", lambda volume: pytest.fail("nothing was written")
    )
    monkeypatch.setattr(access, "open_volume", lambda access: worker.volume)
    loaded = load(WORDS)
    worker.map(spec_of(loaded), loaded, "")


def test_a_run_that_does_not_fit_goes_on_in_the_next_file(make_worker: Callable[..., Worker]) -> None:
    worker = make_worker(files=20, size=64 << 10)
    loaded = load(WORDS)
    words = [f"word{number:05d}" for number in range(20_000)]
    worker.map(spec_of(loaded, block_size=16 << 10, memory=256 * MIB), loaded, " ".join(words))
    assert len(worker.published[0].files) > 3
    assert sorted(map(str, _keys(worker, 0))) == words
