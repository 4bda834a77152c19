"""A world of workers for the scheduler: virtual time, injected faults, everything from one seed.

The world is a heap of things that will happen. Each happening tells the scheduler an event and hands the
commands that come back to simulated workers, whose reactions are happenings again. Links are as real ones
are: in order, and gone for good when the worker is, so a report can be lost but not overtaken. Beyond that
the world is unkind: workers die and come back (with or without their volume), attempts fail, outputs turn
out unreadable, and reports of attempts long given up arrive, some twice.

``Checks`` sees each event and command pass and knows what must never be.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from blfs_mr.core import commands as c
from blfs_mr.core import events as e
from blfs_mr.core.scheduler import Scheduler
from blfs_mr.model import (
    AttemptId,
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
    SharedFile,
    TaskKind,
    VolumeId,
    WorkerName,
)

NO_WORKER_DEADLINE = 60.0
LONGEST_LIFE = 100_000.0
"""Virtual seconds after which a job that has not ended is one that hangs."""


@dataclass(frozen=True)
class Size:
    """How large a world is, and how unkind: probabilities per attempt, and mean seconds between deaths."""

    workers: int
    jobs: int
    maps: int
    reduces: int
    slots: int = 3
    attempt_fails: float = 0.05
    output_unreadable: float = 0.02
    attempt_requeued: float = 0.03
    report_repeated: float = 0.1
    seconds_between_deaths: float = 3.0
    volume_survives: float = 0.9
    max_attempts: int = 12


@dataclass
class SimulatedWorker:
    """One worker daemon. ``life`` counts its incarnations: what was planned in an earlier one is void.

    ``known`` and ``consumed`` are by job and map index: what reducers here are told, and what each has read.
    """

    name: WorkerName
    slots: int
    life: int = 0
    up: bool = False
    held: set[AttemptId] = field(default_factory=set)
    prepared: set[JobId] = field(default_factory=set)
    known: dict[JobId, dict[int, MapOutput]] = field(default_factory=dict)
    running: set[AttemptId] = field(default_factory=set)
    consumed: dict[AttemptId, dict[int, MapOutput]] = field(default_factory=dict)
    asked: set[AttemptId] = field(default_factory=set)
    said_before: list[e.Event] = field(default_factory=list)


class World:
    """Runs a scheduler among simulated workers until every job has ended."""

    def __init__(self, seed: int, size: Size) -> None:
        self.chance, self.size = random.Random(seed), size
        self.scheduler = Scheduler(NO_WORKER_DEADLINE)
        self.now, self.events = 0.0, 0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.workers = {
            name: SimulatedWorker(name, self.chance.randint(1, size.slots))
            for name in (WorkerName(f"w{i}") for i in range(size.workers))
        }
        self.specs: dict[JobId, tuple[JobSpec, tuple[InputSplit, ...]]] = {}
        self.ended: dict[JobId, c.ReportJobEnded] = {}
        self.checks = Checks(self)

    def run(self) -> None:
        """From the first worker's start to the last job's end."""
        for worker in self.workers.values():
            self.after(self.chance.uniform(0, 2), self._starter(worker))
        for number in range(self.size.jobs):
            self.after(self.chance.uniform(0, 20), self._submitter(JobId(f"{number:016x}")))
        self.after(self._next_death(), self._kill_somebody)
        self.after(1, self._tick)
        while len(self.ended) < self.size.jobs:
            self.now, _, happen = heapq.heappop(self._agenda)
            assert self.now < LONGEST_LIFE, f"these jobs hang: {set(self.specs) - set(self.ended)}"
            happen()
        self.checks.at_the_end()

    def after(self, delay: float, happen: Callable[[], None]) -> None:
        """Let something happen ``delay`` seconds from now."""
        heapq.heappush(self._agenda, (self.now + delay, next(self._order), happen))

    # ------------------------------------------------------------ outside the workers

    def _submitter(self, job: JobId) -> Callable[[], None]:
        def submit() -> None:
            names = sorted(self.workers)
            splits = tuple(
                InputSplit(
                    f"input-{i}",
                    0,
                    1,
                    holders=tuple(self.chance.sample(names, min(3, len(names)))) if i % 2 else (),
                )
                for i in range(self.chance.randint(0, self.size.maps))
            )
            reduces = self.chance.randint(1, self.size.reduces)
            settings = JobSettings(
                reduce_tasks=reduces,
                max_attempts=self.size.max_attempts,
                memory=1 << 20,
                block_size=4096,
                task_timeout=0,
                input_format="text",
                output_format="text",
                output="out",
                output_is_local=False,
                compression="",
                sort_values=False,
                draining=False,
            )
            spec = JobSpec("job", JobFile("job.py", b"", "Job"), {}, settings)
            self.specs[job] = spec, splits
            self.tell(e.JobSubmitted(job, spec, splits))
            if self.chance.random() < 0.05:
                self.after(self.chance.uniform(0, 30), lambda: self.tell(e.JobCancelled(job, "at will")))

        return submit

    def _tick(self) -> None:
        self.tell(e.TimePassed())
        self.after(1, self._tick)

    def _next_death(self) -> float:
        return self.chance.expovariate(1 / self.size.seconds_between_deaths)

    def _kill_somebody(self) -> None:
        worker = self.chance.choice(list(self.workers.values()))
        if worker.up:
            worker.up = False
            worker.life += 1
            for state in (worker.prepared, worker.running, worker.asked, worker.known, worker.consumed):
                state.clear()
            if self.chance.random() > self.size.volume_survives:
                worker.held.clear()
            self.tell(e.WorkerLost(worker.name, "killed"))
            self.after(self.chance.uniform(0.1, 20), self._starter(worker))
        self.after(self._next_death(), self._kill_somebody)

    def _starter(self, worker: SimulatedWorker) -> Callable[[], None]:
        def start() -> None:
            worker.up = True
            self.tell(e.WorkerJoined(worker.name, worker.slots, tuple(sorted(worker.held))))

        return start

    # ------------------------------------------------------------ the scheduler and its commands

    def tell(self, event: e.Event, reporter: WorkerName | None = None) -> None:
        """One event to the scheduler, and its commands to whom they concern."""
        self.events += 1
        commands = self.scheduler.handle(event, self.now, reporter)
        self.checks.after_event(event, commands)
        for command in commands:
            self._carry_out(command)

    def say(self, worker: SimulatedWorker, event: e.Event) -> None:
        """A worker's report. Now and then, an old one of an attempt that is over is said again."""
        worker.said_before.append(event)
        self.tell(event, worker.name)
        if self.chance.random() < self.size.report_repeated:
            stale = self.chance.choice(worker.said_before)
            if self.checks.may_be_repeated(stale):
                self.tell(stale, worker.name)

    def _carry_out(self, command: c.Command) -> None:
        if isinstance(command, c.ReportProgress | c.ReportAttemptFailed):
            return
        if isinstance(command, c.ReportJobEnded):
            self.ended[command.job] = command
            return
        worker = self.workers[command.worker]
        match command:
            case c.PrepareJob():
                worker.prepared.add(command.job)
            case c.AcceptWorker():
                worker.held &= set(command.live)
            case c.LaunchMap():
                self._begin(worker, command.attempt, self._finish_map)
            case c.LaunchReduce():
                self._begin(worker, command.attempt, self._go_on_reducing)
            case c.PublishMapOutput():
                output = command.output.attempt
                worker.known.setdefault(output.task.job, {})[output.task.index] = command.output
                for attempt in sorted(worker.running):
                    if attempt.task.kind is TaskKind.REDUCE and attempt.task.job == output.task.job:
                        self._later(worker, attempt, 0.01, self._go_on_reducing)
            case c.GrantCommit():
                self._later(worker, command.attempt, 0.01, self._commit)
            case c.AbortAttempt():
                worker.running.discard(command.attempt)
            case c.ReleaseMapOutput():
                worker.held.discard(command.output)
            case c.CleanUpJob():
                worker.prepared.discard(command.job)
                worker.running = {a for a in worker.running if a.task.job != command.job}
                worker.held = {a for a in worker.held if a.task.job != command.job}

    # ------------------------------------------------------------ inside a worker

    def _later(
        self,
        worker: SimulatedWorker,
        attempt: AttemptId,
        delay: float,
        happen: Callable[[SimulatedWorker, AttemptId], None],
    ) -> None:
        """Let something happen to an attempt, unless worker or attempt are gone by then."""
        life = worker.life

        def if_still_there() -> None:
            if worker.life == life and attempt in worker.running:
                happen(worker, attempt)

        self.after(delay, if_still_there)

    def _begin(
        self,
        worker: SimulatedWorker,
        attempt: AttemptId,
        work: Callable[[SimulatedWorker, AttemptId], None],
    ) -> None:
        worker.running.add(attempt)
        self._later(worker, attempt, 0.001, lambda w, a: self.say(w, e.AttemptLaunched(a)))
        if self.chance.random() < self.size.attempt_fails:
            self._later(worker, attempt, self.chance.uniform(0.01, 4), self._fail)
        if attempt.task.kind is TaskKind.MAP and self.chance.random() < self.size.attempt_requeued:
            self._later(worker, attempt, self.chance.uniform(0.01, 4), self._requeue)
        self._later(worker, attempt, self.chance.uniform(0.01, 5), work)

    def _fail(self, worker: SimulatedWorker, attempt: AttemptId) -> None:
        worker.running.discard(attempt)
        self.say(worker, e.AttemptFailed(attempt, Failure(FailureKind.PROCESS, "killed by a test")))

    def _requeue(self, worker: SimulatedWorker, attempt: AttemptId) -> None:
        worker.running.discard(attempt)
        self.say(worker, e.AttemptRequeued(attempt))

    def _finish_map(self, worker: SimulatedWorker, attempt: AttemptId) -> None:
        worker.running.discard(attempt)
        worker.held.add(attempt)
        reduces = self.specs[attempt.task.job][0].settings.reduce_tasks
        records = sum(records_of(attempt, partition) for partition in range(reduces))
        lease = Lease(SharedFile(VolumeId(worker.name), str(attempt), 0, 4096), 1, attempt)
        output = MapOutput(attempt, worker.name, (PublishedFile(lease, b"", 4096, records),))
        self.say(worker, e.MapOutputWritten(output, {"map.records_out": records}))

    def _go_on_reducing(self, worker: SimulatedWorker, attempt: AttemptId) -> None:
        """Read what is known and not read yet; ask to commit when that was the last of it."""
        consumed = worker.consumed.setdefault(attempt, {})
        known = worker.known.get(attempt.task.job, {})
        for index in known.keys() - consumed.keys():
            output = known[index]
            there = output.attempt in self.workers[output.worker].held
            if not there or self.chance.random() < self.size.output_unreadable:
                self.say(worker, e.MapOutputUnreadable(attempt, output.attempt, "EIO"))
                if attempt not in worker.running:
                    return
            else:
                consumed[index] = output
        if len(consumed) == len(self.specs[attempt.task.job][1]) and attempt not in worker.asked:
            worker.asked.add(attempt)
            told = tuple((o.attempt, records_of(o.attempt, attempt.task.index)) for o in consumed.values())
            self.say(worker, e.OutputWritten(attempt, told, {"reduce.groups": 1}))

    def _commit(self, worker: SimulatedWorker, attempt: AttemptId) -> None:
        worker.running.discard(attempt)
        part = OutputPart(attempt.task.index, f"/out/{attempt}", worker.name, 1)
        self.say(worker, e.OutputCommitted(attempt, part))


def records_of(output: AttemptId, partition: int) -> int:
    """How many records of a map attempt fall into a partition. A re-run need not yield the same twice."""
    return (output.task.index + 7 * partition + 3 * output.number) % 5


class Checks:
    """What must hold after each event, and at the end of all."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._started: set[AttemptId] = set()
        self._granted: dict[object, AttemptId] = {}
        self._over: set[AttemptId | None] = set()

    def may_be_repeated(self, event: e.Event) -> bool:
        """Whether the report would be late: its attempt is over."""
        return subject(event) in self._over

    def after_event(self, event: e.Event, commands: list[c.Command]) -> None:
        """Each command goes to a worker that is there and prepared; each number and grant is used once."""
        if isinstance(event, e.WorkerLost):
            self._forget(lambda attempt: self._where(attempt) == event.worker)
        elif isinstance(event, e.AttemptFailed | e.AttemptRequeued):
            self._forget(lambda attempt: attempt == event.attempt)
        elif isinstance(event, e.MapOutputWritten | e.OutputCommitted):
            # The grant stands for good: what is committed is never granted again.
            self._over |= {subject(event)}
        accepted_first = True
        ended: set[JobId] = set()
        prepared: dict[WorkerName, set[JobId]] = {}
        for command in commands:
            if isinstance(command, c.ReportJobEnded):
                assert command.job not in self._world.ended
                ended.add(command.job)
            if isinstance(command, c.ReportJobEnded | c.ReportProgress | c.ReportAttemptFailed):
                continue
            assert self._world.workers[command.worker].up, f"{command} to a worker that is gone"
            worker = self._world.workers[command.worker]
            ready = prepared.setdefault(command.worker, set(worker.prepared))
            match command:
                case c.AcceptWorker():
                    assert accepted_first
                case c.PrepareJob():
                    assert command.job not in ready, "prepared twice"
                    ready.add(command.job)
                case c.LaunchMap() | c.LaunchReduce():
                    self._launch(command, ready)
                case c.GrantCommit():
                    self._grant(command.attempt)
            accepted_first = False
            job = getattr(command, "job", None) or getattr(command, "attempt", None)
            if not isinstance(command, c.CleanUpJob | c.AbortAttempt | c.AcceptWorker) and job is not None:
                job_id = job.task.job if isinstance(job, AttemptId) else job
                assert job_id not in ended, f"{command} after the job's end"
        self._slots(commands)

    def at_the_end(self) -> None:
        """Results exactly once, nothing left behind."""
        world = self._world
        assert not world.scheduler.jobs
        for job, ended in world.ended.items():
            if ended.failure is None:
                reduces = world.specs[job][0].settings.reduce_tasks
                assert [part.partition for part in ended.parts] == list(range(reduces))
                assert ended.counters["reduce.groups"] == reduces
            else:
                assert ended.failure.kind is not FailureKind.INTERNAL, ended.failure
        for worker in world.workers.values():
            if worker.up:
                assert not worker.held, f"{worker.name} keeps files of jobs that ended"
                assert not worker.running
                assert not worker.prepared

    def _launch(self, command: c.LaunchMap | c.LaunchReduce, prepared: set[JobId]) -> None:
        attempt = command.attempt
        assert attempt not in self._started, f"{attempt} is used twice"
        assert attempt.task.job in prepared, "launched before it was prepared"
        self._started.add(attempt)
        if isinstance(command, c.LaunchMap):
            holders = command.split.holders
            assert not holders or command.worker in holders, f"{attempt} is not where its split is"

    def _grant(self, attempt: AttemptId) -> None:
        assert attempt.task not in self._granted, f"two commits of {attempt.task} at a time"
        self._granted[attempt.task] = attempt

    def _slots(self, commands: list[c.Command]) -> None:
        """Nobody runs more than its slots, and one more only for a map."""
        launches = [x for x in commands if isinstance(x, c.LaunchMap | c.LaunchReduce)]
        for name in {launch.worker for launch in launches}:
            slots = self._world.scheduler.workers[name].slots
            running = self._world.scheduler.running_on(name)
            assert 0 <= running <= slots + 1
            last = [launch for launch in launches if launch.worker == name][-1]
            assert running <= slots or isinstance(last, c.LaunchMap)

    def _where(self, attempt: AttemptId) -> WorkerName | None:
        job = self._world.scheduler.jobs.get(attempt.task.job)
        return job.worker_of(attempt) if job else None

    def _forget(self, gone: Callable[[AttemptId], bool]) -> None:
        self._granted = {task: attempt for task, attempt in self._granted.items() if not gone(attempt)}
        self._over |= {attempt for attempt in self._started if gone(attempt)}


def subject(event: e.Event) -> AttemptId | None:
    """The attempt that an event is a report of; None if it is no report."""
    match event:
        case e.MapOutputWritten():
            return event.output.attempt
        case e.MapOutputUnreadable():
            return event.reader
        case (
            e.AttemptLaunched()
            | e.OutputWritten()
            | e.OutputCommitted()
            | e.AttemptFailed()
            | e.AttemptRequeued()
        ):
            return event.attempt
        case _:
            return None
