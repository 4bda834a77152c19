"""What every message is, and the messages that are spoken on more than one link."""

from __future__ import annotations

from blfs_mr.model import AttemptId, Failure, WorkerName
from blfs_mr.values import dataclass


class Message:
    """A value that may cross a link. Each is a frozen dataclass; links name those that they allow."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Heartbeat(Message):
    """Nothing but a sign of life."""


@dataclass(frozen=True, slots=True)
class Refused(Message):
    """The answer to a request that cannot be met."""

    reason: str


@dataclass(frozen=True, slots=True)
class Acknowledged(Message):
    """The answer to a request that needs no other."""


@dataclass(frozen=True, slots=True)
class MeasureFiles(Message):  # -> FilesMeasured
    """How large are the files at these absolute paths on the disk of ``worker``? The master passes it on."""

    worker: WorkerName
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FilesMeasured(Message):
    """The sizes of the files that were asked about, in bytes."""

    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CommitOutput(Message):
    """The grant that :class:`OutputReady` asked for."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class TaskFailed(Message):
    """The attempt failed, or could not be launched; its process is gone."""

    attempt: AttemptId
    failure: Failure


@dataclass(frozen=True, slots=True)
class MapOutputLost(Message):
    """A reduce attempt could not read a map output, or could not verify it if it is ``corrupt``."""

    reader: AttemptId
    output: AttemptId
    reason: str
    corrupt: bool
