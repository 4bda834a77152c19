"""A worker in miniature: it leases shared files of a directory volume, and remembers what tasks tell it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from blfs_mr import linux
from blfs_mr.blocking_link import BlockingLink
from blfs_mr.errors import RequestFailed
from blfs_mr.job import LoadedJob, load_job_source
from blfs_mr.model import (
    AttemptId,
    Counters,
    InputSplit,
    JobFile,
    JobId,
    JobSettings,
    JobSpec,
    Lease,
    MapOutput,
    TaskId,
    TaskKind,
    WorkerName,
)
from blfs_mr.taskrun.access import OwnAccess
from blfs_mr.taskrun.attempt import Progress
from blfs_mr.taskrun.mapper import run_map
from blfs_mr.taskrun.reducer import run_reduce
from blfs_mr.volume.directory import OwnedDirectoryVolume
from blfs_mr.wire.messages.base import Acknowledged, CommitOutput, MapOutputLost, Message
from blfs_mr.wire.messages.child import (
    LeaseGranted,
    LeaseSharedFile,
    MapOutputs,
    NextMapOutput,
    PublishMapOutput,
    RequestCommit,
    RunMapTask,
    RunReduceTask,
)

JOB = JobId("00" * 8)
WORKER = WorkerName("w")
KIB, MIB = 1 << 10, 1 << 20

UNHURRIED = 600.0
"""Seconds for a read: here nothing hangs, and what is overdue would end the process of the tests."""

Reply = TypeVar("Reply", bound=Message)

SETTINGS = JobSettings(
    reduce_tasks=1,
    max_attempts=1,
    memory=256 * MIB,
    block_size=256 * KIB,
    task_timeout=0,
    input_format="lines",
    output_format="text",
    output="",
    output_is_local=True,
    compression="",
    sort_values=False,
    draining=True,
)


def load(source: str) -> LoadedJob:
    """The job class of a job file with this body."""
    text = "from blfs_mr import Job\n" + textwrap.dedent(source)
    return load_job_source(JobFile("/jobs/job.py", text.encode(), ""))


def spec_of(loaded: LoadedJob, boundaries: bytes = b"", **settings: Any) -> JobSpec:
    """A specification of the job with these settings."""
    return JobSpec("job", loaded.file, {}, replace(SETTINGS, **settings), boundaries=boundaries)


def attempt_of(kind: TaskKind, index: int, number: int = 1) -> AttemptId:
    """An attempt of the one job."""
    return AttemptId(TaskId(JOB, kind, index), number)


@dataclass
class Worker:
    """Stands in for the link to a worker, and for that worker."""

    folder: Path
    volume: OwnedDirectoryVolume
    published: list[MapOutput] = field(default_factory=list)
    lost: list[MapOutputLost] = field(default_factory=list)
    committed: list[RequestCommit] = field(default_factory=list)
    counters: Counters = field(default_factory=dict)
    replacements: list[MapOutput] = field(default_factory=list)
    leases: int = 0
    generation: int = 0

    @property
    def link(self) -> BlockingLink:
        """What a task takes for its link."""
        return cast(BlockingLink, self)

    def request(self, message: Message, *, expect: type[Message] | None = None) -> Message:
        """Answer at once."""
        match message:
            case LeaseSharedFile(attempt):
                if self.leases == len(self.volume.shared_files()):
                    raise RequestFailed("the pool has no more files")
                shared_file = self.volume.shared_files()[self.leases]
                self.leases += 1
                return LeaseGranted(Lease(shared_file, self.generation + 1, attempt))
            case PublishMapOutput(attempt, files, counters):
                self.counters = counters
                self.published.append(MapOutput(attempt, WORKER, files))
                return Acknowledged()
            case NextMapOutput():
                outputs = self.replacements if self.lost else self.published
                return MapOutputs(tuple(outputs), (self.volume.access,))
            case RequestCommit(attempt, _, counters):
                self.counters = counters
                self.committed.append(message)
                return CommitOutput(attempt)
        raise AssertionError(f"no task sends {message}")

    def send(self, message: Message) -> None:
        """Remember what failed."""
        if isinstance(message, MapOutputLost):
            self.lost.append(message)

    def map(self, spec: JobSpec, loaded: LoadedJob, text: str, index: int = 0, number: int = 1) -> Progress:
        """Run a map attempt over ``text``."""
        path = self.folder / f"input-{index}"
        path.write_text(text)
        split = InputSplit(str(path), 0, path.stat().st_size)
        task = RunMapTask(attempt_of(TaskKind.MAP, index, number), split, self.volume.access, UNHURRIED)
        progress = Progress()
        run_map(task, loaded, spec, self.link, progress, OwnAccess())
        return progress

    def reduce(self, spec: JobSpec, loaded: LoadedJob, partition: int = 0) -> str:
        """Run a reduce attempt over everything published; its output."""
        scratch = self.folder / f"scratch-{partition}"
        scratch.mkdir(exist_ok=True)
        final = self.folder / f"part-{partition}"
        task = RunReduceTask(
            attempt_of(TaskKind.REDUCE, partition),
            len(self.published),
            UNHURRIED,
            str(scratch),
            f"{final}.attempt",
            str(final),
        )
        run_reduce(task, loaded, spec, self.link, Progress(), OwnAccess())
        assert not list(scratch.iterdir()), "scratch is left behind"
        return final.read_text()


FRESH_TASK = 16 * MIB
"""Resident bytes of a task process that has done nothing yet."""


@pytest.fixture(autouse=True)
def small_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks run in the process of the tests, which grows with every test: to them it looks like a new one."""
    base = linux.ResidentMeter()() - FRESH_TASK

    class MeterOfGrowth(linux.ResidentMeter):
        def __call__(self) -> int:
            return max(super().__call__() - base, FRESH_TASK)

    monkeypatch.setattr(linux, "ResidentMeter", MeterOfGrowth)


@pytest.fixture
def make_worker(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Makes a worker whose volume has ``files`` shared files of ``size`` bytes."""
    volumes = []

    def make(files: int = 100, size: int = MIB) -> Worker:
        folder = tmp_path / f"worker-{len(volumes)}"
        folder.mkdir()
        volume = OwnedDirectoryVolume.create(str(folder / "volume"), WORKER, files, size)
        volumes.append(volume)
        return Worker(folder, volume)

    yield make
    for volume in volumes:
        volume.close()


@pytest.fixture
def worker(make_worker: Callable[..., Worker]) -> Worker:
    """One with a hundred files of 1 MiB."""
    return make_worker()
