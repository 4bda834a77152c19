"""From records to groups through real mappers, volumes, drains and reducers, against a plain dict.

Everything but processes and messages is the real thing. Bytes that turn over on the way change no group.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.errors import CorruptData, UsageError
from blfs_mr.model import MapOutput, TaskKind, VolumeAccess, VolumeId, VolumeLayout
from blfs_mr.shuffle.compression import COMPRESSIONS, check_available
from blfs_mr.spill.buffers import BufferPool
from blfs_mr.spill.reader import SegmentReader
from blfs_mr.taskrun import mapper, reducer
from blfs_mr.taskrun.access import OwnAccess
from blfs_mr.taskrun.attempt import Progress
from blfs_mr.taskrun.deadline import ReadWatch
from blfs_mr.taskrun.drainer import drained
from blfs_mr.taskrun.reducer import run_reduce
from blfs_mr.volume.directory import OwnedDirectoryVolume
from blfs_mr.wire.messages.base import Message
from blfs_mr.wire.messages.child import MapOutputs, NextMapOutput, RunDrain, RunReduceTask
from tests.unit.taskrun.conftest import KIB, UNHURRIED, WORKER, Worker, attempt_of, load, spec_of

LITERALS = """
class Literals(Job):
    def map(self, record): yield eval(record, {"inf": float("inf")})
    def reduce(self, key, values): yield repr(key), repr(sorted(values, key=repr))
"""

KEYS: dict[str, st.SearchStrategy[Any]] = {
    "numbers": st.booleans() | st.integers() | st.floats(allow_nan=False),
    "texts": st.text(st.characters(exclude_categories=["Cs"])),
    "bytes": st.binary(),
    "pairs": st.tuples(st.integers(-3, 3), st.text("ab\t\n", max_size=3)),
    "few": st.integers(0, 4),
}
VALUES = st.none() | st.integers() | st.text(max_size=20) | st.binary(max_size=200)
RECORDS = st.sampled_from(sorted(KEYS)).flatmap(
    lambda kind: st.lists(st.tuples(KEYS[kind], VALUES), max_size=60)
)


def available(compression: str) -> bool:
    try:
        check_available(compression)
    except UsageError:
        return False
    return True


AVAILABLE = [name for name in COMPRESSIONS if available(name)]


@dataclass
class Reader(Worker):
    """A worker whose reducers read other workers' volumes."""

    outputs: list[MapOutput] = field(default_factory=list)
    volumes: list[VolumeAccess] = field(default_factory=list)

    def request(self, message: Message, *, expect: type[Message] | None = None) -> Message:
        if isinstance(message, NextMapOutput):
            return MapOutputs(tuple(self.outputs), tuple(self.volumes))
        return super().request(message, expect=expect)


def grouped(records: list[tuple[Any, Any]]) -> dict[Any, str]:
    groups: dict[Any, list[Any]] = defaultdict(list)
    for key, value in records:
        groups[key].append(value)
    return {key: repr(sorted(values, key=repr)) for key, values in groups.items()}


@settings(max_examples=100, deadline=None)
@given(
    records=RECORDS,
    workers=st.integers(1, 3),
    maps=st.integers(1, 5),
    reduces=st.integers(1, 4),
    buffer=st.sampled_from([1 << 10, 1 << 14, 1 << 23]),
    block_size=st.sampled_from([4 * KIB, 256 * KIB]),
    compression=st.sampled_from(AVAILABLE),
    drains=st.booleans(),
)
def test_any_records_are_grouped_as_a_dict_groups_them(
    records: list[tuple[Any, Any]],
    workers: int,
    maps: int,
    reduces: int,
    buffer: int,
    block_size: int,
    compression: str,
    drains: bool,
) -> None:
    loaded = load(LITERALS)
    spec = spec_of(loaded, reduce_tasks=reduces, block_size=block_size, compression=compression, memory=1)
    with tempfile.TemporaryDirectory() as root, ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapper, "LEAST_BUFFER", buffer)
        patch.setattr(reducer, "LEAST_BUDGET", buffer)
        makers = []
        for number in range(workers):
            folder = Path(root, f"worker-{number}")
            folder.mkdir()
            volume = OwnedDirectoryVolume.create(str(folder / "volume"), WORKER, 300, 512 * KIB)
            stack.callback(volume.close)
            makers.append(Worker(folder, volume))
        for index in range(maps):
            text = "".join(f"{record!r}\n" for record in records[index::maps])
            makers[index % workers].map(spec, loaded, text, index)
        outputs = [output for maker in makers for output in maker.published]
        accesses = [maker.volume.access for maker in makers]
        reader = Reader(makers[0].folder, makers[0].volume, outputs=outputs, volumes=accesses)
        found: dict[Any, str] = {}
        for partition in range(reduces):
            if drains:
                drain_all(reader, outputs, accesses, partition, reduces)
            reduced = reduce(reader, spec, loaded, partition, maps)
            assert found.keys().isdisjoint(reduced), "a key in two partitions"
            found |= reduced
    assert found == grouped(records)
    assert reader.lost == []


def drain_all(
    reader: Reader, outputs: list[MapOutput], accesses: list[VolumeAccess], partition: int, reduces: int
) -> None:
    """Have the next reducer read copies."""
    root = reader.folder / f"drained-{partition}"
    root.mkdir()
    scratch = VolumeAccess(VolumeId("5c" * 16), VolumeLayout.DIRECTORY, str(root), direct=False)
    reader.outputs = [
        drained(
            RunDrain(serial, output, tuple(accesses), UNHURRIED, (partition,), reduces, scratch),
            ReadWatch(UNHURRIED, lambda published: None),
            OwnAccess(),
        )
        for serial, output in enumerate(outputs)
    ]
    reader.volumes = [scratch]


def reduce(reader: Reader, spec: Any, loaded: Any, partition: int, maps: int) -> dict[Any, str]:
    scratch, final = reader.folder / f"scratch-{partition}", reader.folder / f"part-{partition}"
    scratch.mkdir()
    attempt = attempt_of(TaskKind.REDUCE, partition)
    run_reduce(
        RunReduceTask(attempt, maps, UNHURRIED, str(scratch), f"{final}.attempt", str(final)),
        loaded, spec, reader.link, Progress(), OwnAccess(),
    )  # fmt: skip
    pairs = [line.split("\t") for line in final.read_text().splitlines()]
    reduced = {eval(key, {"inf": float("inf")}): values for key, values in pairs}
    assert len(reduced) == len(pairs), "a key in two groups"
    return reduced


def test_a_thousand_single_flips_are_found_or_change_nothing(worker: Worker) -> None:
    loaded, partitions, chance = load(LITERALS), 3, random.Random(7)
    records = "".join(f"({chance.randrange(500)}, {number})\n" for number in range(1500))
    worker.map(spec_of(loaded, reduce_tasks=partitions, block_size=4 * KIB), loaded, records)
    ((published,),) = (output.files for output in worker.published)
    path = os.path.join(worker.volume.access.root, published.lease.shared_file.path)
    descriptor = os.open(path, os.O_RDWR)

    def read() -> list[bytes]:
        source = worker.volume.open_for_read(published.lease.shared_file)
        try:
            with BufferPool() as pool:
                return [
                    bytes(block.payload)
                    for partition in range(partitions)
                    for block in SegmentReader(source, published, partition, pool)
                ]
        finally:
            os.close(source)

    written, noticed = read(), 0
    for _ in range(1000):
        position = chance.randrange(published.length)
        byte = os.pread(descriptor, 1, position)
        os.pwrite(descriptor, bytes([byte[0] ^ 1 << chance.randrange(8)]), position)
        try:
            assert read() == written
        except CorruptData:
            noticed += 1
        os.pwrite(descriptor, byte, position)
    os.close(descriptor)
    assert read() == written
    assert noticed > 500, "most bytes are in use"
