"""Every message that may cross a link: a closed set per link and direction.

Past tense (``TaskFailed``) tells what happened, imperative (``LaunchMapTask``) says what to do. A message is
a frozen dataclass; ``blfs_mr.wire.codec`` derives its validation from the annotations, and the unions at the
end are the whole vocabulary of each direction: anything else is refused by name. A comment ``-> Reply``
marks a request and what answers it; a request that cannot be met is answered with :class:`Refused`.
"""

from __future__ import annotations

from dataclasses import dataclass

from blfs_mr.model import (
    AttemptId,
    Counters,
    Failure,
    IncarnationId,
    InputSplit,
    JobId,
    JobSpec,
    Lease,
    MapOutput,
    OutputPart,
    PublishedFile,
    VolumeAccess,
    WorkerName,
)

# ---------------------------------------------------------------- every link


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing but a sign of life."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer to a request that cannot be met."""

    reason: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The answer to a request that needs no other."""


# ---------------------------------------------------------------- handshake (see wire.handshake)


@dataclass(frozen=True, slots=True)
class Hello:
    """A connecting peer's first message. ``role`` is ``worker`` or ``client``; ``nonce`` 32 random bytes."""

    version: int
    cluster: str
    role: str
    name: str
    incarnation: IncarnationId
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Challenge:
    """The master's answer to :class:`Hello`, with its epoch and nonce."""

    version: int
    cluster: str
    epoch: int
    nonce: bytes


@dataclass(frozen=True, slots=True)
class ClientProof:
    """The connecting peer's HMAC over both nonces and its claims."""

    proof: bytes


@dataclass(frozen=True, slots=True)
class ServerProof:
    """The master's HMAC; the link is open once it is verified."""

    proof: bytes


@dataclass(frozen=True, slots=True)
class HandshakeFailed:
    """Why the master closes the connection."""

    reason: str


# ---------------------------------------------------------------- worker -> master


@dataclass(frozen=True, slots=True)
class RegisterWorker:  # -> WorkerRegistered
    """A worker offers its slots and its volume, and names the map outputs that the volume still holds.

    ``host`` identifies the host that the worker runs on. ``access`` is how processes of that host reach the volume.
    """

    name: WorkerName
    incarnation: IncarnationId
    host: str
    slots: int
    access: VolumeAccess
    shared_files: int
    shared_file_size: int
    held: tuple[AttemptId, ...]


@dataclass(frozen=True, slots=True)
class TaskLaunched:
    """The attempt's process runs."""

    attempt: AttemptId
    pid: int


@dataclass(frozen=True, slots=True)
class MapOutputReady:
    """A map attempt has written and flushed its output."""

    output: MapOutput
    counters: Counters


@dataclass(frozen=True, slots=True)
class ConsumedMapOutput:
    """What a reduce attempt took from one map output: the attempt it read and the records it consumed."""

    attempt: AttemptId
    records: int


@dataclass(frozen=True, slots=True)
class OutputReady:
    """A reduce attempt has its output complete under its attempt name and asks to commit it."""

    attempt: AttemptId
    consumed: tuple[ConsumedMapOutput, ...]
    counters: Counters


@dataclass(frozen=True, slots=True)
class TaskDone:
    """A reduce attempt has committed its output."""

    attempt: AttemptId
    part: OutputPart


@dataclass(frozen=True, slots=True)
class TaskRequeued:
    """A map attempt was killed so that others get its shared files; it is to blame for nothing."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """The attempt failed, or could not be launched; its process is gone."""

    attempt: AttemptId
    failure: Failure


@dataclass(frozen=True, slots=True)
class MapOutputLost:
    """A reduce attempt could not read, or not verify, a map output."""

    reader: AttemptId
    output: AttemptId
    reason: str


# ---------------------------------------------------------------- master -> worker


@dataclass(frozen=True, slots=True)
class WorkerRegistered:
    """The registration stands. ``live`` are the held map outputs to keep; all others are to be freed."""

    live: tuple[AttemptId, ...]
    heartbeat_interval: float


@dataclass(frozen=True, slots=True)
class PrepareJob:
    """Sent once per job and worker, before its first task there."""

    job: JobId
    spec: JobSpec
    map_tasks: int


@dataclass(frozen=True, slots=True)
class LaunchMapTask:
    attempt: AttemptId
    split: InputSplit


@dataclass(frozen=True, slots=True)
class LaunchReduceTask:
    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class MapOutputPublished:
    """Where the output of one map task is now; it replaces an earlier one of the same task.

    ``access`` is how its owner's host, ``host``, reaches the volume; other hosts go by their own attachments.
    """

    output: MapOutput
    host: str
    access: VolumeAccess


@dataclass(frozen=True, slots=True)
class CommitOutput:
    """The grant that :class:`OutputReady` asked for."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class AbortTask:
    """Kill the attempt and discard what it has; no report of it is wanted any more."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class ReleaseMapOutput:
    """No reader needs this map output any more: its shared files are free."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class CleanUpJob:
    """The job is over: kill its processes, free its leases, delete its files. Committed parts stay if ``keep_output``."""

    job: JobId
    keep_output: bool


# ---------------------------------------------------------------- client <-> master


@dataclass(frozen=True, slots=True)
class DescribeCluster:  # -> ClusterDescription
    """What is there to run on?"""


@dataclass(frozen=True, slots=True)
class WorkerDescription:
    name: WorkerName
    host: str
    slots: int
    running: int
    shared_files: int
    shared_file_size: int


@dataclass(frozen=True, slots=True)
class JobDefaults:
    """What a job gets that does not ask for something else; sizes in bytes."""

    max_attempts: int
    memory: int
    block_size: int


@dataclass(frozen=True, slots=True)
class ClusterDescription:
    """The workers that are registered now. ``host`` identifies the master's own host."""

    host: str
    workers: tuple[WorkerDescription, ...]
    job_defaults: JobDefaults


@dataclass(frozen=True, slots=True)
class SubmitJob:  # -> JobAccepted
    """Run this job. It is cancelled when the submitter's connection ends before the job does."""

    spec: JobSpec
    splits: tuple[InputSplit, ...]


@dataclass(frozen=True, slots=True)
class JobAccepted:
    job: JobId


@dataclass(frozen=True, slots=True)
class CancelJob:
    job: JobId


@dataclass(frozen=True, slots=True)
class JobProgressed:
    """How far the job is. Sent at most a few times a second."""

    job: JobId
    maps_done: int
    maps_total: int
    reduces_done: int
    reduces_total: int
    running: int


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """An attempt of the job failed; the job goes on unless :class:`JobEnded` follows."""

    attempt: AttemptId
    worker: WorkerName
    failure: Failure
    will_retry: bool


@dataclass(frozen=True, slots=True)
class JobEnded:
    """The last word on a job. ``failure`` is None when it succeeded."""

    job: JobId
    failure: Failure | None
    parts: tuple[OutputPart, ...]
    counters: Counters
    seconds: float
    attempts_failed: int


# ---------------------------------------------------------------- task child <-> worker


@dataclass(frozen=True, slots=True)
class RunMapTask:
    """The first message to a map child. ``own_volume`` is where it writes."""

    attempt: AttemptId
    split: InputSplit
    own_volume: VolumeAccess


@dataclass(frozen=True, slots=True)
class RunReduceTask:
    """The first message to a reduce child.

    ``scratch`` is a folder of its own on local disk. The output is written to ``output_path`` and, when the
    commit is granted, renamed to ``final_path``, on the same file system.
    """

    attempt: AttemptId
    map_tasks: int
    scratch: str
    output_path: str
    final_path: str


@dataclass(frozen=True, slots=True)
class LeaseSharedFile:  # -> LeaseGranted
    """A mapper needs one more shared file. The answer may be long in coming when the pool is short."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class LeaseGranted:
    lease: Lease


@dataclass(frozen=True, slots=True)
class PublishMapOutput:  # -> Acknowledged
    """A mapper has flushed its files."""

    attempt: AttemptId
    files: tuple[PublishedFile, ...]
    counters: Counters


@dataclass(frozen=True, slots=True)
class NextMapOutput:  # -> MapOutputs
    """A reducer asks for map outputs that it was not given yet; answered when there is at least one."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class MapOutputs:
    """Map outputs new to the asker, and how to reach volumes that it may not know yet."""

    outputs: tuple[MapOutput, ...]
    volumes: tuple[VolumeAccess, ...]


@dataclass(frozen=True, slots=True)
class RequestCommit:  # -> CommitOutput
    """A reducer has its output complete and flushed."""

    attempt: AttemptId
    consumed: tuple[ConsumedMapOutput, ...]
    counters: Counters


@dataclass(frozen=True, slots=True)
class OutputCommitted:
    """A reducer has renamed its output to its final name; ``size`` in bytes."""

    attempt: AttemptId
    path: str
    size: int


# ---------------------------------------------------------------- launcher <-> worker


@dataclass(frozen=True, slots=True)
class LoadJob:
    """Import the job file. The first message to a launcher.

    Its source stands in the file ``source_path``; ``spec.file.source`` is empty, to keep the message small.
    """

    job: JobId
    spec: JobSpec
    source_path: str


@dataclass(frozen=True, slots=True)
class JobLoaded:
    job: JobId


@dataclass(frozen=True, slots=True)
class JobLoadFailed:
    job: JobId
    failure: Failure


@dataclass(frozen=True, slots=True)
class ForkAttempt:
    """Fork a child for the attempt; its end of the link travels beside this message as a descriptor."""

    attempt: AttemptId
    stdout_path: str
    stderr_path: str


@dataclass(frozen=True, slots=True)
class KillAttempt:
    """Kill the child and its process group. Only its parent can do so without hitting a reused pid."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class AttemptForked:
    attempt: AttemptId
    pid: int


@dataclass(frozen=True, slots=True)
class AttemptExited:
    """The child was reaped. ``status`` is as ``os.waitstatus_to_exitcode`` gives it; ``max_rss`` in bytes."""

    attempt: AttemptId
    status: int
    max_rss: int
    cpu_seconds: float


# ---------------------------------------------------------------- the closed vocabularies

HandshakeMessage = Hello | Challenge | ClientProof | ServerProof | HandshakeFailed
WorkerToMaster = (
    Heartbeat
    | Refused
    | RegisterWorker
    | TaskLaunched
    | MapOutputReady
    | OutputReady
    | TaskDone
    | TaskFailed
    | TaskRequeued
    | MapOutputLost
)
MasterToWorker = (
    Heartbeat
    | Refused
    | WorkerRegistered
    | PrepareJob
    | LaunchMapTask
    | LaunchReduceTask
    | MapOutputPublished
    | CommitOutput
    | AbortTask
    | ReleaseMapOutput
    | CleanUpJob
)
ClientToMaster = Heartbeat | DescribeCluster | SubmitJob | CancelJob
MasterToClient = (
    Heartbeat | Refused | ClusterDescription | JobAccepted | JobProgressed | AttemptFailed | JobEnded
)
ChildToWorker = (
    LeaseSharedFile
    | PublishMapOutput
    | NextMapOutput
    | MapOutputLost
    | RequestCommit
    | OutputCommitted
    | TaskFailed
)
WorkerToChild = Refused | Acknowledged | RunMapTask | RunReduceTask | LeaseGranted | MapOutputs | CommitOutput
LauncherToWorker = JobLoaded | JobLoadFailed | AttemptForked | AttemptExited
WorkerToLauncher = LoadJob | ForkAttempt | KillAttempt

Message = (
    HandshakeMessage
    | WorkerToMaster
    | MasterToWorker
    | ClientToMaster
    | MasterToClient
    | ChildToWorker
    | WorkerToChild
    | LauncherToWorker
    | WorkerToLauncher
)
