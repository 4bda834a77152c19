"""A reduce attempt: pull map outputs as they are published, merge, reduce, commit.

All segments are read and verified before the last merge begins, so a block that turns out bad costs a re-run
of its map and nothing else: it is reported, everything of that map output is dropped, and its replacement is
awaited.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain, starmap
from typing import TYPE_CHECKING, Any

from blfs_mr import linux
from blfs_mr.blocking_link import BlockingLink
from blfs_mr.formats.outputs import open_writer
from blfs_mr.job import Job, LoadedJob, instantiate, overrides
from blfs_mr.model import REDUCE_PEAK, ConsumedMapOutput, JobSpec
from blfs_mr.shuffle import Combiner, GroupCursor, Order, Run
from blfs_mr.shuffle.compression import compressor
from blfs_mr.spill.buffers import READ_DEPTH, READ_SIZE
from blfs_mr.taskrun.access import Access
from blfs_mr.taskrun.deadline import watch_reads
from blfs_mr.taskrun.runs import RunStore
from blfs_mr.taskrun.segments import SegmentSource
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

OUTPUT_BUFFERS = 4 << 20
"""Bytes of the budget kept for writing the output: what is gathered for a write, and joined for it."""

READ_BUFFERS_SHARE = 8
"""Reads in flight take one part in so many of the budget at most. Smaller reads are slower, yet by little."""

WINDOWS = 2
"""Long segments whose reads are in flight at a time: the one that is taken, and the next one."""

LEAST_READ = 128 << 10
"""Bytes of one read at least: below, a network disk spends more time on asking than on sending."""

LEAST_BUDGET = 16 << 20
"""Bytes for runs in any case: with less, a budget that the job's own imports use up would have every few
segments merged to scratch."""


def run_reduce(
    task: RunReduceTask,
    loaded: LoadedJob,
    spec: JobSpec,
    link: BlockingLink,
    progress: Progress,
    access: Access,
) -> None:
    """Run one reduce attempt to the commit of its output partition."""
    job = instantiate(loaded.job_class, spec.params)
    combiner = Combiner(job.combine) if overrides(loaded.job_class, "combine") else None
    order: Order = "key-and-value" if spec.settings.sort_values else "key"
    left = max(spec.settings.memory - linux.ResidentMeter()() - OUTPUT_BUFFERS, LEAST_BUDGET)
    read_size = min(max(left // READ_BUFFERS_SHARE // WINDOWS // (READ_DEPTH + 1), LEAST_READ), READ_SIZE)
    store = RunStore(
        task.scratch,
        budget=left - WINDOWS * read_size * (READ_DEPTH + 1),
        block_size=spec.settings.block_size,
        order=order,
        combiner=combiner,
        compress=compressor(spec.settings.compression),
    )
    source = SegmentSource(task.attempt.task.index, store, read_size, watch_reads(task, link), access)
    try:
        consumed = take_all(task, link, source)
        source.close()
        merged = store.merged()
    except BaseException:
        if combiner is not None and combiner.running:
            progress.doing, progress.culprit = "combine", lambda: combiner.key
        raise
    progress.doing = "setup"
    job.setup()
    reduced = Reduced(job, progress, merged)
    with open(access.begin_output(task), "wb", buffering=0) as file:
        writer = open_writer(file, spec.settings.output_format)
        records_out = writer.write_all(reduced.records())
        progress.doing, progress.culprit = "cleanup", None
        job.cleanup()
        writer.finish()
        size = file.tell()
        # A result that is said to be there must survive the loss of power.
        os.fsync(file.fileno())
    counters = {
        "shuffle.records": source.records,
        "shuffle.bytes_read": source.bytes_read,
        "shuffle.bytes_overflowed": store.bytes_overflowed,
        "combine.records_in": combiner.values_in if combiner else 0,
        "combine.records_out": combiner.values_out if combiner else 0,
        "reduce.records_in": reduced.records_in,
        "reduce.groups": reduced.groups,
        "reduce.records_out": records_out,
        "reduce.bytes_out": size,
        REDUCE_PEAK: linux.peak_memory(),
        **job.counters,
    }
    link.request(RequestCommit(task.attempt, consumed, counters), expect=CommitOutput)
    access.commit_output(task)
    link.send(OutputCommitted(task.attempt, size))


def take_all(task: RunReduceTask, link: BlockingLink, source: SegmentSource) -> tuple[ConsumedMapOutput, ...]:
    """Read this task's segments of every map output, each from exactly one published attempt."""
    consumed: dict[int, ConsumedMapOutput] = {}
    while len(consumed) < task.map_tasks:
        reply = link.request(NextMapOutput(task.attempt), expect=MapOutputs)
        source.learn_volumes(reply.volumes)
        outputs = [output for output in reply.outputs if output.attempt.task.index not in consumed]
        for taken in source.take(outputs):
            attempt = taken.output.attempt
            if taken.failure:
                link.send(MapOutputLost(task.attempt, attempt, taken.failure, taken.corrupt))
            else:
                consumed[attempt.task.index] = ConsumedMapOutput(attempt, taken.records)
    return tuple(consumed[index] for index in sorted(consumed))


class Reduced:
    """Hands groups to user code, and remembers the key at hand."""

    def __init__(self, job: Job, progress: Progress, merged: Run) -> None:
        self.records_in = 0
        self._job, self._progress = job, progress
        self._groups = GroupCursor(self._counted(merged))

    @property
    def groups(self) -> int:
        """How many were handed to user code."""
        return self._groups.count

    def records(self) -> Iterator[tuple[Any, Any]]:
        """What ``reduce`` yields for every group, in key order."""
        self._progress.doing, self._progress.culprit = "reduce", lambda: self._groups.current
        return chain.from_iterable(starmap(self._job.reduce, self._groups))

    def _counted(self, merged: Run) -> Run:
        for batch in merged:
            self.records_in += len(batch)
            yield batch
            del batch
