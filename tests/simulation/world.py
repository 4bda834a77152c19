"""A world of workers for the scheduler: virtual time, injected faults, everything from one seed.

The world is a heap of things that will happen. Each happening tells the scheduler an event and hands the
commands that come back to simulated workers, whose reactions are happenings again. Links are as real ones
are: in order, and gone for good when the worker is, so a report can be lost but not overtaken. Beyond that
the world is unkind: workers die or are stopped, and come back (with or without their volume), attempts fail,
outputs turn out unreadable, for a while hosts cannot read anything or volumes be read by nobody, and reports
of attempts long given up arrive, some twice. Shared files come from the real lease pool, too few of them in
many worlds, so that map outputs are drained, which fails now and then.

``Checks`` sees each event and command pass and knows what must never be.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from blfs_mr.core import commands as c
from blfs_mr.core import events as e
from blfs_mr.core.lease_pool import Decision, Deny, Grant, LeasePool, Requeue, Short
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
    MapOutput,
    OutputPart,
    PublishedFile,
    SeenVolume,
    SharedFile,
    TaskKind,
    VolumeId,
    WorkerName,
)
from tests.simulation.checks import Checks, records_of

NO_WORKER_DEADLINE = 60.0
REAPING = 0.005
"""Virtual seconds until a process that is told to end is gone."""

LONGEST_LIFE = 100_000.0
"""Virtual seconds after which a job that has not ended is one that hangs."""


@dataclass(frozen=True)
class Size:
    """How large a world is, and how unkind: probabilities per attempt, and mean seconds between deaths
    and between readers or volumes that fail; of these workers tell with a probability of their own."""

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
    death_announced: float = 0.3
    volume_survives: float = 0.9
    max_attempts: int = 12
    pool: int = 100
    files_per_map: int = 2
    drain_fails: float = 0.03
    may_drain: float = 1.0
    seconds_between_blindness: float = 1e9
    blindness_told: float = 0.5


@dataclass
class SimulatedWorker:
    """One worker daemon. ``life`` counts its incarnations: what was planned in an earlier one is void.

    ``held`` are the map outputs on its volume, whose shared files ``pool`` leases; ``copies`` the partitions
    of outputs that it has drained. ``known`` and ``consumed`` are by job and map index: what reducers here
    are told, and what each has read.
    """

    name: WorkerName
    slots: int
    life: int = 0
    up: bool = False
    leaving: bool = False
    pool: LeasePool = field(default_factory=lambda: LeasePool((), {}))
    held: set[AttemptId] = field(default_factory=set)
    copies: dict[AttemptId, set[int]] = field(default_factory=dict)
    prepared: set[JobId] = field(default_factory=set)
    known: dict[JobId, dict[int, MapOutput]] = field(default_factory=dict)
    running: set[AttemptId] = field(default_factory=set)
    consumed: dict[AttemptId, dict[int, MapOutput]] = field(default_factory=dict)
    asked: set[AttemptId] = field(default_factory=set)
    blind: set[WorkerName] = field(default_factory=set)
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
        self.drains = 0
        self.checks = Checks(self)
        for worker in self.workers.values():
            worker.pool = self._new_pool(worker)

    def run(self) -> None:
        """From the first worker's start to the last job's end."""
        for worker in self.workers.values():
            self.after(self.chance.uniform(0, 2), self._starter(worker))
        for number in range(self.size.jobs):
            self.after(self.chance.uniform(0, 20), self._submitter(JobId(f"{number:016x}")))
        self.after(self._next_death(), self._kill_somebody)
        self.after(self._next_blindness(), self._blind_somebody)
        self.after(1, self._tick)
        while len(self.ended) < self.size.jobs:
            self.now, _, happen = heapq.heappop(self._agenda)
            assert self.now < LONGEST_LIFE, f"these jobs hang: {set(self.specs) - set(self.ended)}"
            happen()
        end = self.now + 2 * REAPING
        while self._agenda[0][0] < end:
            self.now, _, happen = heapq.heappop(self._agenda)
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
                draining=self.chance.random() < self.size.may_drain,
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
        if worker.up and not worker.leaving and self.chance.random() < self.size.death_announced:
            worker.leaving = True
            self.tell(e.LeavingAnnounced(worker.name))
            self._while_up(worker, self.chance.uniform(0, 10), lambda: self._leave(worker))
        else:
            self._kill(worker)
        self.after(self._next_death(), self._kill_somebody)

    def _leave(self, worker: SimulatedWorker) -> None:
        """Its grace is over: what still runs is given back."""
        for attempt in sorted(worker.running):
            self._requeue(worker, attempt)
        self._kill(worker)

    def _kill(self, worker: SimulatedWorker) -> None:
        if worker.up:
            worker.up = worker.leaving = False
            worker.life += 1
            for state in (worker.prepared, worker.running, worker.asked, worker.known, worker.consumed):
                state.clear()
            worker.copies.clear()
            if self.chance.random() > self.size.volume_survives:
                worker.held.clear()
            worker.pool = self._new_pool(worker)
            self.tell(e.WorkerLost(worker.name, "killed"))
            self.after(self.chance.uniform(0.1, 20), self._starter(worker))

    def _next_blindness(self) -> float:
        return self.chance.expovariate(1 / self.size.seconds_between_blindness)

    def _blind_somebody(self) -> None:
        """A worker cannot read others' volumes for a while, or nobody can read that of one."""
        one, others = self._one_and_others()
        pairs = [(one, other) for other in others]
        if self.chance.random() < 0.5:
            pairs = [(other, one) for other in others]
        told = self.chance.random() < self.size.blindness_told
        for reader, owner in pairs:
            reader.blind.add(owner.name)

        def heal() -> None:
            for reader, owner in pairs:
                reader.blind.discard(owner.name)
            self._tell_sights({reader.name for reader, _ in pairs} if told else set())

        self._tell_sights({reader.name for reader, _ in pairs} if told else set())
        self.after(self.chance.uniform(1, 100), heal)
        self.after(self._next_blindness(), self._blind_somebody)

    def _one_and_others(self) -> tuple[SimulatedWorker, list[SimulatedWorker]]:
        workers = list(self.workers.values())
        one = workers.pop(self.chance.randrange(len(workers)))
        return one, workers

    def _tell_sights(self, readers: set[WorkerName]) -> None:
        for name in sorted(readers):
            if self.workers[name].up:
                self.tell(e.PeersSeen(name, self._sights(self.workers[name])))

    def _sights(self, worker: SimulatedWorker) -> tuple[SeenVolume, ...]:
        return tuple(
            SeenVolume(owner, VolumeId(""), "EIO")
            if owner in worker.blind
            else SeenVolume(owner, VolumeId(owner))
            for owner in self.workers
            if owner != worker.name
        )

    def _new_pool(self, worker: SimulatedWorker) -> LeasePool:
        """The pool as a worker that starts finds it: what was published is taken."""
        files = [SharedFile(VolumeId(worker.name), f"shared-{i}", 0, 4096) for i in range(self.size.pool)]
        # Of what was never published only generations are left; these are higher than any that was.
        pool = LeasePool(files, dict.fromkeys(files, self.events))
        pool.restore(lease for output in sorted(worker.held) for lease in worker.pool.leases(output))
        return pool

    def _starter(self, worker: SimulatedWorker) -> Callable[[], None]:
        def start() -> None:
            worker.up = True
            held = tuple(sorted(worker.held))
            sights = self._sights(worker) if self.chance.random() < self.size.blindness_told else ()
            self.tell(e.WorkerJoined(worker.name, worker.slots, held, "host", VolumeId(worker.name), sights))

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
                for output in sorted(worker.held - set(command.live)):
                    self._let_go(worker, output)
            case c.LaunchMap():
                self._begin(worker, command.attempt, self._write)
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
                self._end_attempt(worker, command.attempt)
            case c.ReleaseMapOutput():
                self._let_go(worker, command.output)
            case c.DrainMapOutput():
                drain = functools.partial(self._drain, worker, command)
                self._while_up(worker, self.chance.uniform(0.01, 3), drain)
            case c.LookAtPeers():
                look = functools.partial(self._tell_sights, {worker.name})
                self._while_up(worker, self.chance.uniform(0.01, 1), look)
            case c.CleanUpJob():
                worker.prepared.discard(command.job)
                worker.known.pop(command.job, None)
                for attempt in sorted(a for a in worker.running if a.task.job == command.job):
                    self._end_attempt(worker, attempt)
                for output in sorted(a for a in worker.held if a.task.job == command.job):
                    self._let_go(worker, output)

    # ------------------------------------------------------------ inside a worker

    def _later(
        self,
        worker: SimulatedWorker,
        attempt: AttemptId,
        delay: float,
        happen: Callable[[SimulatedWorker, AttemptId], None],
    ) -> None:
        """Let something happen to an attempt, unless worker or attempt are gone by then."""

        def if_still_running() -> None:
            if attempt in worker.running:
                happen(worker, attempt)

        self._while_up(worker, delay, if_still_running)

    def _while_up(self, worker: SimulatedWorker, delay: float, happen: Callable[[], None]) -> None:
        """Let something happen, unless the worker is gone by then."""
        life = worker.life
        self.after(delay, lambda: happen() if worker.life == life else None)

    def _end_attempt(self, worker: SimulatedWorker, attempt: AttemptId) -> None:
        """Its process is told to end; its files are free when it has."""
        worker.running.discard(attempt)
        self._free(worker, attempt)

    def _let_go(self, worker: SimulatedWorker, output: AttemptId) -> None:
        """No reader needs this output."""
        worker.held.discard(output)
        self._free(worker, output)

    def _free(self, worker: SimulatedWorker, attempt: AttemptId) -> None:
        def release() -> None:
            if attempt not in worker.held:
                self._decided(worker, worker.pool.release(attempt))

        self._while_up(worker, REAPING, release)

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
        self._end_attempt(worker, attempt)
        self.say(worker, e.AttemptFailed(attempt, Failure(FailureKind.PROCESS, "killed by a test")))

    def _requeue(self, worker: SimulatedWorker, attempt: AttemptId) -> None:
        self._end_attempt(worker, attempt)
        self.say(worker, e.AttemptRequeued(attempt))

    def _deny(self, worker: SimulatedWorker, attempt: AttemptId) -> None:
        self._end_attempt(worker, attempt)
        self.say(worker, e.AttemptFailed(attempt, Failure(FailureKind.POOL, "the pool is too small")))

    # ------------------------------------------------------------ shared files

    def _decided(self, worker: SimulatedWorker, decisions: list[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Grant():
                    delay = self.chance.uniform(0.001, 2)
                    self._later(worker, decision.lease.attempt, delay, self._write)
                case Requeue():
                    self._later(worker, decision.attempt, 0, self._requeue)
                case Deny():
                    self._later(worker, decision.attempt, 0, self._deny)
                case Short():
                    self._while_up(worker, 0, lambda: self.tell(e.PoolRanShort(worker.name), worker.name))

    def _write(self, worker: SimulatedWorker, attempt: AttemptId) -> None:
        """Ask for one shared file after another, then publish."""
        needed = attempt.task.index % (self.size.files_per_map + 1)
        if len(worker.pool.leases(attempt)) < needed:
            self._decided(worker, worker.pool.request(attempt))
        else:
            self._finish_map(worker, attempt)

    def _drain(self, worker: SimulatedWorker, command: c.DrainMapOutput) -> None:
        """Copy what was asked for, unless the output was replaced meanwhile."""
        output = worker.known.get(command.output.task.job, {}).get(command.output.task.index)
        if output is None or output.attempt != command.output:
            return
        event: e.Event = e.MapOutputDrained(worker.name, command.output)
        if command.output not in self.workers[output.worker].held:
            self.checks.missing(command.output)
            event = e.DrainFailed(worker.name, command.output, Failure(FailureKind.DATA, "gone"))
        elif output.worker in worker.blind:
            event = e.DrainFailed(worker.name, command.output, Failure(FailureKind.DATA, "EIO"))
        elif self.chance.random() < self.size.drain_fails:
            kind = self.chance.choice((FailureKind.DATA, FailureKind.PROCESS))
            event = e.DrainFailed(worker.name, command.output, Failure(kind, "by a test"))
        else:
            self.drains += 1
            worker.copies.setdefault(command.output, set()).update(command.partitions)
        self.tell(event, worker.name)

    # ------------------------------------------------------------ results

    def _finish_map(self, worker: SimulatedWorker, attempt: AttemptId) -> None:
        worker.running.discard(attempt)
        worker.held.add(attempt)
        reduces = self.specs[attempt.task.job][0].settings.reduce_tasks
        records = sum(records_of(attempt, partition) for partition in range(reduces))
        leases = worker.pool.leases(attempt)
        # All records are in the first file; a map that needs none has no records.
        shares = [records, *[0] * len(leases)][: len(leases)]
        files = tuple(PublishedFile(lease, b"", 4096, n) for lease, n in zip(leases, shares, strict=True))
        output = MapOutput(attempt, worker.name, files)
        self.say(worker, e.MapOutputWritten(output, {"map.records_out": sum(shares)}))
        if attempt in worker.held:
            self._decided(worker, worker.pool.publish(attempt))

    def _go_on_reducing(self, worker: SimulatedWorker, attempt: AttemptId) -> None:
        """Read what is known and not read yet; ask to commit when that was the last of it."""
        consumed = worker.consumed.setdefault(attempt, {})
        known = worker.known.get(attempt.task.job, {})
        for index in known.keys() - consumed.keys():
            output = known[index]
            there = attempt.task.index in worker.copies.get(output.attempt, ())
            if not there:
                there = output.attempt in self.workers[output.worker].held or not output.files
                if not there:
                    self.checks.missing(output.attempt)
            copied = attempt.task.index in worker.copies.get(output.attempt, ())
            blind = not copied and bool(output.files) and output.worker in worker.blind
            corrupt = self.chance.random() < self.size.output_unreadable
            if not there or blind or corrupt:
                self.say(worker, e.MapOutputUnreadable(attempt, output.attempt, "EIO", corrupt))
                if attempt not in worker.running:
                    return
            else:
                consumed[index] = output
        if len(consumed) == len(self.specs[attempt.task.job][1]) and attempt not in worker.asked:
            worker.asked.add(attempt)
            told = tuple(
                (o.attempt, records_of(o.attempt, attempt.task.index) if o.files else 0)
                for o in consumed.values()
            )
            self.say(worker, e.OutputWritten(attempt, told, {"reduce.groups": 1}))

    def _commit(self, worker: SimulatedWorker, attempt: AttemptId) -> None:
        self._end_attempt(worker, attempt)
        part = OutputPart(attempt.task.index, f"/out/{attempt}", worker.name, 1)
        self.say(worker, e.OutputCommitted(attempt, part))
