"""What can happen to the scheduler: past-tense, frozen values. Only the master's shell makes them."""

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
    SeenVolume,
    VolumeId,
    WorkerName,
)
from blfs_mr.values import dataclass


@dataclass(frozen=True, slots=True)
class WorkerJoined:
    """A worker registered with ``slots`` task slots; its volume holds the map outputs ``held``.

    ``peers`` are the volumes of others as it sees them from its ``host``.
    """

    worker: WorkerName
    slots: int
    held: tuple[AttemptId, ...]
    host: str
    volume: VolumeId
    peers: tuple[SeenVolume, ...]


@dataclass(frozen=True, slots=True)
class PeersSeen:
    """A worker has looked at its peers' volumes again."""

    worker: WorkerName
    peers: tuple[SeenVolume, ...]


@dataclass(frozen=True, slots=True)
class LeavingAnnounced:
    """A worker is being stopped and will be lost; it takes no more attempts."""

    worker: WorkerName


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker's link ended. Its volume may well still be readable, so its map outputs stand."""

    worker: WorkerName
    reason: str


@dataclass(frozen=True, slots=True)
class JobSubmitted:
    job: JobId
    spec: JobSpec
    splits: tuple[InputSplit, ...]


@dataclass(frozen=True, slots=True)
class JobCancelled:
    job: JobId
    reason: str


@dataclass(frozen=True, slots=True)
class AttemptLaunched:
    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class MapOutputWritten:
    """A map attempt has written and flushed its output."""

    output: MapOutput
    counters: Counters


@dataclass(frozen=True, slots=True)
class OutputWritten:
    """A reduce attempt asks to commit. ``consumed``: the map attempts it read, the records taken of each."""

    attempt: AttemptId
    consumed: tuple[tuple[AttemptId, int], ...]
    counters: Counters


@dataclass(frozen=True, slots=True)
class OutputCommitted:
    attempt: AttemptId
    part: OutputPart


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    attempt: AttemptId
    failure: Failure


@dataclass(frozen=True, slots=True)
class AttemptRequeued:
    """A worker gave an attempt up: others need its shared files, or it leaves. Nobody is to blame."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class MapOutputUnreadable:
    """A reduce attempt could not read a map output, or could not verify it if it is ``corrupt``."""

    reader: AttemptId
    output: AttemptId
    reason: str
    corrupt: bool


@dataclass(frozen=True, slots=True)
class PoolRanShort:
    """On ``worker``'s volume map attempts wait, and only published map outputs hold shared files."""

    worker: WorkerName


@dataclass(frozen=True, slots=True)
class MapOutputDrained:
    """``worker`` has copied to its scratch what the reduce tasks placed on it need of ``output``."""

    worker: WorkerName
    output: AttemptId


@dataclass(frozen=True, slots=True)
class DrainFailed:
    """``worker`` could not copy ``output``."""

    worker: WorkerName
    output: AttemptId
    failure: Failure


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Nothing happened but time; deadlines are looked at."""


Event = (
    WorkerJoined
    | PeersSeen
    | LeavingAnnounced
    | WorkerLost
    | JobSubmitted
    | JobCancelled
    | AttemptLaunched
    | MapOutputWritten
    | OutputWritten
    | OutputCommitted
    | AttemptFailed
    | AttemptRequeued
    | MapOutputUnreadable
    | PoolRanShort
    | MapOutputDrained
    | DrainFailed
    | TimePassed
)
