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
from blfs_mr.core.blame import Blame, Verdict
from blfs_mr.core.eligible import Eligible
from blfs_mr.core.job import JobEvent, JobMachine
from blfs_mr.core.reach import Reach
from blfs_mr.core.task import TaskMachine
from blfs_mr.model import AttemptId, Failure, FailureKind, JobId, TaskId, WorkerName

STANDSTILL = 2.0
"""Seconds without any news from a pool that is short before a job that may not drain is failed for it. The
pool's word may cross what just freed a file, and the map that publishes next may be the job's last."""

SECOND_THOUGHTS = 1.0
"""Seconds between a read that failed and the map that is run again for it. A host that cannot read anything,
or a volume that nobody can read, shows within that, and then something else is to be done. A block that was
read and is not sound leaves no such doubt."""

RELOCATES = 5.0
"""Seconds that tasks of a job wait for somebody who can read all its volumes, before maps are run again to
that end. Readers come back sooner than that from a worker's restart."""


@dataclass(slots=True)
class Worker:
    """A registered worker. One that is ``leaving`` is given no more attempts."""

    name: WorkerName
    slots: int
    leaving: bool = False

    def has_room(self, running: int, extra: int = 0) -> bool:
        """Whether one more attempt may start beside ``running``, where it may use ``extra`` slots."""
        return running < self.slots + extra and not self.leaving


class Scheduler:
    """Owns every job from submission to end. ``no_worker_deadline`` is in seconds."""

    def __init__(self, no_worker_deadline: float) -> None:
        self.workers: dict[WorkerName, Worker] = {}
        self.jobs: dict[JobId, JobMachine] = {}
        self.reach, self.blame = Reach(), Blame()
        self._eligible = Eligible(self.workers.keys(), self.reach, self.blame)
        self._suspected: list[tuple[float, e.MapOutputUnreadable]] = []
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
            case e.LeavingAnnounced():
                self.workers[event.worker].leaving = True
                commands = []
            case e.WorkerLost():
                self.reach.left(event.worker)
                self.workers.pop(event.worker, None)
                self._short_since.pop(event.worker, None)
                commands = [cmd for job in list(self.jobs.values()) for cmd in job.handle(event, now)]
            case e.JobSubmitted():
                self.jobs[event.job] = JobMachine(event.job, event.spec, event.splits, self._eligible, now)
                commands = self._look_at_peers()
            case e.JobCancelled():
                job = self.jobs.get(event.job)
                commands = job.handle(event, now) if job else []
            case e.PoolRanShort():
                commands = self._pool_ran_short(event, now)
            case e.MapOutputDrained() | e.DrainFailed():
                job = self.jobs.get(event.output.task.job)
                commands = job.handle(event, now) if job else []
            case e.MapOutputUnreadable():
                commands = self._unreadable(event, now, reporter)
            case e.TimePassed():
                self.blame.pass_time(now)
                commands = self._think_again(now)
                commands += self._look_at_stranded_jobs(now) + self._relieve_pools(now)
            case _:
                commands = self._report(event, now, reporter)
        self._note_changed_pools(event, commands, now)
        self._forget_ended(commands)
        return commands + self._fill_slots()

    # ------------------------------------------------------------ events

    def _worker_joined(self, event: e.WorkerJoined) -> list[c.Command]:
        self.workers[event.worker] = Worker(event.worker, event.slots)
        self.reach.joined(event.worker, event.host, event.volume, event.peers)
        self.blame.joined(event.worker)
        live = tuple(output for output in event.held if output.task.job in self.jobs and self._holds(output))
        return [c.AcceptWorker(event.worker, live)]

    def _look_at_peers(self) -> list[c.Command]:
        """What workers said of their peers' volumes may be old when a job comes to need them."""
        return [c.LookAtPeers(worker) for worker in self.reach.lookers()]

    def _holds(self, output: AttemptId) -> bool:
        return self.jobs[output.task.job].holds(output)

    def _report(self, event: JobEvent, now: float, reporter: WorkerName | None) -> list[c.Command]:
        subject = _subject(event)
        assert subject is not None, f"{event} is not about one attempt"
        job = self.jobs.get(subject.task.job)
        if job is None or (reporter is not None and job.worker_of(subject) != reporter):
            return []
        return job.handle(event, now)

    def _unreadable(
        self, event: e.MapOutputUnreadable, now: float, reporter: WorkerName | None
    ) -> list[c.Command]:
        """A reader has failed: is it itself to blame, the volume, or this output?"""
        job = self.jobs.get(event.reader.task.job)
        if job is None:
            return []
        reader, owner = job.worker_of(event.reader), job.volume_of(event)
        if reader is None or (reporter is not None and reader != reporter):
            return []
        if owner is None:
            return job.run_again(event, now) if job.is_read_by(event.reader) else []
        if (problem := self.reach.problem(reader, owner)) and job.ground.can_do_without(reader):
            return job.move_reduces(reader, problem)
        match self.blame.failed(reader, owner, event.reason, now):
            case Verdict.VOLUME:
                return [
                    command
                    for owner, why in self.blame.volumes.items()
                    for each in list(self.jobs.values())
                    for command in each.abandon_volume(owner, why, now)
                ]
            case Verdict.READER:
                why = self.blame.readers[reader]
                moved = [x for each in self.jobs.values() for x in each.move_reduces(reader, why)]
                if job.ground.can_do_without(reader):
                    return moved
        if event.corrupt:
            return job.run_again(event, now)
        self._suspected.append((now + SECOND_THOUGHTS, event))
        return []

    def _think_again(self, now: float) -> list[c.Command]:
        """Run maps again whose outputs could not be read, where nothing else was found to blame."""
        due = [event for at, event in self._suspected if at <= now]
        self._suspected = [(at, event) for at, event in self._suspected if at > now]
        commands: list[c.Command] = []
        for event in due:
            job = self.jobs.get(event.reader.task.job)
            reader = job.worker_of(event.reader) if job is not None else None
            if job is None or reader is None:
                continue
            # One that was given up since has left the question to the next reader, if there is another.
            if job.is_read_by(event.reader) or not job.ground.can_do_without(reader):
                commands += job.run_again(event, now)
        return commands

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
            holders = [job for job in self._holders(worker) if not job.spec.settings.draining]
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
                if worker.has_room(self.running_on(worker.name))
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

    def _look_at_stranded_jobs(self, now: float) -> list[c.Command]:
        """Help jobs with a task that may go to no worker, and fail them after the whole deadline."""
        before, self._stranded_since = self._stranded_since, {}
        commands: list[c.Command] = []
        newly = False
        for job in self.jobs.values():
            first: TaskMachine | None = None
            longest = 0.0
            for task in job.stranded():
                newly = newly or task.id not in before
                since = self._stranded_since[task.id] = before.get(task.id, now)
                if first is None or now - since > longest:
                    first, longest = task, now - since
            if first is not None and longest >= self._no_worker_deadline:
                why = job.ground.why_stranded(first, self._no_worker_deadline)
                commands += job.fail(Failure(FailureKind.WORKER_LOST, why), now)
            elif first is not None and longest >= RELOCATES and self.workers:
                commands += job.relocate(now)
        return commands + (self._look_at_peers() if newly else [])

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
            free = [
                worker.name for worker in self.workers.values() if worker.has_room(load[worker.name], extra)
            ]
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
