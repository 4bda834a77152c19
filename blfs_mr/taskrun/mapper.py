"""A map attempt: records in, one published map output out.

User ``map`` -> buffer in memory -> sorted runs in leased shared files -> one flush -> published. Each shared
file holds one run of its own (see ``docs/spill_format.md``); a run that does not fit into what is left of
its file goes on in the next one.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from blfs_mr import linux
from blfs_mr.blocking_link import BlockingLink
from blfs_mr.errors import PoolExhausted, RecordTooLarge, RequestFailed
from blfs_mr.formats.reading import open_split
from blfs_mr.job import Job, LoadedJob, instantiate, overrides
from blfs_mr.model import MAP_PEAK, JobSpec, PublishedFile, SharedFile
from blfs_mr.shuffle import Batch, EncodedBlock, MapBuffer, encode_in_blocks
from blfs_mr.shuffle.compression import compressor
from blfs_mr.shuffle.range_partition import RangePartitioner
from blfs_mr.spill.format import MAX_PAYLOAD
from blfs_mr.spill.writer import SharedFileWriter
from blfs_mr.taskrun.access import Access
from blfs_mr.taskrun.deadline import watch_writes
from blfs_mr.units import format_size
from blfs_mr.volume.layout import Volume
from blfs_mr.wire.messages.child import LeaseGranted, LeaseSharedFile, PublishMapOutput, RunMapTask

if TYPE_CHECKING:
    from blfs_mr.taskrun.attempt import Progress


WRITE_BUFFERS = 8 << 20
"""Bytes of the budget kept for reading input and for encoding and writing blocks: a few of the largest."""

LEAST_BUFFER = 8 << 20
"""Bytes that pairs get in any case: with less, a budget that the job's own imports use up would make a spill
of every few records."""


def run_map(
    task: RunMapTask,
    loaded: LoadedJob,
    spec: JobSpec,
    link: BlockingLink,
    progress: Progress,
    access: Access,
) -> None:
    """Run one map attempt to its publication."""
    job = instantiate(loaded.job_class, spec.params)
    split = open_split(task.split, spec.settings.input_format)
    job.split, job.source = split, split.source
    progress.doing = "setup"
    job.setup()
    if overrides(loaded.job_class, "map_split"):
        where = f"{split.path}, {split.length} bytes from {split.offset}"
        progress.doing, progress.culprit = "map_split", lambda: where
        pairs: Iterator[Any] = iter(job.map_split(split))
        records = None
    else:
        records = split.records()
        progress.doing, progress.culprit = "map", lambda: records.current
        pairs = chain.from_iterable(map(job.map, records))
    buffer = _buffer(job, loaded, spec)
    output = MapOutputWriter(link, access.volume(task.own_volume), task, spec)
    try:
        while buffer.fill(pairs):
            output.write_run(buffer.drain())
            # Else what this fill leaves scattered in the allocator counts against the next one.
            linux.trim_memory()
        progress.doing, progress.culprit = "cleanup", None
        job.cleanup()
        progress.doing = "map"
        output.write_run(buffer.drain())
    except BaseException:
        if (fault := buffer.fault) is not None:
            method, key = fault
            progress.doing, progress.culprit = method, lambda: key
        raise
    files = output.flush()
    counters = {
        "map.records_in": records.count if records is not None else 0,
        "map.bytes_in": split.length,
        "map.records_out": buffer.records,
        "combine.records_in": buffer.combiner.values_in if buffer.combiner else 0,
        "combine.records_out": buffer.combiner.values_out if buffer.combiner else 0,
        "map.records_spilled": sum(file.records for file in files),
        "map.bytes_spilled": sum(file.length for file in files),
        MAP_PEAK: linux.peak_memory(),
        **job.counters,
    }
    link.request(PublishMapOutput(task.attempt, files, counters))


def _buffer(job: Job, loaded: LoadedJob, spec: JobSpec) -> MapBuffer:
    """The buffer that takes what this process has left of its memory."""
    settings, job_class = spec.settings, loaded.job_class
    partition: Callable[[Any, int], int] | None = None
    if spec.boundaries:
        partition = RangePartitioner(spec.boundaries, settings.reduce_tasks)
    elif overrides(job_class, "partition"):
        partition = job.partition
    resident = linux.ResidentMeter()
    return MapBuffer(
        settings.reduce_tasks,
        partition=partition,
        combine=job.combine if overrides(job_class, "combine") else None,
        memory=max(settings.memory - resident() - WRITE_BUFFERS, LEAST_BUFFER),
        resident=resident,
        order="key-and-value" if settings.sort_values else "key",
    )


class MapOutputWriter:
    """Puts sorted runs into leased shared files, and flushes them all at once."""

    def __init__(self, link: BlockingLink, volume: Volume, task: RunMapTask, spec: JobSpec) -> None:
        self._link, self._volume, self._attempt = link, volume, task.attempt
        self._watch = watch_writes(task, link)
        self._partitions = spec.settings.reduce_tasks
        self._block_size = spec.settings.block_size
        self._compress = compressor(spec.settings.compression)
        self._writer: SharedFileWriter | None = None
        self._descriptors: dict[SharedFile, int] = {}
        self._published: list[PublishedFile] = []
        self._close_in_forks()

    def write_run(self, drained: Iterable[tuple[int, Batch]]) -> None:
        """Write ``drained``, the batches of rising partitions, into shared files of its own."""
        for partition, batches in groupby(drained, key=itemgetter(0)):
            run = map(itemgetter(1), batches)
            for block in encode_in_blocks(run, self._block_size, MAX_PAYLOAD, self._compress):
                self._append(partition, block)
        self._finish_file()

    def flush(self) -> tuple[PublishedFile, ...]:
        """Flush file after file, then the device, once: only now may readers be told."""
        for file, descriptor in self._descriptors.items():
            with self._watch.over(file):
                os.fsync(descriptor)
        if self._descriptors:
            with self._watch.over(None):
                self._volume.flush_device()
        self._watch.close()
        return tuple(self._published)

    def _close_in_forks(self) -> None:
        """Keep descriptors from what user code forks: that may outlive this attempt, and its leases."""
        writer = weakref.ref(self)

        def close() -> None:
            if (still_there := writer()) is not None:
                for descriptor in still_there._descriptors.values():
                    os.close(descriptor)

        os.register_at_fork(after_in_child=close)

    def _append(self, partition: int, block: EncodedBlock) -> None:
        if block.oversized:
            raise RecordTooLarge(
                f"a record of {format_size(len(block.payload))} is larger than a block may be, "
                f"{format_size(MAX_PAYLOAD)}: make the records smaller"
            )
        if self._writer is not None and self._appended(self._writer, partition, block):
            return
        self._finish_file()
        self._writer = self._lease()
        if not self._appended(self._writer, partition, block):
            raise RecordTooLarge(
                f"a block of {format_size(len(block.payload))} ({block.records} records) does not fit into a "
                f"shared file, which takes one of {format_size(self._writer.payload_capacity)}: set "
                "worker.shared_file_size higher, or block_size lower"
            )

    def _lease(self) -> SharedFileWriter:
        try:
            lease = self._link.request(LeaseSharedFile(self._attempt), expect=LeaseGranted).lease
        except RequestFailed as refused:
            raise PoolExhausted(str(refused)) from refused
        with self._watch.over(lease.shared_file):
            descriptor = self._volume.open_for_write(lease.shared_file)
        self._descriptors[lease.shared_file] = descriptor
        return SharedFileWriter(descriptor, lease, self._partitions)

    def _appended(self, writer: SharedFileWriter, partition: int, block: EncodedBlock) -> bool:
        with self._watch.over(writer.shared_file):
            return writer.append(partition, block.payload, block.records)

    def _finish_file(self) -> None:
        if self._writer is not None:
            with self._watch.over(self._writer.shared_file):
                self._published.append(self._writer.finish())
            self._writer = None
