"""Between a worker and the master."""

from __future__ import annotations

from blfs_mr.model import (
    AttemptId,
    ConsumedMapOutput,
    Counters,
    Failure,
    IncarnationId,
    InputSplit,
    JobId,
    JobSpec,
    MapOutput,
    OutputPart,
    SeenVolume,
    VolumeAccess,
    WorkerName,
)
from blfs_mr.values import dataclass
from blfs_mr.wire.messages.base import (
    Acknowledged,
    CommitOutput,
    FilesMeasured,
    Heartbeat,
    MapOutputLost,
    MeasureFiles,
    Message,
    Refused,
    TaskFailed,
)


@dataclass(frozen=True, slots=True)
class RegisterWorker(Message):  # -> WorkerRegistered
    """A worker offers its slots and its volume, and names the map outputs that the volume still holds.

    ``host`` identifies the worker's host, ``access`` is how processes of that host reach the volume,
    ``peers`` are the other workers' volumes as this one sees them, ``input_folder`` is where it finds input
    whose path is relative.
    """

    name: WorkerName
    incarnation: IncarnationId
    host: str
    slots: int
    access: VolumeAccess
    shared_files: int
    shared_file_size: int
    held: tuple[AttemptId, ...]
    peers: tuple[SeenVolume, ...]
    input_folder: str


@dataclass(frozen=True, slots=True)
class PeerVolumesSeen(Message):
    """This worker has looked at its peers' volumes again and sees something else than it last told."""

    peers: tuple[SeenVolume, ...]


@dataclass(frozen=True, slots=True)
class WorkerCondition(Message):
    """How this worker does: sent when it changed, at most about once a second.

    ``hung`` names the processes that the kernel cannot end, since a device does not answer them.
    """

    shared_files_free: int
    hung: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnnounceLeaving(Message):  # -> Acknowledged
    """This worker is being stopped. After the answer it is given no more attempts; those that run may end."""


@dataclass(frozen=True, slots=True)
class TaskLaunched(Message):
    """The attempt's process runs."""

    attempt: AttemptId
    pid: int


@dataclass(frozen=True, slots=True)
class MapOutputReady(Message):
    """A map attempt has written and flushed its output."""

    output: MapOutput
    counters: Counters


@dataclass(frozen=True, slots=True)
class OutputReady(Message):
    """A reduce attempt has its output complete under its attempt name and asks to commit it."""

    attempt: AttemptId
    consumed: tuple[ConsumedMapOutput, ...]
    counters: Counters


@dataclass(frozen=True, slots=True)
class TaskDone(Message):
    """A reduce attempt has committed its output."""

    attempt: AttemptId
    part: OutputPart


@dataclass(frozen=True, slots=True)
class TaskRequeued(Message):
    """An attempt was killed for no fault of its own: others need its shared files, or its worker leaves."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class PoolShort(Message):
    """Map attempts wait for shared files of this worker's volume, and only published map outputs hold any."""


@dataclass(frozen=True, slots=True)
class MapOutputDrained(Message):
    """This worker has on its scratch what all reduce tasks placed on it need of a map output."""

    output: AttemptId


@dataclass(frozen=True, slots=True)
class DrainFailed(Message):
    """This worker could not drain a map output: it is unreadable, or the scratch cannot take it."""

    output: AttemptId
    failure: Failure


@dataclass(frozen=True, slots=True)
class WorkerRegistered(Message):
    """The registration stands. ``live`` are the held map outputs to keep; all others are to be freed."""

    live: tuple[AttemptId, ...]
    heartbeat_interval: float


@dataclass(frozen=True, slots=True)
class PrepareJob(Message):
    """Sent once per job and worker, before its first task there."""

    job: JobId
    spec: JobSpec
    map_tasks: int


@dataclass(frozen=True, slots=True)
class LaunchMapTask(Message):
    attempt: AttemptId
    split: InputSplit


@dataclass(frozen=True, slots=True)
class LaunchReduceTask(Message):
    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class MapOutputPublished(Message):
    """Where the output of one map task is now; it replaces an earlier one of the same task.

    ``access`` is how its owner's host, ``host``, reaches the volume; other hosts go by their own attachments.
    """

    output: MapOutput
    host: str
    access: VolumeAccess


@dataclass(frozen=True, slots=True)
class DrainMapOutput(Message):
    """Copy to scratch what these partitions need of a published map output."""

    output: AttemptId
    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AbortTask(Message):
    """Kill the attempt and discard what it has; no report of it is wanted any more."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class ReleaseMapOutput(Message):
    """No reader needs this map output any more: its shared files are free."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class LookAtPeers(Message):
    """A job is about to need the peers' volumes: look at them now, and tell what has changed."""


@dataclass(frozen=True, slots=True)
class CleanUpJob(Message):
    """The job is over: kill its processes, free its leases, delete its files but, if so told, its parts."""

    job: JobId
    keep_output: bool


WorkerToMaster = (
    Heartbeat
    | Refused
    | RegisterWorker
    | PeerVolumesSeen
    | WorkerCondition
    | AnnounceLeaving
    | TaskLaunched
    | MapOutputReady
    | OutputReady
    | TaskDone
    | TaskFailed
    | TaskRequeued
    | MapOutputLost
    | PoolShort
    | MapOutputDrained
    | DrainFailed
    | FilesMeasured
)
MasterToWorker = (
    Heartbeat
    | Refused
    | Acknowledged
    | WorkerRegistered
    | PrepareJob
    | LaunchMapTask
    | LaunchReduceTask
    | MapOutputPublished
    | CommitOutput
    | AbortTask
    | ReleaseMapOutput
    | DrainMapOutput
    | LookAtPeers
    | CleanUpJob
    | MeasureFiles
)
