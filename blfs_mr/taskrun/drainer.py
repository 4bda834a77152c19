"""A drain: copy what some partitions need of a map output from shared files to this node's scratch.

When the pool of shared files is short, every worker that reduce tasks are placed on makes such a copy, and
the shared files are free again. Blocks are verified as they are read and sealed anew for the place where they
stand then; a reducer reads the copy as it would have read the original.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack

from blfs_mr.blocking_link import BlockingLink
from blfs_mr.errors import BlfsMrError, CorruptData, InternalError, LinkClosed, VolumeError
from blfs_mr.model import Failure, FailureKind, Lease, MapOutput, PublishedFile, SharedFile
from blfs_mr.spill.buffers import BufferPool
from blfs_mr.spill.reader import SegmentReader
from blfs_mr.spill.writer import SharedFileWriter
from blfs_mr.volume.layout import Volume, open_volume
from blfs_mr.wire.messages.child import CannotDrain, Drained, RunDrain


def run_drain(task: RunDrain, link: BlockingLink) -> int:
    """Drain what the worker asks for, and tell it what came of it; the process' exit code."""
    try:
        output = _drained(task)
    except LinkClosed:
        return 1
    except (CorruptData, VolumeError, OSError) as error:
        link.send(CannotDrain(Failure(_blame(error), f"{type(error).__name__}: {error}")))
        return 1
    except BlfsMrError as error:
        link.send(CannotDrain(Failure(FailureKind.INTERNAL, f"{type(error).__name__}: {error}")))
        return 1
    link.send(Drained(output))
    return 0


def _blame(error: Exception) -> FailureKind:
    """Bytes that fail their checks are the map output's fault, everything else the storage's."""
    return FailureKind.DATA if isinstance(error, CorruptData) else FailureKind.STORAGE


def _drained(task: RunDrain) -> MapOutput:
    scratch = open_volume(task.scratch)
    volumes = {access.volume: open_volume(access) for access in task.volumes}
    files: list[PublishedFile] = []
    with BufferPool() as pool:
        for number, published in enumerate(task.output.files):
            source = volumes.get(published.lease.shared_file.volume)
            if source is None:
                raise VolumeError(f"volume {published.lease.shared_file.volume} cannot be reached from here")
            copy = SharedFile(
                task.scratch.volume,
                f"shared-{task.serial:05d}-{number:05d}",
                0,
                published.lease.shared_file.size,
            )
            lease = Lease(copy, published.lease.generation, task.output.attempt)
            files.append(_copy(source, published, scratch, lease, task, pool))
    return MapOutput(task.output.attempt, task.output.worker, tuple(files))


def _copy(
    source: Volume, published: PublishedFile, scratch: Volume, lease: Lease, task: RunDrain, pool: BufferPool
) -> PublishedFile:
    """One run's segments, sealed anew. No flush: should this host fall, the copy is lost with it anyway."""
    with ExitStack() as stack:
        read_from = source.open_for_read(published.lease.shared_file)
        stack.callback(os.close, read_from)
        write_to = scratch.open_for_write(lease.shared_file)
        stack.callback(os.close, write_to)
        writer = SharedFileWriter(write_to, lease, task.total_partitions)
        for partition in _rising(task.partitions):
            for block in SegmentReader(read_from, published, partition, pool):
                if not writer.append(partition, block.payload, block.records):
                    raise InternalError("a copy of part of a run is larger than the run")
        return writer.finish()


def _rising(partitions: Iterable[int]) -> list[int]:
    return sorted(partitions)
