"""Between a worker and what forks for it: the spawner forks launchers, a launcher forks attempts."""

from __future__ import annotations

from blfs_mr.model import Failure, JobId, JobSpec
from blfs_mr.values import dataclass
from blfs_mr.wire.messages.base import Message


@dataclass(frozen=True, slots=True)
class LoadJob(Message):
    """Import the job file. The first message to a launcher.

    Its source stands in the file ``source_path``; ``spec.file.source`` is empty, to keep the message small.
    """

    job: JobId
    spec: JobSpec
    source_path: str


@dataclass(frozen=True, slots=True)
class JobLoaded(Message):
    job: JobId


@dataclass(frozen=True, slots=True)
class JobLoadFailed(Message):
    job: JobId
    failure: Failure


@dataclass(frozen=True, slots=True)
class ForkAttempt(Message):
    """Fork a child called ``name``.

    Three descriptors travel beside this message: its end of the link, and the files for its stdout and
    stderr. Where it ``has_opener`` there is a fourth, the socket to that.
    """

    name: str
    has_opener: bool


@dataclass(frozen=True, slots=True)
class ForkLauncher(Message):
    """Fork a launcher for the job.

    Two descriptors travel beside this message: the launcher's end of its link, and the volume's lock.
    """

    job: JobId


@dataclass(frozen=True, slots=True)
class ForkSpawner(Message):
    """Fork another spawner, called ``name``; its end of its link travels beside this message."""

    name: str


@dataclass(frozen=True, slots=True)
class ForkLooker(Message):
    """Fork a looker, called ``name``; its end of its link travels beside this message."""

    name: str


@dataclass(frozen=True, slots=True)
class ForkOpener(Message):
    """Fork an opener, called ``name``.

    Two descriptors travel beside this message: its end of the link to the worker, and of the socket to the
    attempt. What the attempt is to write to is opened to the group of number ``group``.
    """

    name: str
    group: int


@dataclass(frozen=True, slots=True)
class ForkRemover(Message):
    """Fork a child called ``name`` that deletes what is in ``folder``, as far as this user may."""

    name: str
    folder: str


@dataclass(frozen=True, slots=True)
class ChildForked(Message):
    """A child runs. ``child`` is the job of a launcher, the attempt's short name of a task process."""

    child: str
    pid: int


@dataclass(frozen=True, slots=True)
class ChildExited(Message):
    """A child was reaped. ``status`` is as ``os.waitstatus_to_exitcode`` gives it; ``max_rss`` in bytes."""

    child: str
    status: int
    max_rss: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class KillChild(Message):
    """Kill a child and its process group. Only its parent can do so without hitting a reused pid."""

    child: str


WorkerToSpawner = ForkLauncher | ForkSpawner | ForkLooker | ForkOpener | ForkRemover | KillChild
SpawnerToWorker = ChildForked | ChildExited
WorkerToLauncher = LoadJob | ForkAttempt | KillChild
LauncherToWorker = JobLoaded | JobLoadFailed | ChildForked | ChildExited
