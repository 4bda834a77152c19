"""A scheduler with hands: says what workers would say, and remembers what it was told to do."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from blfs_mr.core import commands as c
from blfs_mr.core import events as e
from blfs_mr.core.scheduler import Scheduler
from blfs_mr.model import (
    AttemptId,
    Counters,
    Failure,
    FailureKind,
    InputSplit,
    JobFile,
    JobId,
    JobSettings,
    JobSpec,
    Lease,
    MapOutput,
    OutputPart,
    PublishedFile,
    SeenVolume,
    SharedFile,
    TaskId,
    TaskKind,
    VolumeId,
    WorkerName,
)

JOB = JobId("1" * 16)
DEADLINE = 10.0
RECORDS = 6


class Hands:
    """Feeds events and keeps the commands: ``last`` of the last event, ``all`` of the whole life."""

    def __init__(self) -> None:
        self.scheduler = Scheduler(DEADLINE)
        self.now = 0.0
        self.last: list[c.Command] = []
        self.all: list[c.Command] = []

    def tell(self, event: e.Event, reporter: str | None = None) -> list[c.Command]:
        """One event; what it called for."""
        self.last = self.scheduler.handle(event, self.now, WorkerName(reporter) if reporter else None)
        self.all += self.last
        return self.last

    # ------------------------------------------------------------ the world

    def join(
        self, name: str, slots: int = 1, held: Sequence[AttemptId] = (), peers: Sequence[SeenVolume] = ()
    ) -> list[c.Command]:
        """A worker of the one host; ``peers`` are the volumes that it was given a device for."""
        volume = VolumeId(f"volume of {name}")
        return self.tell(e.WorkerJoined(WorkerName(name), slots, tuple(held), "host", volume, tuple(peers)))

    def sees(self, name: str, *peers: SeenVolume) -> list[c.Command]:
        """The worker has looked at its peers' volumes again."""
        return self.tell(e.PeersSeen(WorkerName(name), peers))

    def leaving(self, name: str) -> list[c.Command]:
        return self.tell(e.LeavingAnnounced(WorkerName(name)))

    def lose(self, name: str) -> list[c.Command]:
        return self.tell(e.WorkerLost(WorkerName(name), "cable cut"))

    def pass_time(self, seconds: float) -> list[c.Command]:
        self.now += seconds
        return self.tell(e.TimePassed())

    def submit(
        self,
        maps: int | Sequence[Sequence[str]] = 1,
        reduces: int = 1,
        max_attempts: int = 4,
        job: JobId = JOB,
        draining: bool = False,
    ) -> list[c.Command]:
        """A job; ``maps`` is their number, or the holders of each split."""
        holders = [()] * maps if isinstance(maps, int) else maps
        splits = tuple(
            InputSplit(f"input-{i}", 0, 1, holders=tuple(map(WorkerName, names)))
            for i, names in enumerate(holders)
        )
        settings = JobSettings(
            reduce_tasks=reduces,
            max_attempts=max_attempts,
            memory=1 << 20,
            block_size=4096,
            task_timeout=0,
            input_format="text",
            output_format="text",
            output="out",
            output_is_local=False,
            compression="",
            sort_values=False,
            draining=draining,
        )
        spec = JobSpec("count", JobFile("job.py", b"", "Count"), {}, settings)
        return self.tell(e.JobSubmitted(job, spec, splits))

    # ------------------------------------------------------------ what workers say

    def launched(self, attempt: AttemptId) -> list[c.Command]:
        return self.tell(e.AttemptLaunched(attempt))

    def written(
        self, attempt: AttemptId, records: int = RECORDS, counters: Counters | None = None
    ) -> list[c.Command]:
        """A map attempt's output is there."""
        counters = counters or {"map.records_out": records}
        return self.tell(e.MapOutputWritten(self.output(attempt, records), counters))

    def asks(self, attempt: AttemptId, *consumed: tuple[AttemptId, int]) -> list[c.Command]:
        """A reduce attempt asks to commit."""
        return self.tell(e.OutputWritten(attempt, consumed, {"reduce.groups": 1}))

    def committed(self, attempt: AttemptId) -> list[c.Command]:
        return self.tell(e.OutputCommitted(attempt, self.part(attempt)))

    def failed(
        self, attempt: AttemptId, kind: FailureKind = FailureKind.USER_CODE, summary: str = "boom"
    ) -> list[c.Command]:
        return self.tell(e.AttemptFailed(attempt, Failure(kind, summary, "Traceback", "record", "tail")))

    def requeued(self, attempt: AttemptId) -> list[c.Command]:
        return self.tell(e.AttemptRequeued(attempt))

    def unreadable(self, reader: AttemptId, output: AttemptId, corrupt: bool = True) -> list[c.Command]:
        return self.tell(e.MapOutputUnreadable(reader, output, "EIO", corrupt))

    def pool_short(self, worker: str) -> list[c.Command]:
        return self.tell(e.PoolRanShort(WorkerName(worker)), worker)

    def drained(self, worker: str, output: AttemptId) -> list[c.Command]:
        return self.tell(e.MapOutputDrained(WorkerName(worker), output), worker)

    def drain_failed(self, worker: str, output: AttemptId, kind: FailureKind) -> list[c.Command]:
        return self.tell(e.DrainFailed(WorkerName(worker), output, Failure(kind, "no luck")), worker)

    def reduced(self, attempt: AttemptId, *consumed: tuple[AttemptId, int]) -> list[c.Command]:
        """Ask, be granted, commit."""
        assert self.asks(attempt, *consumed)[0] == c.GrantCommit(self.where(attempt), attempt)
        return self.committed(attempt)

    # ------------------------------------------------------------ names and values

    def map(self, index: int, number: int = 1, job: JobId = JOB) -> AttemptId:
        return AttemptId(TaskId(job, TaskKind.MAP, index), number)

    def reduce(self, index: int, number: int = 1, job: JobId = JOB) -> AttemptId:
        return AttemptId(TaskId(job, TaskKind.REDUCE, index), number)

    def output(self, attempt: AttemptId, records: int = RECORDS, worker: str | None = None) -> MapOutput:
        owner = WorkerName(worker) if worker else self.where(attempt)
        lease = Lease(SharedFile(VolumeId("f" * 32), "shared-0", 0, 1 << 20), 1, attempt)
        return MapOutput(attempt, owner, (PublishedFile(lease, b"d" * 16, 4096, records),))

    def part(self, attempt: AttemptId) -> OutputPart:
        return OutputPart(attempt.task.index, f"/out/{attempt}", self.where(attempt), 10)

    # ------------------------------------------------------------ what was asked for

    def launches(self, commands: Sequence[c.Command] | None = None) -> dict[AttemptId, str]:
        """The attempts started by ``commands``, or ever, and where."""
        told = self.all if commands is None else commands
        return {x.attempt: x.worker for x in told if isinstance(x, c.LaunchMap | c.LaunchReduce)}

    def where(self, attempt: AttemptId) -> WorkerName:
        return WorkerName(self.launches()[attempt])

    def ended(self, commands: Sequence[c.Command] | None = None) -> c.ReportJobEnded | None:
        """The job's end among ``commands``, or in the last ones."""
        told = self.last if commands is None else commands
        ends = [x for x in told if isinstance(x, c.ReportJobEnded)]
        assert len(ends) < 2
        return ends[0] if ends else None


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def two_workers(hands: Hands) -> Hands:
    hands.join("a")
    hands.join("b")
    return hands
