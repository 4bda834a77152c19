"""A drain: copy what some partitions need of a map output from shared files to this node's scratch.

When the pool of shared files is short, every worker that reduce tasks are placed on makes such a copy, and
the shared files are free again. Blocks are verified as they are read and sealed anew for the place where they
stand then; a reducer reads the copy as it would have read the original.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from blfs_mr.blocking_link import BlockingLink
from blfs_mr.errors import BlfsMrError, CorruptData, InternalError, LinkClosed, OutputError, VolumeError
from blfs_mr.model import Failure, FailureKind, Lease, MapOutput, PublishedFile, SharedFile
from blfs_mr.spill.blocks import Block
from blfs_mr.spill.buffers import BufferPool
from blfs_mr.spill.reader import SegmentReader
from blfs_mr.spill.writer import SharedFileWriter
from blfs_mr.taskrun.access import Access
from blfs_mr.taskrun.deadline import ReadWatch, watch_reads
from blfs_mr.units import format_size
from blfs_mr.volume.layout import Volume
from blfs_mr.wire.messages.child import CannotDrain, Drained, RunDrain


class SourceUnreadable(Exception):
    """The map output could not be read, or not verified; its message is the reason."""


def run_drain(task: RunDrain, link: BlockingLink, access: Access) -> int:
    """Drain what the worker asks for, and tell it what came of it; the process' exit code.

    What cannot be read or verified is the map output's fault, just as when a reducer finds it so; what cannot
    be written is this worker's.
    """
    watch = watch_reads(task, link)
    try:
        output = drained(task, watch, access)
    except LinkClosed:
        return 1
    except SourceUnreadable as error:
        return _fail(link, FailureKind.DATA, str(error))
    except OutputError as error:
        return _fail(link, FailureKind.STORAGE, str(error))
    except BlfsMrError as error:
        return _fail(link, FailureKind.INTERNAL, f"{type(error).__name__}: {error}")
    finally:
        watch.close()
    link.send(Drained(output))
    return 0


def _fail(link: BlockingLink, kind: FailureKind, summary: str) -> int:
    link.send(CannotDrain(Failure(kind, summary)))
    return 1


def drained(task: RunDrain, watch: ReadWatch, access: Access) -> MapOutput:
    """Make the copy; the map output as it lies on scratch. ``watch`` is told of all that is read.

    Raises SourceUnreadable for the map output, OutputError for scratch.
    """
    scratch = access.volume(task.scratch)
    files: list[PublishedFile] = []
    with BufferPool() as pool:
        for number, published in enumerate(task.output.files):
            original = published.lease
            copy = SharedFile(
                task.scratch.volume, f"{task.copy_prefix}{number:05d}", 0, original.shared_file.size
            )
            lease = Lease(copy, original.generation, task.output.attempt)
            with ExitStack() as stack:
                with watch.over(published), _source():
                    source = _volume_of(task, published, access).open_for_read(original.shared_file)
                    stack.callback(os.close, source)
                with _scratch(task):
                    target = scratch.open_for_write(copy)
                    stack.callback(os.close, target)
                writer = SharedFileWriter(target, lease, task.total_partitions)
                files.append(_copy(source, published, writer, task, pool, watch))
    return MapOutput(task.output.attempt, task.output.worker, tuple(files))


def _copy(
    source: int,
    published: PublishedFile,
    writer: SharedFileWriter,
    task: RunDrain,
    pool: BufferPool,
    watch: ReadWatch,
) -> PublishedFile:
    """One run's segments, sealed anew. No flush: should this host fall, the copy is lost with it anyway."""
    for partition in sorted(task.partitions):
        with watch.over(published), _source():
            blocks: Iterator[Block] = iter(SegmentReader(source, published, partition, pool))
        while True:
            with watch.over(published), _source():
                block = next(blocks, None)
            if block is None:
                break
            with _scratch(task):
                if not writer.append(partition, block.payload, block.records):
                    raise InternalError("a copy of part of a run is larger than the run")
    with _scratch(task):
        return writer.finish()


def _volume_of(task: RunDrain, published: PublishedFile, access: Access) -> Volume:
    volume = published.lease.shared_file.volume
    for known in task.volumes:
        if known.volume == volume:
            return access.volume(known)
    raise VolumeError(f"volume {volume} cannot be reached from here")


@contextmanager
def _source() -> Iterator[None]:
    try:
        yield
    except (CorruptData, VolumeError, OSError) as error:
        raise SourceUnreadable(f"{type(error).__name__}: {error}") from error


@contextmanager
def _scratch(task: RunDrain) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise OutputError(f"the scratch folder {task.scratch.root} cannot be written: {error}") from error
        needed = sum(file.length for file in task.output.files)
        raise OutputError(
            f"the scratch folder {task.scratch.root} is full; copying this map output takes up to "
            f"{format_size(needed)}, and others are to follow: set worker.scratch to a folder on a larger "
            "disk, or make the pool of shared files larger, so that less of it has to be copied"
        ) from error
