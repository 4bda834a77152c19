"""Between a task process and its worker."""

from __future__ import annotations

from blfs_mr.model import (
    AttemptId,
    ConsumedMapOutput,
    Counters,
    Failure,
    InputSplit,
    Lease,
    MapOutput,
    PeerVolume,
    PublishedFile,
    SeenVolume,
    VolumeAccess,
)
from blfs_mr.values import dataclass
from blfs_mr.wire.messages.base import Acknowledged, CommitOutput, MapOutputLost, Message, Refused, TaskFailed


@dataclass(frozen=True, slots=True)
class RunMapTask(Message):
    """The first message to a map child.

    ``own_volume`` is where it writes; a write or a flush may take ``write_deadline`` seconds.
    """

    attempt: AttemptId
    split: InputSplit
    own_volume: VolumeAccess
    write_deadline: float


@dataclass(frozen=True, slots=True)
class RunReduceTask(Message):
    """The first message to a reduce child.

    A read of a volume may take ``read_deadline`` seconds. ``scratch`` is a folder of its own on local disk.
    The output is written to ``output_path`` and, when the commit is granted, renamed to ``final_path``, on
    the same file system.
    """

    attempt: AttemptId
    map_tasks: int
    read_deadline: float
    scratch: str
    output_path: str
    final_path: str


@dataclass(frozen=True, slots=True)
class RunDrain(Message):
    """The first message to a drain child: copy the segments of ``partitions`` of ``output`` to ``scratch``.

    ``volumes`` are those that the output lies on, ``read_deadline`` the seconds a read of them may take.
    ``serial`` tells the job's drains on this worker apart.
    """

    serial: int
    output: MapOutput
    volumes: tuple[VolumeAccess, ...]
    read_deadline: float
    partitions: tuple[int, ...]
    total_partitions: int
    scratch: VolumeAccess

    @property
    def copy_prefix(self) -> str:
        """How the names of the files begin that this drain makes on scratch."""
        return f"shared-{self.serial:05d}-"


@dataclass(frozen=True, slots=True)
class Drained(Message):
    """A drain child is done: the same map output, as it lies on scratch now."""

    output: MapOutput


@dataclass(frozen=True, slots=True)
class CannotDrain(Message):
    """A drain child has failed."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class RunLook(Message):
    """The first message to a looker: say of each of ``peers`` whether it can be read here."""

    peers: tuple[PeerVolume, ...]


@dataclass(frozen=True, slots=True)
class VolumeLookedAt(Message):
    """What a looker sees of one volume; ``access`` is how to reach it, None where it cannot be read."""

    seen: SeenVolume
    access: VolumeAccess | None


@dataclass(frozen=True, slots=True)
class LeaseSharedFile(Message):  # -> LeaseGranted
    """A mapper needs one more shared file. The answer may be long in coming when the pool is short."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class LeaseGranted(Message):
    lease: Lease


@dataclass(frozen=True, slots=True)
class PublishMapOutput(Message):  # -> Acknowledged
    """A mapper has flushed its files."""

    attempt: AttemptId
    files: tuple[PublishedFile, ...]
    counters: Counters


@dataclass(frozen=True, slots=True)
class NextMapOutput(Message):  # -> MapOutputs
    """A reducer asks for map outputs that it was not given yet; answered when there is at least one."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class MapOutputs(Message):
    """Map outputs new to the asker, and how to reach volumes that it may not know yet."""

    outputs: tuple[MapOutput, ...]
    volumes: tuple[VolumeAccess, ...]


@dataclass(frozen=True, slots=True)
class RequestCommit(Message):  # -> CommitOutput
    """A reducer has its output complete and flushed."""

    attempt: AttemptId
    consumed: tuple[ConsumedMapOutput, ...]
    counters: Counters


@dataclass(frozen=True, slots=True)
class OutputCommitted(Message):
    """A reducer has renamed its output to its final name; ``size`` in bytes."""

    attempt: AttemptId
    size: int


ChildToWorker = (
    LeaseSharedFile
    | PublishMapOutput
    | NextMapOutput
    | MapOutputLost
    | RequestCommit
    | OutputCommitted
    | TaskFailed
    | Drained
    | CannotDrain
    | VolumeLookedAt
)
WorkerToChild = (
    Refused
    | Acknowledged
    | RunDrain
    | RunLook
    | RunMapTask
    | RunReduceTask
    | LeaseGranted
    | MapOutputs
    | CommitOutput
)
