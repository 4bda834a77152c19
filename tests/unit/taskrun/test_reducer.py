"""Reduce attempts: from published map outputs to a committed part, with every record accounted for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest

from blfs_mr.errors import BadBlock
from blfs_mr.model import ConsumedMapOutput, MapOutput, SharedFile, TaskKind
from blfs_mr.taskrun import reducer, segments
from blfs_mr.taskrun.attempt import Progress
from blfs_mr.volume.directory import DirectoryVolume
from tests.unit.taskrun.conftest import KIB, MIB, Worker, attempt_of, load, spec_of

WORDS = """
class Words(Job):
    def map(self, record):
        for word in record.split(): yield word, 1
    def reduce(self, key, values): yield key, sum(values)
"""

VALUES = """
class Values(Job):
    def map(self, record):
        key, value = record.split()
        yield key, int(value)
    def reduce(self, key, values): yield key, list(values)
"""


def _file(worker: Worker, output: MapOutput, number: int = 0) -> Path:
    return Path(worker.volume.access.root) / output.files[number].lease.shared_file.path


def _damage(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_the_words_of_all_maps_are_counted(worker: Worker) -> None:
    loaded = load(WORDS)
    spec = spec_of(loaded, reduce_tasks=2)
    for index, text in enumerate(["a b\n", "b c\n", "\n", "c c\n"]):
        worker.map(spec, loaded, text, index)
    lines = worker.reduce(spec, loaded, 0) + worker.reduce(spec, loaded, 1)
    assert sorted(lines.splitlines()) == ["a\t1", "b\t2", "c\t3"]


def test_files_of_several_maps_are_opened_at_the_same_time(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load(WORDS)
    spec = spec_of(loaded)
    for index in range(segments.READERS):
        worker.map(spec, loaded, "a\n", index)
    all_open = Barrier(segments.READERS, timeout=60)
    real = DirectoryVolume.open_for_read

    def together(volume: DirectoryVolume, shared_file: SharedFile) -> int:
        all_open.wait()
        return real(volume, shared_file)

    monkeypatch.setattr(DirectoryVolume, "open_for_read", together)
    assert worker.reduce(spec, loaded) == f"a\t{segments.READERS}\n"


def test_a_large_segment_is_opened_once_and_its_index_read_once(
    make_worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, loaded = make_worker(4, 4 * MIB), load(WORDS)
    spec = spec_of(loaded)
    for index in range(3):
        worker.map(spec, loaded, "".join(f"{index} {word:07}\n" for word in range(200_000)), index)
    opened: list[SharedFile] = []
    real = DirectoryVolume.open_for_read

    def counted(volume: DirectoryVolume, shared_file: SharedFile) -> int:
        opened.append(shared_file)
        return real(volume, shared_file)

    monkeypatch.setattr(DirectoryVolume, "open_for_read", counted)
    lines = worker.reduce(spec, loaded).splitlines()
    assert len(lines) == 200_003
    files = [file for output in worker.published for file in output.files]
    assert all(file.length > segments.LARGEST_SMALL for file in files)
    assert sorted(file.path for file in opened) == sorted(file.lease.shared_file.path for file in files)


def test_records_are_counted_at_every_stage(worker: Worker) -> None:
    loaded = load(WORDS)
    spec = spec_of(loaded)
    worker.map(spec, loaded, "a b a\n", 0)
    worker.map(spec, loaded, "b c\n", 1)
    output = worker.reduce(spec, loaded)
    assert worker.counters.pop("reduce.peak_memory") > 0
    bytes_read = worker.counters.pop("shuffle.bytes_read")
    assert 0 < bytes_read < 200
    assert worker.counters == {
        "shuffle.records": 5,
        "shuffle.bytes_overflowed": 0,
        "combine.records_in": 0,
        "combine.records_out": 0,
        "reduce.records_in": 5,
        "reduce.groups": 3,
        "reduce.records_out": 3,
        "reduce.bytes_out": len(output),
    }
    (commit,) = worker.committed
    assert commit.consumed == (
        ConsumedMapOutput(attempt_of(TaskKind.MAP, 0), 3),
        ConsumedMapOutput(attempt_of(TaskKind.MAP, 1), 2),
    )


def test_sorted_values_arrive_sorted_across_maps_and_spills(worker: Worker) -> None:
    loaded = load(VALUES)
    spec = spec_of(loaded, sort_values=True)
    worker.map(spec, loaded, "k 5\nj 9\nk 1\n", 0)
    worker.map(spec, loaded, "k 3\nk 4\nj -1\n", 1)
    assert worker.reduce(spec, loaded) == "j\t[-1, 9]\nk\t[1, 3, 4, 5]\n"


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
@pytest.mark.parametrize("memory", [1, 256 * MIB])
def test_compressed_data_reduces_to_the_same(worker: Worker, codec: str, memory: int) -> None:
    loaded = load(WORDS)
    spec = spec_of(loaded, compression=codec, memory=memory, block_size=4 * KIB)
    text = " ".join(f"word{number % 700:04d}" for number in range(20_000))
    for index in range(3):
        worker.map(spec, loaded, text, index)
    assert worker.reduce(spec, loaded).splitlines()[0] == f"word0000\t{29 * 3}"


def test_more_data_than_memory_overflows_and_is_all_there(make_worker: Callable[..., Worker]) -> None:
    worker = make_worker(files=60, size=2 * MIB)
    loaded = load(
        """
        class Spread(Job):
            def map(self, record):
                for number in range(40_000): yield f"{number * 7919 % 40_000:06d}", f"{record}{number:060d}"
            def reduce(self, key, values): yield key, len(list(values))
        """
    )
    spec = spec_of(loaded, memory=1)  # what is kept in any case
    for index in range(6):
        worker.map(spec, loaded, f"{index}\n", index)
    lines = worker.reduce(spec, loaded).splitlines()
    assert lines == [f"{number:06d}\t6" for number in range(40_000)]
    assert worker.counters["shuffle.bytes_overflowed"] > 5 * MIB
    assert worker.counters["reduce.records_in"] == worker.counters["shuffle.records"] == 240_000


def test_a_segment_larger_than_memory_goes_to_scratch_as_it_is(make_worker: Callable[..., Worker]) -> None:
    worker = make_worker(files=4, size=32 * MIB)
    loaded = load(
        """
        class Large(Job):
            def map(self, record):
                for number in range(200): yield number % 3, f"{number:0100000d}"
            def reduce(self, key, values): yield key, sum(map(len, values))
        """
    )
    worker.map(spec_of(loaded), loaded, "x\n")
    assert worker.reduce(spec_of(loaded, memory=1), loaded) == "0\t6700000\n1\t6700000\n2\t6600000\n"
    assert worker.counters["shuffle.bytes_overflowed"] > 20_000_000


def test_a_damaged_map_output_is_reported_whole_and_its_replacement_taken(worker: Worker) -> None:
    loaded = load(WORDS)
    spec = spec_of(loaded, block_size=4 * KIB)
    words = " ".join(f"word{number}" for number in range(150_000))
    worker.map(spec, loaded, "a a\n", 0)
    worker.map(spec, loaded, words, 1)
    good, bad = worker.published
    assert len(bad.files) > 1
    _damage(_file(worker, bad, -1), 5000)
    worker.map(spec, loaded, "b\n", 1, number=2)
    worker.replacements = [worker.published.pop()]
    assert worker.reduce(spec, loaded) == "a\t2\nb\t1\n"
    (lost,) = worker.lost
    assert lost.output == bad.attempt
    assert "ChecksumMismatch" in lost.reason
    assert [taken.attempt for taken in worker.committed[0].consumed] == [
        good.attempt,
        worker.replacements[0].attempt,
    ]


def test_a_damaged_segment_on_its_way_to_scratch_leaves_nothing_behind(
    make_worker: Callable[..., Worker],
) -> None:
    worker = make_worker(files=3, size=32 * MIB)
    loaded = load(
        """
        class Large(Job):
            def map(self, record):
                for number in range(int(record)): yield number, f"{number:0100000d}"
            def reduce(self, key, values): yield key, sum(map(len, values))
        """
    )
    # With memory enough for one run, however large the process that runs the tests is by now.
    worker.map(spec_of(loaded, memory=1 << 40), loaded, "200\n")
    _damage(_file(worker, worker.published[0]), 19_000_000)
    worker.map(spec_of(loaded), loaded, "1\n", number=2)
    worker.replacements = [worker.published.pop()]
    assert worker.reduce(spec_of(loaded, memory=1), loaded) == "0\t100000\n"
    assert len(worker.lost) == 1


def test_a_volume_that_nobody_told_of_is_reported_as_the_outputs_loss(
    worker: Worker, make_worker: Callable[..., Worker]
) -> None:
    loaded = load(WORDS)
    elsewhere = make_worker()
    elsewhere.map(spec_of(loaded), loaded, "a\n")
    worker.published = [elsewhere.published[0]]
    worker.map(spec_of(loaded), loaded, "b\n")
    worker.replacements = [worker.published.pop()]
    assert worker.reduce(spec_of(loaded), loaded) == "b\t1\n"
    assert "cannot be reached from this worker" in worker.lost[0].reason


def test_fewer_records_in_the_blocks_than_the_index_promises_fail_the_attempt(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load(WORDS)
    worker.map(spec_of(loaded), loaded, "a b\n")
    real = segments.HeldRun.in_memory

    def promising_more(payloads: list[bytes], records: int) -> segments.HeldRun:
        return real(payloads, records + 1)

    monkeypatch.setattr(segments.HeldRun, "in_memory", promising_more)
    with pytest.raises(BadBlock, match="3 records by its index holds 2"):
        worker.reduce(spec_of(loaded), loaded)
    assert worker.committed == []


def test_many_small_segments_are_all_read(make_worker: Callable[..., Worker]) -> None:
    worker = make_worker(files=200, size=8 * KIB)
    loaded = load(WORDS)
    spec = spec_of(loaded)
    for index in range(200):
        worker.map(spec, loaded, f"w{index} all\n", index)
    lines = worker.reduce(spec, loaded).splitlines()
    assert lines[0] == "all\t200"
    assert len(lines) == 201


def test_a_reduce_that_raises_is_named_with_its_key(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Progress] = []

    class Kept(Progress):
        def __init__(self) -> None:
            super().__init__()
            kept.append(self)

    monkeypatch.setattr("tests.unit.taskrun.conftest.Progress", Kept)
    loaded = load(WORDS.replace("sum(values)", "sum(values) // (key != 'culprit')"))
    worker.map(spec_of(loaded), loaded, "a culprit z\n")
    with pytest.raises(ZeroDivisionError):
        worker.reduce(spec_of(loaded), loaded)
    assert (kept[-1].doing, kept[-1].describe()) == ("reduce", "'culprit'")


def test_a_combiner_that_raises_while_runs_are_merged_is_named_with_its_key(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reducer, "LEAST_BUDGET", MIB)
    loaded = load(
        WORDS + "    def combine(self, key, values): yield key, sum(values) // (key != 'culprit')\n"
    )
    spec = spec_of(loaded, memory=1)
    for index in range(4):
        worker.map(spec, loaded, "culprit " + " ".join(f"word{number}" for number in range(4000)), index)
    progress = Progress()
    monkeypatch.setattr("tests.unit.taskrun.conftest.Progress", lambda: progress)
    with pytest.raises(ZeroDivisionError):
        worker.reduce(spec, loaded)
    assert (progress.doing, progress.describe()) == ("combine", "'culprit'")


def test_a_huge_key_streams(make_worker: Callable[..., Worker]) -> None:
    worker = make_worker(files=40, size=2 * MIB)
    loaded = load(
        """
        class One(Job):
            def map(self, record):
                for number in range(30_000): yield "k", f"{number:0100d}"
            def reduce(self, key, values):
                most = count = 0
                import tracemalloc
                tracemalloc.start()
                for value in values:
                    count += 1
                yield count, tracemalloc.get_traced_memory()[1] < 12 << 20
                tracemalloc.stop()
        """
    )
    spec = spec_of(loaded, memory=1)
    for index in range(6):
        worker.map(spec, loaded, "x\n", index)
    assert worker.reduce(spec, loaded) == "180000\tTrue\n"


def test_an_output_read_twice_is_consumed_once(worker: Worker) -> None:
    loaded = load(WORDS)
    spec = spec_of(loaded)
    worker.map(spec, loaded, "a\n", 0)
    worker.map(spec, loaded, "a\n", 1)
    first, second = worker.published
    bad = replace(second, files=(replace(second.files[0], header_digest=bytes(16)),))
    worker.published = [first, bad]
    worker.replacements = [first, second]  # the first comes again, beside the replacement
    assert worker.reduce(spec, loaded) == "a\t2\n"
