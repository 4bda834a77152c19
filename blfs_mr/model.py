"""Ids and frozen values that every layer shares. No behaviour beyond naming things; no I/O.

Sizes are bytes, times are seconds. Everything here can stand as a field of a message (see
``blfs_mr.wire.messages``), so fields are of plain types, enums, tuples, and other values of this module.
"""

from __future__ import annotations

import enum
from typing import NewType

from blfs_mr.values import dataclass

JobId = NewType("JobId", str)
"""16 lower-case hex digits (8 random bytes), made by the master."""

VolumeId = NewType("VolumeId", str)
"""32 lower-case hex digits (16 random bytes), made when the volume is formatted."""

WorkerName = NewType("WorkerName", str)
"""The configured name of a worker: letters, digits, ``-`` and ``_``."""

IncarnationId = NewType("IncarnationId", str)
"""16 lower-case hex digits, new at each start of a worker daemon."""

Counters = dict[str, int]

MAP_PEAK, REDUCE_PEAK = "map.peak_memory", "reduce.peak_memory"
"""Counters of the most bytes in RAM that one task held. Of all tasks the largest counts, and not the sum."""
"""Names to counts. Ours begin with a stage and a dot (``map.records_in``); users' are ``user.NAME``."""


class TaskKind(enum.StrEnum):
    """What a task does."""

    MAP = "map"
    REDUCE = "reduce"


@dataclass(frozen=True, slots=True, order=True)
class TaskId:
    """One task of a job. ``index`` counts from 0; for a reduce task it is the partition."""

    job: JobId
    kind: TaskKind
    index: int

    def __str__(self) -> str:
        return f"{self.kind.value}-{self.index:05d}"


@dataclass(frozen=True, slots=True, order=True)
class AttemptId:
    """One try of a task. ``number`` counts from 1 and is never used twice for a task."""

    task: TaskId
    number: int

    def __str__(self) -> str:
        return f"{self.task}.{self.number}"


@dataclass(frozen=True, slots=True)
class InputSplit:
    """A piece of input: ``length`` bytes from ``offset`` of the file at ``path``.

    A relative ``path`` is one in the folder that each worker keeps for input.

    A split that does not begin at 0 owns the records that begin after the first line end at or after
    ``offset - 1``; every split reads on past its end to finish its last record. ``source`` counts which of
    the INPUT arguments the file came from. ``holders`` names the workers that hold the file; empty means
    that all can read it. A file that cannot be divided (compressed) is one split.
    """

    path: str
    offset: int
    length: int
    source: int = 0
    holders: tuple[WorkerName, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class SharedFile:
    """A pre-allocated container on a volume: ``size`` bytes from ``offset`` of ``path``.

    ``path`` is relative to the volume's root in the directory and file layouts, and empty in the raw
    layout, where ``offset`` counts from the start of the device.
    """

    volume: VolumeId
    path: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The grant of one shared file to one attempt. ``generation`` rises at every lease of that file."""

    shared_file: SharedFile
    generation: int
    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A lease whose file is written, flushed and closed for good.

    ``header_digest`` is the digest of the file's first page (16 bytes); ``length`` the bytes in use,
    ``records`` the records in all its segments.
    """

    lease: Lease
    header_digest: bytes
    length: int
    records: int


@dataclass(frozen=True, slots=True)
class MapOutput:
    """The published, immutable result of one successful map attempt. ``files`` may be empty: no records."""

    attempt: AttemptId
    worker: WorkerName
    files: tuple[PublishedFile, ...]


class VolumeLayout(enum.StrEnum):
    """How shared files lie on a volume (see ``docs/volumes.md``)."""

    DIRECTORY = "directory"
    FILE = "file"
    RAW = "raw"


@dataclass(frozen=True, slots=True)
class VolumeAccess:
    """How a process of this node reaches a volume.

    ``root`` is the folder that holds the shared files (directory and file layouts) or the block device
    (raw). ``device`` is the block device to flush, empty where there is none. ``direct`` is False only on
    a directory volume whose file system refuses ``O_DIRECT``.
    """

    volume: VolumeId
    layout: VolumeLayout
    root: str
    device: str = ""
    direct: bool = True


@dataclass(frozen=True, slots=True)
class PeerVolume:
    """Where a host is to find the volume of the worker ``owner``.

    ``device`` is its block device here, ``mount`` the mount point, empty in the raw layout, ``serial`` what
    the device must give as its serial number, empty where any will do.
    """

    owner: WorkerName
    device: str
    mount: str = ""
    serial: str = ""


@dataclass(frozen=True, slots=True)
class SeenVolume:
    """The volume of the worker ``owner`` as a peer sees it.

    ``volume`` is what can be read there; empty where nothing can, and ``problem`` says why, for a person.
    """

    owner: WorkerName
    volume: VolumeId
    problem: str = ""


class FailureKind(enum.StrEnum):
    """Who is to blame for a failed attempt."""

    USER_CODE = "user-code"
    PROCESS = "process"
    DATA = "data"
    POOL = "pool"
    STORAGE = "storage"
    WORKER_LOST = "worker-lost"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed.

    ``summary`` is one line. ``traceback`` is the user's own, without our frames; ``record`` shows the
    offending record or key, shortened; ``log_tail`` the end of the attempt's stderr.
    """

    kind: FailureKind
    summary: str
    traceback: str = ""
    record: str = ""
    log_tail: str = ""


@dataclass(frozen=True, slots=True)
class JobFile:
    """The user's program: ``source`` (UTF-8 Python) of the file they named ``path``, and its Job class."""

    path: str
    source: bytes
    class_name: str


Param = str | int | float | bool


@dataclass(frozen=True, slots=True)
class SideFile:
    """A file shipped with a job: a task finds it as ``name`` in its working folder.

    With ``importable`` it is a Python module (or a zipped package) that the job file imports.
    """

    name: str
    content: bytes
    importable: bool


@dataclass(frozen=True, slots=True)
class JobSettings:
    """What a job asks of the system, resolved by the submitter from the job class and its options.

    ``memory`` is the budget of one task process in bytes, ``block_size`` the bytes of one spill block.
    ``task_timeout`` is the seconds an attempt may take, 0 for no limit. ``compression`` names the codec
    of spill blocks, empty for none. With ``sort_values`` each key's values arrive sorted. ``draining``
    lets workers copy segments to scratch when the pool is short. ``output`` is the absolute folder for
    the parts where the submitter shares the workers' host; else the output's name.
    """

    reduce_tasks: int
    max_attempts: int
    memory: int
    block_size: int
    task_timeout: float
    input_format: str
    output_format: str
    output: str
    output_is_local: bool
    compression: str = ""
    sort_values: bool = False
    draining: bool = True


@dataclass(frozen=True, slots=True)
class JobSpec:
    """Everything about a job but its input: what a worker needs to run attempts of it.

    ``boundaries`` holds the encoded keys that divide the partitions of a totally ordered job, else nothing.
    """

    name: str
    file: JobFile
    params: dict[str, Param]
    settings: JobSettings
    side_files: tuple[SideFile, ...] = ()
    boundaries: bytes = b""


UNCOMMITTED = "_temporary"
"""The folder inside an output where attempts write until their commit is granted."""


@dataclass(frozen=True, slots=True)
class OutputPart:
    """A committed output partition: an absolute ``path`` on ``worker``'s disk, ``size`` bytes."""

    partition: int
    path: str
    worker: WorkerName
    size: int


@dataclass(frozen=True, slots=True)
class ConsumedMapOutput:
    """What a reduce attempt took from one map output: the attempt it read and the records it consumed."""

    attempt: AttemptId
    records: int
