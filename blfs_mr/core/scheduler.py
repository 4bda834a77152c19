"""The master's policy as one machine: workers and their slots, jobs and whose turn it is.

Slots are shared fairly: a free slot goes to the job with the fewest running tasks, the older job first
among equals. One slot beyond a worker's own is allowed for a map task that must run again while reduces
of its job hold slots and wait for it; otherwise neither could ever end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blfs_mr.core import commands as c
from blfs_mr.core import events as e
from blfs_mr.core.job import JobEvent, JobMachine
from blfs_mr.core.reach import Reach
from blfs_mr.core.task import TaskMachine
from blfs_mr.model import AttemptId, Failure, FailureKind, JobId, TaskId, WorkerName

STANDSTILL = 2.0
"""Seconds without any news from a pool that is short before a job that may not drain is failed for it. The
pool's word may cross what just freed a file, and the map that publishes next may be the job's last."""


@dataclass(slots=True)
class Worker:
    """A registered worker."""

    name: WorkerName
    slots: int


class Scheduler:
    """Owns every job from submission to end. ``no_worker_deadline`` is in seconds."""

    def __init__(self, no_worker_deadline: float) -> None:
        self.workers: dict[WorkerName, Worker] = {}
        self.jobs: dict[JobId, JobMachine] = {}
        self.reach = Reach()
        self._no_worker_deadline = no_worker_deadline
        self._stranded_since: dict[TaskId, float] = {}
        self._short_since: dict[WorkerName, float] = {}

    def running_on(self, worker: WorkerName) -> int:
        """How many attempts hold a slot of ``worker``."""
        return sum(job.running_on[worker] for job in self.jobs.values())

    def handle(self, event: e.Event, now: float, reporter: WorkerName | None = None) -> list[c.Command]:
        """What ``event`` calls for, in order.

        ``reporter`` is the worker whose word it is: what it says of an attempt that is not its own is
        ignored, whatever the reason (it was fenced, or the worker is confused).
        """
        match event:
            case e.WorkerJoined():
                commands = self._worker_joined(event)
            case e.PeersSeen():
                self.reach.seen(event.worker, event.peers)
                commands = []
            case e.WorkerLost():
                self.reach.left(event.worker)
                self.workers.pop(event.worker, None)
                self._short_since.pop(event.worker, None)
                commands = [cmd for job in list(self.jobs.values()) for cmd in job.handle(event, now)]
            case e.JobSubmitted():
                self.jobs[event.job] = JobMachine(
                    event.job, event.spec, event.splits, self.workers.keys(), now
                )
                commands = []
            case e.JobCancelled():
                job = self.jobs.get(event.job)
                commands = job.handle(event, now) if job else []
            case e.PoolRanShort():
                commands = self._pool_ran_short(event, now)
            case e.MapOutputDrained() | e.DrainFailed():
                job = self.jobs.get(event.output.task.job)
                commands = job.handle(event, now) if job else []
            case e.TimePassed():
                commands = self._fail_stranded_jobs(now) + self._relieve_pools(now)
            case _:
                commands = self._report(event, now, reporter)
        self._note_changed_pools(event, commands, now)
        self._forget_ended(commands)
        return commands + self._fill_slots()

    # ------------------------------------------------------------ events

    def _worker_joined(self, event: e.WorkerJoined) -> list[c.Command]:
        self.workers[event.worker] = Worker(event.worker, event.slots)
        self.reach.joined(event.worker, event.host, event.volume, event.peers)
        live = tuple(output for output in event.held if output.task.job in self.jobs and self._holds(output))
        return [c.AcceptWorker(event.worker, live)]

    def _holds(self, output: AttemptId) -> bool:
        return self.jobs[output.task.job].holds(output)

    def _report(self, event: JobEvent, now: float, reporter: WorkerName | None) -> list[c.Command]:
        subject = _subject(event)
        assert subject is not None, f"{event} is not about one attempt"
        job = self.jobs.get(subject.task.job)
        if job is None or (reporter is not None and job.worker_of(subject) != reporter):
            return []
        return job.handle(event, now)

    def _pool_ran_short(self, event: e.PoolRanShort, now: float) -> list[c.Command]:
        if event.worker not in self.workers:
            return []
        self._short_since.setdefault(event.worker, now)
        return self._relieve(event.worker)

    def _holders(self, worker: WorkerName) -> list[JobMachine]:
        return [job for job in self.jobs.values() if job.occupies(worker) and not job.over]

    def _relieve(self, worker: WorkerName) -> list[c.Command]:
        return [command for job in self._holders(worker) for command in job.relieve(worker)]

    def _relieve_pools(self, now: float) -> list[c.Command]:
        """Look again at pools that are short. Where nothing moves, the youngest job has to give way."""
        commands: list[c.Command] = []
        for worker, since in list(self._short_since.items()):
            commands += self._relieve(worker)
            holders = self._holders(worker)
            if holders and now - since >= STANDSTILL and self._moving().isdisjoint(job.id for job in holders):
                reason = holders[-1].why_the_pool_is_too_small(worker)
                commands += holders[-1].fail(Failure(FailureKind.POOL, reason), now)
        return commands

    def _moving(self) -> set[JobId]:
        """The jobs that go on while short pools stand still, at once or with the slots of such jobs."""
        moving: set[JobId] = set()
        while True:
            slots_on = {
                worker.name
                for worker in self.workers.values()
                if self.running_on(worker.name) < worker.slots
                or any(self.jobs[job].running_on[worker.name] for job in moving)
            }
            more = {
                job.id
                for job in self.jobs.values()
                if job.id not in moving and job.moves_without(self._short_since, slots_on)
            }
            if not more:
                return moving
            moving |= more

    def _note_changed_pools(self, event: e.Event, commands: Sequence[c.Command], now: float) -> None:
        """Keep book of the pools that are short.

        One is no longer when something there is freed: its worker looks then, and says so if it still is.
        What an attempt there reports restarts the clock.
        """
        attempt = _subject(event)
        job = self.jobs.get(attempt.task.job) if attempt is not None else None
        if job is not None and attempt is not None:
            worker = job.worker_of(attempt)
            if worker in self._short_since:
                self._short_since[worker] = now
        for command in commands:
            if isinstance(command, c.ReleaseMapOutput | c.AbortAttempt):
                self._short_since.pop(command.worker, None)
            elif isinstance(command, c.ReportJobEnded):
                ended = self.jobs[command.job]
                for worker in [w for w in self._short_since if ended.occupies(w)]:
                    del self._short_since[worker]

    def _fail_stranded_jobs(self, now: float) -> list[c.Command]:
        """Fail jobs with a task that no live worker could run for the whole deadline."""
        before, self._stranded_since = self._stranded_since, {}
        commands: list[c.Command] = []
        for job in self.jobs.values():
            overdue: TaskMachine | None = None
            for task in job.stranded():
                since = self._stranded_since[task.id] = before.get(task.id, now)
                if now - since >= self._no_worker_deadline:
                    overdue = overdue or task
            if overdue is not None:
                failure = Failure(FailureKind.WORKER_LOST, self._why_stranded(overdue))
                commands += job.fail(failure, now)
        return commands

    def _why_stranded(self, task: TaskMachine) -> str:
        deadline = f"within {self._no_worker_deadline:g} s"
        if task.split is None or not task.split.holders:
            return f"no worker is left; none came {deadline}"
        holders, path = ", ".join(task.split.holders), task.split.path
        return f"no worker holds the input of {task.id}, {path}: {holders} did not come back {deadline}"

    # ------------------------------------------------------------ slots

    def _forget_ended(self, commands: list[c.Command]) -> None:
        for command in commands:
            if isinstance(command, c.ReportJobEnded):
                del self.jobs[command.job]

    def _fill_slots(self) -> list[c.Command]:
        # Once for all workers, not once for each: with a thousand of them this is what an event costs.
        load = dict.fromkeys(self.workers, 0)
        for job in self.jobs.values():
            for worker in job.running_on.keys() & load.keys():
                load[worker] += job.running_on[worker]
        commands: list[c.Command] = []
        while started := self._start_one(load):
            commands += started
        return commands

    def _start_one(self, load: dict[WorkerName, int]) -> list[c.Command]:
        """Start the task whose turn it is, if a slot is free for it; ``load`` is kept up to date."""
        wanting = [job for job in self.jobs.values() if job.has_pending]
        for job in sorted(wanting, key=lambda job: job.running):
            extra = 1 if job.waits_for_lost_maps else 0
            free = [w.name for w in self.workers.values() if load[w.name] < w.slots + extra]
            for worker in sorted(free, key=load.__getitem__):
                task = job.next_task(worker)
                if task is not None:
                    load[worker] += 1
                    return job.start(task, worker)
        return []


def _subject(event: e.Event) -> AttemptId | None:
    """The attempt that an event reports of, None if it is about something else."""
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
