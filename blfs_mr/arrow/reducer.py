"""A columnar reduce attempt: pull map outputs as they are published, reduce tables, commit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from blfs_mr import linux
from blfs_mr.arrow.held import HeldRows
from blfs_mr.arrow.mapper import shown_table
from blfs_mr.arrow.settings import be_one_slot, release_memory
from blfs_mr.arrow.writing import LARGEST_GROUP, write_tables
from blfs_mr.arrow.yielded import tables_of, without_dictionaries
from blfs_mr.blocking_link import BlockingLink
from blfs_mr.job import Job, LoadedJob, instantiate
from blfs_mr.model import REDUCE_PEAK, JobSpec
from blfs_mr.spill.buffers import READ_DEPTH, READ_SIZE
from blfs_mr.taskrun.access import Access
from blfs_mr.taskrun.deadline import watch_reads
from blfs_mr.taskrun.reducer import (
    LEAST_BUDGET,
    LEAST_READ,
    OUTPUT_BUFFERS,
    READ_BUFFERS_SHARE,
    WINDOWS,
    take_all,
)
from blfs_mr.taskrun.segments import SegmentSource
from blfs_mr.wire.messages.base import CommitOutput
from blfs_mr.wire.messages.child import OutputCommitted, RequestCommit, RunReduceTask

if TYPE_CHECKING:
    from blfs_mr.taskrun.attempt import Progress

GROUP_SHARE = 16
"""Results that wait for more take one part in so many of the budget."""


def run_reduce(
    task: RunReduceTask,
    loaded: LoadedJob,
    spec: JobSpec,
    link: BlockingLink,
    progress: Progress,
    access: Access,
) -> None:
    """Run one reduce attempt to the commit of its output partition."""
    be_one_slot()
    job = instantiate(loaded.job_class, spec.params)
    left = max(spec.settings.memory - linux.ResidentMeter()() - OUTPUT_BUFFERS, LEAST_BUDGET)
    read_size = min(max(left // READ_BUFFERS_SHARE // WINDOWS // (READ_DEPTH + 1), LEAST_READ), READ_SIZE)
    held = HeldRows(
        task.scratch,
        budget=left - WINDOWS * read_size * (READ_DEPTH + 1),
        block_size=spec.settings.block_size,
        keys=job.keys,
        in_order=job.sort_batches or job.total_order,
        compressed=bool(spec.settings.compression),
    )
    source = SegmentSource(task.attempt.task.index, held, read_size, watch_reads(task, link), access)
    consumed = take_all(task, link, source)
    source.close()
    progress.doing = "setup"
    job.setup()
    reduced = Reduced(job, progress, task.attempt.task.index)
    output = access.begin_output(task)
    records_out = write_tables(
        output,
        reduced.tables(held),
        spec.settings.output_format,
        group=min(left // GROUP_SHARE, LARGEST_GROUP),
    )
    size = _flush(output)
    counters = {
        "shuffle.records": source.records,
        "shuffle.bytes_read": source.bytes_read,
        "shuffle.bytes_overflowed": held.bytes_overflowed,
        "combine.records_in": 0,
        "combine.records_out": 0,
        "reduce.records_in": reduced.rows_in,
        "reduce.groups": reduced.calls,
        "reduce.records_out": records_out,
        "reduce.bytes_out": size,
        REDUCE_PEAK: linux.peak_memory(),
        **job.counters,
    }
    link.request(RequestCommit(task.attempt, consumed, counters), expect=CommitOutput)
    access.commit_output(task)
    link.send(OutputCommitted(task.attempt, size))


class Reduced:
    """Hands tables to user code, and remembers the one at hand."""

    def __init__(self, job: Job, progress: Progress, partition: int) -> None:
        self.calls = self.rows_in = 0
        self._job, self._progress, self._partition = job, progress, partition

    def tables(self, held: HeldRows) -> Iterator[pa.Table]:
        """What ``reduce_batch`` yields, then ``cleanup`` called.

        With a declared schema it is called for a partition without rows too, so that its file gets columns.
        """
        if held.rows or self._job.batch_schema is None:
            for table in held.tables():
                yield from self._reduce(table)
                del table
                release_memory()
        else:
            yield from self._reduce(without_dictionaries(self._job.batch_schema).empty_table())
        self._progress.doing, self._progress.culprit = "cleanup", None
        self._job.cleanup()

    def _reduce(self, table: pa.Table) -> Iterator[pa.Table]:
        self.calls += 1
        self.rows_in += table.num_rows
        shown = shown_table(table, f"partition {self._partition}")
        self._progress.doing, self._progress.culprit = "reduce_batch", lambda: shown
        yield from tables_of(self._job.reduce_batch(table), "reduce_batch")


def _flush(path: str) -> int:
    """Let the result outlive the loss of power, since it is said to be there; its size in bytes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
