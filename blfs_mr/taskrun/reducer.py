"""A reduce attempt: pull map outputs as they are published, merge, reduce, commit.

All segments are read and verified before the merge begins, so a block that turns out bad costs a re-run of
its map and nothing else: it is reported, everything of that map output is dropped, and its replacement is
awaited. What was read is kept encoded; beyond the memory budget it is merged into runs on scratch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from blfs_mr.blocking_link import BlockingLink
from blfs_mr.errors import CorruptData, VolumeError
from blfs_mr.formats.outputs import open_writer
from blfs_mr.job import Job, LoadedJob, instantiate
from blfs_mr.model import ConsumedMapOutput, JobSpec, MapOutput, VolumeAccess, VolumeId
from blfs_mr.shuffle import Run, decode_batch, encode_in_blocks, groups, merge_runs
from blfs_mr.spill.buffers import BufferPool
from blfs_mr.spill.format import MAX_PAYLOAD
from blfs_mr.spill.reader import SegmentReader
from blfs_mr.taskrun.scratch import ScratchRun
from blfs_mr.volume.layout import Volume, open_volume
from blfs_mr.wire.messages.base import CommitOutput, MapOutputLost
from blfs_mr.wire.messages.child import (
    MapOutputs,
    NextMapOutput,
    OutputCommitted,
    RequestCommit,
    RunReduceTask,
)

if TYPE_CHECKING:
    from blfs_mr.taskrun.attempt import Progress

READ_SHARE = 4
"""One part in so many of the memory budget holds segments as read. The rest is for the merge, where a block
of each run stands decoded, several times its size, and for user code."""

Payloads = list[bytes]


def run_reduce(
    task: RunReduceTask, loaded: LoadedJob, spec: JobSpec, link: BlockingLink, progress: Progress
) -> None:
    """Run one reduce attempt to the commit of its output partition."""
    job = instantiate(loaded.job_class, spec.params)
    segments = Segments(task, spec)
    consumed = _read_all(task, link, segments)
    progress.doing = "setup"
    job.setup()
    reduced = Reduced(job, progress)
    with open(task.output_path, "wb", buffering=0) as file:
        writer = open_writer(file, spec.settings.output_format)
        records_out = writer.write_all(reduced.records(segments.runs()))
        progress.doing, progress.culprit = "cleanup", None
        job.cleanup()
        writer.finish()
        size = file.tell()
        # A result that is said to be there must survive the loss of power.
        os.fsync(file.fileno())
    counters = {
        "reduce.records_in": sum(c.records for c in consumed),
        "reduce.groups": reduced.groups,
        "reduce.records_out": records_out,
        "reduce.bytes_out": size,
        "shuffle.bytes_read": segments.bytes_read,
        "shuffle.bytes_overflowed": segments.bytes_overflowed,
        **job.counters,
    }
    link.request(RequestCommit(task.attempt, tuple(consumed), counters), expect=CommitOutput)
    os.rename(task.output_path, task.final_path)
    link.send(OutputCommitted(task.attempt, task.final_path, size))


def _read_all(task: RunReduceTask, link: BlockingLink, segments: Segments) -> list[ConsumedMapOutput]:
    """Read this task's segment of every map output, each from exactly one published attempt."""
    consumed: dict[int, ConsumedMapOutput] = {}
    while len(consumed) < task.map_tasks:
        reply = link.request(NextMapOutput(task.attempt), expect=MapOutputs)
        segments.learn_volumes(reply.volumes)
        for output in reply.outputs:
            index = output.attempt.task.index
            if index in consumed:
                continue
            try:
                records = segments.read(output)
            except (CorruptData, VolumeError, OSError) as error:
                reason = f"{type(error).__name__}: {error}"
                link.send(MapOutputLost(task.attempt, output.attempt, reason))
                continue
            consumed[index] = ConsumedMapOutput(output.attempt, records)
    return [consumed[index] for index in sorted(consumed)]


class Segments:
    """The segments of one partition, verified, within a share of the memory budget."""

    def __init__(self, task: RunReduceTask, spec: JobSpec) -> None:
        self.bytes_read = self.bytes_overflowed = 0
        self._partition = task.attempt.task.index
        self._block_size = spec.settings.block_size
        self._budget = spec.settings.memory // READ_SHARE
        self._scratch = task.scratch
        self._access: dict[VolumeId, VolumeAccess] = {}
        self._volumes: dict[VolumeId, Volume] = {}
        self._buffers = BufferPool()
        self._in_memory: list[Payloads] = []
        self._bytes_in_memory = 0
        self._overflowed: list[ScratchRun] = []

    def learn_volumes(self, volumes: Iterable[VolumeAccess]) -> None:
        """How to reach volumes that map outputs lie on."""
        self._access.update((access.volume, access) for access in volumes)

    def read(self, output: MapOutput) -> int:
        """Take this partition's segments of ``output``; the records in them.

        Raises CorruptData, VolumeError or OSError, and has taken nothing then.
        """
        runs: list[Payloads] = []
        records = 0
        for published in output.files:
            volume = self._volume(published.lease.shared_file.volume)
            descriptor = volume.open_for_read(published.lease.shared_file)
            try:
                reader = SegmentReader(descriptor, published, self._partition, self._buffers)
                runs.append([bytes(block.payload) for block in reader])
                records += reader.records
            finally:
                os.close(descriptor)
        size = sum(len(payload) for run in runs for payload in run)
        self.bytes_read += size
        self._bytes_in_memory += size
        self._in_memory += filter(None, runs)
        if self._bytes_in_memory > self._budget:
            self._overflow()
        return records

    def runs(self) -> list[Run]:
        """Everything taken, as sorted runs of decoded batches."""
        return [
            *(map(decode_batch, payloads) for payloads in self._in_memory),
            *(map(decode_batch, run.payloads()) for run in self._overflowed),
        ]

    def _volume(self, volume: VolumeId) -> Volume:
        if volume not in self._volumes:
            access = self._access.get(volume)
            if access is None:
                raise VolumeError(f"volume {volume} cannot be reached from this worker")
            self._volumes[volume] = open_volume(access)
        return self._volumes[volume]

    def _overflow(self) -> None:
        """Merge what is in memory into one run on scratch."""
        run = ScratchRun(os.path.join(self._scratch, f"run-{len(self._overflowed):05d}"))
        merged = merge_runs(map(decode_batch, payloads) for payloads in self._in_memory)
        for block in encode_in_blocks(merged, self._block_size, MAX_PAYLOAD):
            run.append(block.payload)
        self.bytes_overflowed += run.finish()
        self._overflowed.append(run)
        self._in_memory, self._bytes_in_memory = [], 0


class Reduced:
    """Hands groups to user code, and remembers the key at hand."""

    def __init__(self, job: Job, progress: Progress) -> None:
        self.groups = 0
        self._job, self._progress = job, progress

    def records(self, runs: list[Run]) -> Iterator[tuple[Any, Any]]:
        """What ``reduce`` yields for every group, in key order."""
        key: object = None
        self._progress.doing, self._progress.culprit = "reduce", lambda: key
        reduce = self._job.reduce
        for key, values in groups(merge_runs(runs)):
            self.groups += 1
            yield from reduce(key, values)
