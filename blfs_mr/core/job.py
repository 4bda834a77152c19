"""One job: its tasks, its published map outputs, and the way to its end.

State is kept per map output, never per (map, partition): a reducer finds its segment through the index
in the shared file itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import assert_never

from blfs_mr.core import commands as c
from blfs_mr.core import events as e
from blfs_mr.core.draining import Draining
from blfs_mr.core.eligible import Eligible
from blfs_mr.core.ground import Ground
from blfs_mr.core.homes import Homes
from blfs_mr.core.map_outputs import MapOutputs
from blfs_mr.core.placement import PendingTasks, candidates, is_stranded
from blfs_mr.core.reconciliation import Reconciliation
from blfs_mr.core.states import JOB_TRANSITIONS, AttemptStep, JobState, JobStep, advance
from blfs_mr.core.task import Attempt, TaskMachine
from blfs_mr.errors import InvalidTransition
from blfs_mr.model import (
    MAP_PEAK,
    REDUCE_PEAK,
    AttemptId,
    Counters,
    Failure,
    FailureKind,
    InputSplit,
    JobId,
    JobSpec,
    MapOutput,
    OutputPart,
    TaskId,
    TaskKind,
    WorkerName,
)

JobEvent = (
    e.JobCancelled
    | e.AttemptLaunched
    | e.MapOutputWritten
    | e.OutputWritten
    | e.OutputCommitted
    | e.AttemptFailed
    | e.AttemptRequeued
    | e.MapOutputDrained
    | e.DrainFailed
    | e.WorkerLost
)


PEAKS = frozenset({MAP_PEAK, REDUCE_PEAK})
"""Counters of which the highest is the job's."""


class JobMachine:
    """A job from submission to its end. ``handle`` and ``start`` return what is to be done, in order."""

    def __init__(
        self,
        job: JobId,
        spec: JobSpec,
        splits: Sequence[InputSplit],
        eligible: Eligible,
        now: float,
    ) -> None:
        """``eligible`` is the scheduler's own, ever current."""
        self.id, self.spec, self.submitted_at = job, spec, now
        self._alive = eligible.alive
        self.state = JobState.MAPPING
        self.story: list[str] = []
        self.maps = [TaskMachine(TaskId(job, TaskKind.MAP, i), split) for i, split in enumerate(splits)]
        self.reduces = [
            TaskMachine(TaskId(job, TaskKind.REDUCE, i)) for i in range(spec.settings.reduce_tasks)
        ]
        self.pending_maps, self.pending_reduces = PendingTasks(), PendingTasks()
        for task in self.maps:
            self.pending_maps.add(task)
        for task in self.reduces:
            self.pending_reduces.add(task)
        self.outputs = MapOutputs()
        self.ground = Ground(eligible, self.outputs)
        self.parts: dict[int, OutputPart] = {}
        self.running_on = Counter[WorkerName]()
        self._granted: dict[AttemptId, e.OutputWritten] = {}
        self._records = Reconciliation(len(self.maps))
        homes = Homes(self.reduces, self.pending_reduces, self.ground.reducers)
        self._draining = Draining(self.outputs, homes, self._let_read, self._release)
        self._counters_of: dict[TaskId, Counters] = {}
        self._attempts_failed = 0
        self._ever_prepared: set[WorkerName] = set()
        self._prepared: set[WorkerName] = set()
        self._reading: set[WorkerName] = set()
        if not self.maps:
            self._step(JobStep.MAPS_DONE)

    # ------------------------------------------------------------ what the scheduler asks

    @property
    def over(self) -> bool:
        return self.state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)

    @property
    def progress(self) -> c.ReportProgress:
        """How far it is."""
        return c.ReportProgress(
            self.id, len(self.outputs), len(self.maps), len(self.parts), len(self.reduces), self.running
        )

    @property
    def running(self) -> int:
        """How many attempts hold a slot."""
        return self.running_on.total()

    def worker_of(self, attempt: AttemptId) -> WorkerName | None:
        """Where ``attempt`` was started; None when there never was such an attempt."""
        task = self._task(attempt.task)
        started = task.attempt(attempt.number) if task else None
        return started.worker if started else None

    @property
    def waits_for_lost_maps(self) -> bool:
        """Whether reduce attempts hold slots while a map task waits for one.

        Such a map must not queue behind the very reduces that wait for it.
        """
        reduces_running = len(self.reduces) - len(self.pending_reduces) - len(self.parts)
        return bool(self.pending_maps) and reduces_running > 0

    @property
    def has_pending(self) -> bool:
        """Whether any task waits for a slot."""
        return bool(self.pending_maps or self.pending_reduces)

    def next_task(self, worker: WorkerName) -> TaskMachine | None:
        """The task that ``worker`` should run next. Reduces wait until no map waits for a slot."""
        if self.pending_maps:
            return self.pending_maps.next_for(worker, self.ground.tiers(TaskKind.MAP))
        return self.pending_reduces.next_for(worker, self.ground.tiers(TaskKind.REDUCE))

    def holds(self, output: AttemptId) -> bool:
        """Whether readers of this job may still need the shared files of ``output``."""
        return not self.over and self.outputs.needs_files(output)

    def occupies(self, worker: WorkerName) -> bool:
        """Whether map outputs of this job hold shared files of ``worker``'s volume."""
        return self.outputs.occupy(worker)

    def moves_without(self, short: Collection[WorkerName], slots_on: Collection[WorkerName]) -> bool:
        """Whether this job goes on although nobody gets a shared file on the workers ``short``.

        Tasks that wait for a slot will find one on the workers ``slots_on``.
        """
        if self._draining.under_way:
            return True
        if any(a.worker not in short for task in self.maps for a in task.active_attempts()):
            return True
        if self.state is JobState.MAPPING:
            tiers = self.ground.tiers(TaskKind.MAP)
            return any(candidates(task, tiers) & set(slots_on) - set(short) for task in self.pending_maps)
        if any(task.active_attempts() for task in self.reduces):
            return True
        tiers = self.ground.tiers(TaskKind.REDUCE)
        return any(candidates(task, tiers) & set(slots_on) for task in self.pending_reduces)

    def stranded(self) -> Iterator[TaskMachine]:
        """The pending tasks that may go to no worker."""
        for pending, kind in ((self.pending_maps, TaskKind.MAP), (self.pending_reduces, TaskKind.REDUCE)):
            tiers = self.ground.tiers(kind)
            yield from (task for task in pending if is_stranded(task, tiers))

    def start(self, task: TaskMachine, worker: WorkerName) -> list[c.Command]:
        """A new attempt of ``task`` on ``worker``."""
        self._pending(task).remove(task)
        attempt = task.start(worker)
        self.running_on[worker] += 1
        self.ground.count(task.id.kind, worker, 1)
        if task.split is not None:
            return [*self._prepare(worker), c.LaunchMap(worker, attempt.id, task.split)]
        return [*self._let_read(worker), c.LaunchReduce(worker, attempt.id)]

    def _prepare(self, worker: WorkerName) -> list[c.Command]:
        commands: list[c.Command] = []
        if worker not in self._prepared:
            self._prepared.add(worker)
            self._ever_prepared.add(worker)
            commands.append(c.PrepareJob(worker, self.id, self.spec, len(self.maps)))
        return commands

    def _let_read(self, worker: WorkerName) -> list[c.Command]:
        """Have ``worker`` know where the map outputs are, from now on."""
        commands = self._prepare(worker)
        if worker not in self._reading:
            self._reading.add(worker)
            commands += [c.PublishMapOutput(worker, output) for output in self.outputs.current.values()]
        return commands

    # ------------------------------------------------------------ what happened

    def handle(self, event: JobEvent, now: float) -> list[c.Command]:
        """What ``event`` calls for: nothing if it is of an attempt that never was, or the job is over."""
        if self.over:
            return []
        match event:
            case e.JobCancelled():
                return self._end(
                    JobStep.CANCELLED, Failure(FailureKind.USER_CODE, f"cancelled: {event.reason}"), now
                )
            case e.WorkerLost():
                return self._worker_lost(event, now)
            case e.MapOutputDrained():
                return self._draining.copied(event)
            case e.DrainFailed():
                return self._drain_failed(event, now)
            case e.MapOutputWritten():
                attempt_id = event.output.attempt
            case _:
                attempt_id = event.attempt
        task = self._task(attempt_id.task)
        attempt = task.attempt(attempt_id.number) if task else None
        if task is None or attempt is None:
            return []
        match event:
            case e.AttemptLaunched():
                task.report(attempt, AttemptStep.LAUNCHED)
                return []
            case e.MapOutputWritten():
                return self._map_output_written(task, attempt, event)
            case e.OutputWritten():
                return self._output_written(task, attempt, event, now)
            case e.OutputCommitted():
                return self._output_committed(task, attempt, event, now)
            case e.AttemptFailed():
                return self._attempt_failed(task, attempt, event.failure, now)
            case e.AttemptRequeued():
                return self._attempt_requeued(task, attempt)
            case _:
                assert_never(event)

    def fail(self, failure: Failure, now: float) -> list[c.Command]:
        """End the job without a result."""
        return self._end(JobStep.FAILED, failure, now)

    # ------------------------------------------------------------ draining

    def relieve(self, owner: WorkerName) -> list[c.Command]:
        """Free shared files of ``owner``'s volume: those of lost outputs, and others by draining."""
        commands = self._release(self.outputs.give_away_lost(owner))
        if self.spec.settings.draining:
            commands += self._draining.drain(owner)
        return commands

    def why_the_pool_is_too_small(self, owner: WorkerName) -> str:
        """What pool the job would need without draining, for a person. It occupies ``owner``'s volume."""
        files, size = self.outputs.files_needed(len(self.maps))
        return (
            f"the pool of shared files on {owner} is full, and draining is not allowed: "
            f"{len(self.outputs)} of {len(self.maps)} map outputs are written; all of them would need about "
            f"{files} shared files of {size >> 10} KiB, {files * size >> 20} MiB in all: set "
            "worker.shared_files or worker.shared_file_size higher on the workers, or allow draining"
        )

    def _drain_failed(self, event: e.DrainFailed, now: float) -> list[c.Command]:
        if not self._draining.failed(event):
            return self._draining.do_without(event.output)
        why = f"{event.worker} cannot drain it: {event.failure.summary}"
        if event.failure.kind is FailureKind.DATA:
            return self._lose_output(event.output, Failure(FailureKind.STORAGE, why), now)
        if event.failure.kind is FailureKind.PROCESS:
            again = self._draining.retry(event, self.spec.settings.max_attempts)
            if again:
                return again
        return self.fail(replace(event.failure, summary=f"{event.output}: {why}"), now)

    def _lose_home(self, worker: WorkerName) -> list[c.Command]:
        """What ``worker`` had drained counts no more: maps run again whose files were given away."""
        lost, again = self._draining.lose(worker, worker in self._alive)
        for output in lost:
            task = self.maps[output.attempt.task.index]
            self.outputs.lose(output.attempt)
            self._step(JobStep.MAP_OUTPUT_LOST)
            task.lose_output(None)
            self.pending_maps.add(task)
        # Only now, since it tells new homes of all outputs that are current.
        return self._draining.start(again)

    # ------------------------------------------------------------ map side

    def _map_output_written(
        self, task: TaskMachine, attempt: Attempt, event: e.MapOutputWritten
    ) -> list[c.Command]:
        if event.output.worker != attempt.worker:
            told = f"an output on {event.output.worker}"
            raise InvalidTransition(str(attempt.id), attempt.state.value, told, tuple(task.story))
        if not task.report(attempt, AttemptStep.OUTPUT_PUBLISHED):
            return [] if self.holds(attempt.id) else [c.ReleaseMapOutput(attempt.worker, attempt.id)]
        self._free_slot(attempt)
        task.succeed(attempt)
        replaced = self.outputs.publish(event.output)
        self._records.publish(event.output)
        self._counters_of[task.id] = event.counters
        commands: list[c.Command] = [
            c.PublishMapOutput(worker, event.output) for worker in sorted(self._reading)
        ]
        if replaced is not None:
            # Whoever still reads it finds out by its checks, and takes the new one.
            commands += self._release([replaced])
        if len(self.outputs) == len(self.maps):
            self._step(JobStep.MAPS_DONE)
        return [*commands, self.progress]

    def run_again(self, event: e.MapOutputUnreadable, now: float) -> list[c.Command]:
        """Run the map again whose output could not be read, unless that is under way already."""
        if self.over or not self.outputs.is_current(event.output):
            return []
        why = f"its output cannot be read by {event.reader}: {event.reason}"
        return self._lose_output(event.output, Failure(FailureKind.STORAGE, why), now)

    def is_read_by(self, reader: AttemptId) -> bool:
        """Whether the reduce attempt is under way still."""
        task = self._task(reader.task)
        attempt = task.attempt(reader.number) if task else None
        return not self.over and attempt is not None and attempt.active

    def volume_of(self, event: e.MapOutputUnreadable) -> WorkerName | None:
        """On whose volume an output lies that could not be read; None where that is nobody's matter now.

        It is not, when the map runs again already, when the reader was given up, or when a copy was read.
        """
        if not self.is_read_by(event.reader) or not self.outputs.needs_files(event.output):
            return None
        return self.outputs.current[event.output.task.index].worker

    def move_reduces(self, reader: WorkerName, why: str) -> list[c.Command]:
        """The reduce attempts on ``reader`` go to others, uncounted, unless nobody else could run them."""
        if self.over or not self.ground.can_do_without(reader):
            return []
        failure = Failure(FailureKind.STORAGE, f"moved away from {reader}: {why}")
        commands: list[c.Command] = []
        for task in self.reduces:
            for attempt in task.active_attempts():
                # One that was granted its commit has read all that it needs.
                if attempt.worker == reader and task.home is None and attempt.id not in self._granted:
                    commands += self._take_back(task, attempt, failure)
        return commands

    def abandon_volume(self, owner: WorkerName, why: str, now: float) -> list[c.Command]:
        """What lies on the volume of ``owner``, or is being written there, is made again elsewhere."""
        failure = Failure(FailureKind.STORAGE, f"the volume of {owner} is quarantined: {why}")
        commands: list[c.Command] = []
        for task in self.maps:
            for attempt in task.active_attempts():
                if attempt.worker == owner:
                    commands += self._take_back(task, attempt, failure)
        return commands + self._lose_outputs(self.outputs.on(owner), failure, now)

    def relocate(self, now: float) -> list[c.Command]:
        """Of a job that is stranded: make again what those who should reduce cannot read.

        First come homes that cannot read what is left to be read: the copies that were drained there are
        given up. Then come volumes, as far as their maps can be run where the outputs will be read.
        """
        able = set(self.ground.reducers())
        homes = {task.home for task in self.pending_reduces if task.home is not None}
        if blind := homes - able:
            return [command for home in sorted(blind) for command in self._lose_home(home)]
        owners_unread, owners = self.ground.to_be_brought_together()
        unread = [
            output
            for owner in sorted(owners_unread)
            for output in self.outputs.on(owner)
            if candidates(self.maps[output.attempt.task.index], (owners,))
        ]
        failure = Failure(FailureKind.STORAGE, "its output cannot be read where the reduce tasks can run")
        return self._lose_outputs(unread, failure, now)

    def _lose_outputs(self, outputs: Sequence[MapOutput], failure: Failure, now: float) -> list[c.Command]:
        commands: list[c.Command] = []
        for output in outputs:
            if not self.over:
                commands += self._lose_output(output.attempt, failure, now)
        return commands

    def _take_back(self, task: TaskMachine, attempt: Attempt, failure: Failure) -> list[c.Command]:
        """End an attempt that is not to blame, and let the task be tried elsewhere."""
        task.report(attempt, AttemptStep.FENCED)
        self._free_slot(attempt)
        task.retry(None)
        task.failed_on.add(attempt.worker)
        self._pending(task).add(task)
        return [
            c.AbortAttempt(attempt.worker, attempt.id),
            c.ReportAttemptFailed(attempt.id, attempt.worker, failure, will_retry=True),
        ]

    def _lose_output(self, output: AttemptId, failure: Failure, now: float) -> list[c.Command]:
        """A current map output cannot be read: its map runs again."""
        task = self.maps[output.task.index]
        lost = self.outputs.lose(output)
        self._draining.forget(output)
        self._step(JobStep.MAP_OUTPUT_LOST)
        task.lose_output(lost.worker)
        self._attempts_failed += 1
        if self._exhausted(task, failure):
            return self._give_up(task, lost.attempt, lost.worker, failure, now)
        self.pending_maps.add(task)
        return [c.ReportAttemptFailed(lost.attempt, lost.worker, failure, will_retry=True)]

    # ------------------------------------------------------------ reduce side

    def _output_written(
        self, task: TaskMachine, attempt: Attempt, event: e.OutputWritten, now: float
    ) -> list[c.Command]:
        if not task.report(attempt, AttemptStep.COMMIT_REQUESTED):
            return [c.AbortAttempt(attempt.worker, attempt.id)]
        wrong = self._records.what_is_wrong(attempt.id, event.consumed)
        if wrong:
            return self._end(JobStep.FAILED, Failure(FailureKind.INTERNAL, wrong), now)
        self._granted[attempt.id] = event
        return [c.GrantCommit(attempt.worker, attempt.id)]

    def _output_committed(
        self, task: TaskMachine, attempt: Attempt, event: e.OutputCommitted, now: float
    ) -> list[c.Command]:
        if not task.report(attempt, AttemptStep.COMMITTED):
            return []
        self._free_slot(attempt)
        task.succeed(attempt)
        self.parts[task.id.index] = event.part
        granted = self._granted.pop(attempt.id)
        self._counters_of[task.id] = granted.counters
        self._records.commit(granted.consumed)
        if len(self.parts) < len(self.reduces):
            return [self.progress]
        lost = self._records.records_lost()
        if lost:
            return self._end(JobStep.FAILED, Failure(FailureKind.INTERNAL, lost), now)
        return [self.progress, *self._end(JobStep.REDUCES_DONE, None, now)]

    # ------------------------------------------------------------ failures

    def _attempt_failed(
        self, task: TaskMachine, attempt: Attempt, failure: Failure, now: float
    ) -> list[c.Command]:
        if not task.report(attempt, AttemptStep.FAILED):
            return []
        self._free_slot(attempt)
        self._attempts_failed += 1
        task.retry(attempt.worker)
        if failure.kind is FailureKind.POOL:
            task.too_large_for.add(attempt.worker)
        if self._exhausted(task, failure):
            return self._give_up(task, attempt.id, attempt.worker, failure, now)
        self._pending(task).add(task)
        return [c.ReportAttemptFailed(attempt.id, attempt.worker, failure, will_retry=True)]

    def _attempt_requeued(self, task: TaskMachine, attempt: Attempt) -> list[c.Command]:
        if task.report(attempt, AttemptStep.FENCED):
            self._free_slot(attempt)
            task.retry(None)
            self._pending(task).add(task)
        return []

    def _worker_lost(self, event: e.WorkerLost, now: float) -> list[c.Command]:
        """Its running attempts go elsewhere; what it published stands as long as its volume can be read."""
        self._prepared.discard(event.worker)
        self._reading.discard(event.worker)
        # When it is back it is told to keep none of them, so that nobody has to release them.
        self.outputs.give_away_lost(event.worker)
        commands: list[c.Command] = []
        failure = Failure(FailureKind.WORKER_LOST, f"worker {event.worker} was lost: {event.reason}")
        for task in (*self.maps, *self.reduces):
            for attempt in task.active_attempts():
                if attempt.worker != event.worker:
                    continue
                task.report(attempt, AttemptStep.FENCED)
                self._free_slot(attempt)
                self._attempts_failed += 1
                task.retry(event.worker)
                if self._exhausted(task, failure):
                    return commands + self._give_up(task, attempt.id, event.worker, failure, now)
                self._pending(task).add(task)
                commands.append(c.ReportAttemptFailed(attempt.id, event.worker, failure, will_retry=True))
        return commands + self._lose_home(event.worker)

    def _exhausted(self, task: TaskMachine, failure: Failure) -> bool:
        """Whether another attempt is pointless. Volumes differ: each one may turn out to be large enough."""
        tiers = self.ground.tiers(task.id.kind)
        if failure.kind is FailureKind.POOL and not candidates(task, tiers) - task.too_large_for:
            return True
        return task.failures >= self.spec.settings.max_attempts

    def _give_up(
        self, task: TaskMachine, attempt: AttemptId, worker: WorkerName, failure: Failure, now: float
    ) -> list[c.Command]:
        task.give_up()
        times = "once" if task.failures == 1 else f"{task.failures} times"
        ended = Failure(
            failure.kind,
            f"{task.id} failed {times}, the last time on {worker}: {failure.summary}",
            failure.traceback,
            failure.record,
            failure.log_tail,
        )
        return [
            c.ReportAttemptFailed(attempt, worker, failure, will_retry=False),
            *self._end(JobStep.FAILED, ended, now),
        ]

    # ------------------------------------------------------------ the end

    def _end(self, step: JobStep, failure: Failure | None, now: float) -> list[c.Command]:
        self._step(step)
        commands: list[c.Command] = []
        for task in (*self.maps, *self.reduces):
            for attempt in task.active_attempts():
                task.report(attempt, AttemptStep.FENCED)
                if attempt.worker in self._alive:
                    commands.append(c.AbortAttempt(attempt.worker, attempt.id))
        self.running_on.clear()
        self.ground.clear()
        # A worker that came back keeps the map outputs it was told to, even if it got no task again. One that
        # is gone now learns at its next registration that none of them is needed.
        left = sorted(worker for worker in self._ever_prepared if worker in self._alive)
        commands += [c.CleanUpJob(worker, self.id, keep_output=failure is None) for worker in left]
        parts = tuple(part for _, part in sorted(self.parts.items())) if failure is None else ()
        commands.append(
            c.ReportJobEnded(
                self.id,
                failure,
                parts,
                self._totals(),
                now - self.submitted_at,
                self._attempts_failed,
            )
        )
        return commands

    # ------------------------------------------------------------ small things

    def _free_slot(self, attempt: Attempt) -> None:
        self.running_on[attempt.worker] -= 1
        self.ground.count(attempt.id.task.kind, attempt.worker, -1)

    def _release(self, outputs: Iterable[MapOutput]) -> list[c.Command]:
        """Nobody needs the shared files of ``outputs``. A worker that is gone learns it when it is back."""
        return [c.ReleaseMapOutput(o.worker, o.attempt) for o in outputs if o.worker in self._alive]

    def _totals(self) -> Counters:
        """Sums over all tasks; of peaks, the highest."""
        totals = Counter[str]()
        for counters in self._counters_of.values():
            for name, value in counters.items():
                totals[name] = max(totals[name], value) if name in PEAKS else totals[name] + value
        return dict(sorted(totals.items()))

    def _task(self, task: TaskId) -> TaskMachine | None:
        tasks = self.maps if task.kind is TaskKind.MAP else self.reduces
        return tasks[task.index] if 0 <= task.index < len(tasks) else None

    def _pending(self, task: TaskMachine) -> PendingTasks:
        return self.pending_maps if task.id.kind is TaskKind.MAP else self.pending_reduces

    def _step(self, step: JobStep) -> None:
        self.state = advance(JOB_TRANSITIONS, f"job {self.id}", self.state, step, self.story)
