"""What the scheduler wants done: imperative, frozen values. Only the master's shell carries them out."""

from __future__ import annotations

from blfs_mr.model import (
    AttemptId,
    Counters,
    Failure,
    InputSplit,
    JobId,
    JobSpec,
    MapOutput,
    OutputPart,
    WorkerName,
)
from blfs_mr.values import dataclass


@dataclass(frozen=True, slots=True)
class PrepareJob:
    """Give ``worker`` the job; precedes the first launch there."""

    worker: WorkerName
    job: JobId
    spec: JobSpec
    map_tasks: int


@dataclass(frozen=True, slots=True)
class LaunchMap:
    worker: WorkerName
    attempt: AttemptId
    split: InputSplit


@dataclass(frozen=True, slots=True)
class LaunchReduce:
    worker: WorkerName
    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class PublishMapOutput:
    """Tell ``worker``, which runs reduce attempts of the job, where this map output is."""

    worker: WorkerName
    output: MapOutput


@dataclass(frozen=True, slots=True)
class GrantCommit:
    worker: WorkerName
    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class AbortAttempt:
    worker: WorkerName
    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class ReleaseMapOutput:
    """No reader needs this map output any more; ``worker`` owns the volume that holds it."""

    worker: WorkerName
    output: AttemptId


@dataclass(frozen=True, slots=True)
class DrainMapOutput:
    """Have ``worker`` copy to its scratch what ``partitions`` need of ``output``."""

    worker: WorkerName
    output: AttemptId
    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LookAtPeers:
    """Have ``worker`` look at its peers' volumes now: a job is about to need them."""

    worker: WorkerName


@dataclass(frozen=True, slots=True)
class CleanUpJob:
    worker: WorkerName
    job: JobId
    keep_output: bool


@dataclass(frozen=True, slots=True)
class AcceptWorker:
    """The registration stands; of what the worker holds, ``live`` must be kept."""

    worker: WorkerName
    live: tuple[AttemptId, ...]


@dataclass(frozen=True, slots=True)
class ReportProgress:
    job: JobId
    maps_done: int
    maps_total: int
    reduces_done: int
    reduces_total: int
    running: int


@dataclass(frozen=True, slots=True)
class ReportAttemptFailed:
    attempt: AttemptId
    worker: WorkerName
    failure: Failure
    will_retry: bool


@dataclass(frozen=True, slots=True)
class ReportJobEnded:
    """The last command about a job. ``failure`` is None when it succeeded."""

    job: JobId
    failure: Failure | None
    parts: tuple[OutputPart, ...]
    counters: Counters
    seconds: float
    attempts_failed: int


Command = (
    PrepareJob
    | LaunchMap
    | LaunchReduce
    | PublishMapOutput
    | GrantCommit
    | AbortAttempt
    | ReleaseMapOutput
    | DrainMapOutput
    | LookAtPeers
    | CleanUpJob
    | AcceptWorker
    | ReportProgress
    | ReportAttemptFailed
    | ReportJobEnded
)
