"""What must hold in a simulated world, whatever happens in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from blfs_mr.core import commands as c
from blfs_mr.core import events as e
from blfs_mr.model import AttemptId, FailureKind, JobId, TaskKind, WorkerName

if TYPE_CHECKING:
    from tests.simulation.world import World


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
        self._released: set[AttemptId] = set()

    def may_be_repeated(self, event: e.Event) -> bool:
        """Whether the report would be late: its attempt is over."""
        return subject(event) in self._over

    def missing(self, output: AttemptId) -> None:
        """A reader that was told of ``output`` does not find it: its volume is lost, or it is made again."""
        job = self._world.scheduler.jobs[output.task.job]
        assert output not in self._released or not job.outputs.is_current(output), f"{output} is needed still"

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
                case c.ReleaseMapOutput():
                    self._release(command.output)
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
                assert worker.pool.free == world.size.pool, f"{worker.name} lost shared files"

    def _launch(self, command: c.LaunchMap | c.LaunchReduce, prepared: set[JobId]) -> None:
        attempt = command.attempt
        assert attempt not in self._started, f"{attempt} is used twice"
        assert attempt.task.job in prepared, "launched before it was prepared"
        assert not self._world.workers[command.worker].leaving, f"{attempt} on a worker that leaves"
        self._started.add(attempt)
        if isinstance(command, c.LaunchMap):
            holders = command.split.holders
            assert not holders or command.worker in holders, f"{attempt} is not where its split is"
            assert command.worker not in self._world.scheduler.blame.volumes, "it would write to a bad volume"
        else:
            self._readable(attempt, command.worker)

    def _readable(self, attempt: AttemptId, worker: WorkerName) -> None:
        """A reduce attempt starts only where all that it is to read can be read, by what the worker says."""
        job = self._world.scheduler.jobs.get(attempt.task.job)
        for owner in job.outputs.owners() if job is not None else ():
            problem = self._world.scheduler.reach.problem(worker, owner)
            assert not problem, f"{attempt} on {worker} cannot read the volume of {owner}: {problem}"

    def _grant(self, attempt: AttemptId) -> None:
        assert attempt.task not in self._granted, f"two commits of {attempt.task} at a time"
        self._granted[attempt.task] = attempt

    def _release(self, output: AttemptId) -> None:
        """Of an output that readers are told to read, everybody who will has a copy."""
        self._released.add(output)
        job = self._world.scheduler.jobs.get(output.task.job)
        if job is None or not job.outputs.is_current(output):
            return
        copied: set[int] = set()
        for worker in self._world.workers.values():
            copies = worker.copies.get(output, set())
            copied |= copies
            readers = {
                attempt.task.index
                for attempt in worker.running
                if (attempt.task.job, attempt.task.kind) == (job.id, TaskKind.REDUCE)
                and output.task.index not in worker.consumed.get(attempt, {})
            }
            assert readers <= copies, f"{readers - copies} on {worker.name} have no copy of {output}"
        assert set(range(len(job.reduces))) - set(job.parts) <= copied

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
