"""Between a submitter and the master."""

from __future__ import annotations

from blfs_mr.model import (
    AttemptId,
    Counters,
    Failure,
    InputSplit,
    JobId,
    JobSpec,
    OutputPart,
    VolumeId,
    VolumeLayout,
    WorkerName,
)
from blfs_mr.values import dataclass
from blfs_mr.wire.messages.base import FilesMeasured, Heartbeat, MeasureFiles, Message, Refused


@dataclass(frozen=True, slots=True)
class DescribeCluster(Message):  # -> ClusterDescription
    """What is there to run on, and how does it do?"""


@dataclass(frozen=True, slots=True)
class JobDefaults:
    """What a job gets that does not ask for something else; sizes in bytes."""

    max_attempts: int
    memory: int
    block_size: int


@dataclass(frozen=True, slots=True)
class WorkerDescription:
    """A worker that is registered; ``running`` counts attempts, ``shared_file_size`` is in bytes.

    ``hung`` names its processes that the kernel cannot end. ``blamed`` is why it gets no reduce tasks for a
    while, empty when it does. ``input_folder`` is where it finds input whose path is relative.
    """

    name: WorkerName
    host: str
    slots: int
    running: int
    shared_files: int
    shared_file_size: int
    shared_files_free: int
    hung: tuple[str, ...]
    blamed: str
    input_folder: str


@dataclass(frozen=True, slots=True)
class UnreadableBy:
    """A registered worker that cannot read a volume, and why."""

    worker: WorkerName
    problem: str


@dataclass(frozen=True, slots=True)
class VolumeDescription:
    """The volume of a worker, which may be gone itself. All workers read it but those in ``unreadable_by``.

    ``quarantined`` is why nothing is written there for a while, empty when it may be.
    """

    owner: WorkerName
    volume: VolumeId
    layout: VolumeLayout
    quarantined: str
    unreadable_by: tuple[UnreadableBy, ...]


@dataclass(frozen=True, slots=True)
class JobDescription:
    """A job that runs, ``seconds`` after its submission."""

    job: JobId
    name: str
    maps_done: int
    maps_total: int
    reduces_done: int
    reduces_total: int
    running: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ClusterDescription(Message):
    """What is there now. ``host`` identifies the master's own host."""

    host: str
    workers: tuple[WorkerDescription, ...]
    volumes: tuple[VolumeDescription, ...]
    jobs: tuple[JobDescription, ...]
    job_defaults: JobDefaults


@dataclass(frozen=True, slots=True)
class DescribeInput(Message):  # -> InputDescription
    """What does the input of that name consist of, which was put on workers?"""

    name: str


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file of ``size`` bytes that each of ``holders`` has at ``path``, which is as in an ``InputSplit``."""

    path: str
    size: int
    holders: tuple[WorkerName, ...]


@dataclass(frozen=True, slots=True)
class InputDescription(Message):
    """``boundary`` says where its files were cut; empty where they are whole."""

    boundary: str
    files: tuple[HeldFile, ...]


@dataclass(frozen=True, slots=True)
class SubmitJob(Message):  # -> JobAccepted
    """Run this job. It is cancelled when the submitter's connection ends before the job does."""

    spec: JobSpec
    splits: tuple[InputSplit, ...]


@dataclass(frozen=True, slots=True)
class JobAccepted(Message):
    job: JobId


@dataclass(frozen=True, slots=True)
class CancelJob(Message):
    job: JobId


@dataclass(frozen=True, slots=True)
class JobProgressed(Message):
    """How far the job is. Sent at most a few times a second."""

    job: JobId
    maps_done: int
    maps_total: int
    reduces_done: int
    reduces_total: int
    running: int


@dataclass(frozen=True, slots=True)
class AttemptFailed(Message):
    """An attempt of the job failed; the job goes on unless :class:`JobEnded` follows."""

    attempt: AttemptId
    worker: WorkerName
    failure: Failure
    will_retry: bool


@dataclass(frozen=True, slots=True)
class JobEnded(Message):
    """The last word on a job. ``failure`` is None when it succeeded."""

    job: JobId
    failure: Failure | None
    parts: tuple[OutputPart, ...]
    counters: Counters
    seconds: float
    attempts_failed: int


ClientToMaster = Heartbeat | DescribeCluster | DescribeInput | MeasureFiles | SubmitJob | CancelJob
MasterToClient = (
    Heartbeat
    | Refused
    | ClusterDescription
    | InputDescription
    | FilesMeasured
    | JobAccepted
    | JobProgressed
    | AttemptFailed
    | JobEnded
)
