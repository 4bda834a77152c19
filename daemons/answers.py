"""What the master answers: functions of what it knows, and of what it was asked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from blfs_mr.core.job import JobMachine
from blfs_mr.core.scheduler import Scheduler
from blfs_mr.errors import InputError
from blfs_mr.formats.manifest import read_manifest
from blfs_mr.model import WorkerName
from blfs_mr.spill.format import MAX_PAYLOAD, PAGE_SIZE
from blfs_mr.wire.messages.base import Refused
from blfs_mr.wire.messages.client import (
    ClusterDescription,
    HeldFile,
    InputDescription,
    JobDefaults,
    JobDescription,
    SubmitJob,
    UnreadableBy,
    VolumeDescription,
    WorkerDescription,
)
from blfs_mr.wire.messages.worker import RegisterWorker, WorkerCondition

if TYPE_CHECKING:
    from blfs_mr.config import Config
    from blfs_mr.net.link import Link

MAX_REDUCE_TASKS = 100_000
"""Partitions of one job. Each costs an index entry in every shared file and a state here; beyond this the
index alone would fill a shared file of a few MiB."""


@dataclass(slots=True)
class Registered:
    """A worker that is, or was, registered. Its volume may be readable when it is gone itself."""

    registration: RegisterWorker
    link: Link | None
    condition: WorkerCondition


def describe_cluster(
    config: Config, host: str, scheduler: Scheduler, workers: Mapping[WorkerName, Registered], now: float
) -> ClusterDescription:
    """The cluster whose master runs on ``host``, at the time ``now`` of its loop, in seconds."""
    job = config.job
    return ClusterDescription(
        host,
        tuple(_describe_worker(name, workers[name], scheduler) for name in scheduler.workers),
        tuple(_describe_volume(name, workers[name], scheduler) for name in sorted(workers)),
        tuple(_describe_job(running, now) for running in scheduler.jobs.values()),
        JobDefaults(job.max_attempts, job.memory, job.block_size),
    )


def _describe_worker(name: WorkerName, worker: Registered, scheduler: Scheduler) -> WorkerDescription:
    told, condition = worker.registration, worker.condition
    return WorkerDescription(
        name,
        told.host,
        told.slots,
        scheduler.running_on(name),
        told.shared_files,
        told.shared_file_size,
        condition.shared_files_free,
        condition.hung,
        scheduler.blame.readers.get(name, ""),
        told.input_folder,
    )


def _describe_volume(owner: WorkerName, worker: Registered, scheduler: Scheduler) -> VolumeDescription:
    access = worker.registration.access
    unreadable_by = tuple(
        UnreadableBy(reader, problems[owner])
        for reader, problems in sorted(scheduler.reach.gaps.items())
        if owner in problems
    )
    quarantined = scheduler.blame.volumes.get(owner, "")
    return VolumeDescription(owner, access.volume, access.layout, quarantined, unreadable_by)


def _describe_job(job: JobMachine, now: float) -> JobDescription:
    progress = job.progress
    return JobDescription(
        job.id,
        job.spec.name,
        progress.maps_done,
        progress.maps_total,
        progress.reduces_done,
        progress.reduces_total,
        progress.running,
        now - job.submitted_at,
    )


def describe_input(folder: Path, name: str) -> InputDescription | Refused:
    """The input ``name``, whose manifest is in ``folder``."""
    try:
        manifest = read_manifest(folder, name)
    except InputError as error:
        return Refused(str(error))
    files = tuple(HeldFile(piece.path, piece.size, piece.holders) for piece in manifest.pieces)
    return InputDescription(manifest.boundary, files)


def why_taken(known: RegisterWorker, asking: RegisterWorker) -> str:
    """Why ``asking`` is not registered while ``known`` is."""
    where = "this very host" if known.host == asking.host else "another host"
    return (
        f"a worker named {known.name} is registered already, incarnation {known.incarnation} on {where}: "
        "stop that one, or give this one a name of its own; if it has died, the master finds out shortly"
    )


def why_refused(submitted: SubmitJob) -> str:
    """What is wrong with a submission, empty when nothing is. Our own submitter sends none of these."""
    settings = submitted.spec.settings
    if not 1 <= settings.reduce_tasks <= MAX_REDUCE_TASKS:
        return f"{settings.reduce_tasks} reduce tasks: 1 to {MAX_REDUCE_TASKS} are allowed"
    if not PAGE_SIZE <= settings.block_size <= MAX_PAYLOAD:
        return f"a block size of {settings.block_size} bytes: {PAGE_SIZE} to {MAX_PAYLOAD} are allowed"
    if settings.max_attempts < 1 or settings.memory < 1 or settings.task_timeout < 0:
        return "max_attempts and memory must be positive, task_timeout not negative"
    if settings.output_is_local != os.path.isabs(settings.output) or ".." in Path(settings.output).parts:
        return f"the output {settings.output!r} is neither an absolute folder nor a plain name"
    return ""
