"""One task: its attempts, which of them counts, and whether another one is owed.

A task is done by exactly one attempt. Everything that an attempt reports passes through
``core.states``; what a fenced attempt says changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from blfs_mr.core.states import (
    ATTEMPT_OVER,
    ATTEMPT_TRANSITIONS,
    FOREIGN_STEPS,
    TASK_TRANSITIONS,
    AttemptState,
    AttemptStep,
    TaskState,
    TaskStep,
    advance,
)
from blfs_mr.errors import InvalidTransition
from blfs_mr.model import AttemptId, InputSplit, TaskId, WorkerName


@dataclass(slots=True)
class Attempt:
    """One try, on one worker."""

    id: AttemptId
    worker: WorkerName
    state: AttemptState = AttemptState.LAUNCHING

    @property
    def active(self) -> bool:
        """Whether it holds a task slot."""
        return self.state not in ATTEMPT_OVER


@dataclass(slots=True)
class TaskMachine:
    """A task's state, and the attempts behind it. ``split`` is None for a reduce task.

    ``too_large_for`` names the workers whose pool of shared files turned out too small for it.
    """

    id: TaskId
    split: InputSplit | None = None
    home: WorkerName | None = None
    state: TaskState = TaskState.PENDING
    attempts: dict[int, Attempt] = field(default_factory=dict)
    failures: int = 0
    failed_on: set[WorkerName] = field(default_factory=set)
    too_large_for: set[WorkerName] = field(default_factory=set)
    succeeded: Attempt | None = None
    story: list[str] = field(default_factory=list)

    @property
    def holders(self) -> tuple[WorkerName, ...]:
        """The only workers that can run it; empty when all can."""
        if self.split is not None:
            return self.split.holders
        return (self.home,) if self.home is not None else ()

    def attempt(self, number: int) -> Attempt | None:
        """The attempt of that number, None when there never was one."""
        return self.attempts.get(number)

    def start(self, worker: WorkerName) -> Attempt:
        """A new attempt on ``worker``; its number was never used before."""
        self._step(TaskStep.ATTEMPT_STARTED)
        attempt = Attempt(AttemptId(self.id, len(self.attempts) + 1), worker)
        self.attempts[attempt.id.number] = attempt
        self.story.append(f"{attempt.id} on {worker}")
        return attempt

    def report(self, attempt: Attempt, step: AttemptStep) -> bool:
        """Move the attempt by what was reported of it; False when it was over already.

        Raises InvalidTransition for what no attempt of this kind of task, or none in this state, can report.
        """
        if step in FOREIGN_STEPS[self.id.kind]:
            raise InvalidTransition(str(attempt.id), attempt.state.value, step.value, tuple(self.story))
        before = attempt.state
        attempt.state = advance(ATTEMPT_TRANSITIONS, attempt.id, attempt.state, step, self.story)
        return attempt.state is not before

    def succeed(self, attempt: Attempt) -> None:
        """``attempt`` is the one whose result counts."""
        self._step(TaskStep.ATTEMPT_SUCCEEDED)
        self.succeeded = attempt

    def retry(self, worker: WorkerName | None) -> None:
        """The attempt is over without a result. ``worker`` is to be avoided; None if nobody is to blame."""
        self._step(TaskStep.ATTEMPT_LOST)
        self._blame(worker)

    def lose_output(self, worker: WorkerName | None) -> None:
        """What the successful attempt left on ``worker``'s volume cannot be read any more."""
        self._step(TaskStep.OUTPUT_LOST)
        self.succeeded = None
        self._blame(worker)

    def give_up(self) -> None:
        """No further attempt will be made."""
        self._step(TaskStep.GIVEN_UP)

    def active_attempts(self) -> list[Attempt]:
        """The attempts that hold a slot now."""
        return [attempt for attempt in self.attempts.values() if attempt.active]

    def _blame(self, worker: WorkerName | None) -> None:
        if worker is not None:
            self.failures += 1
            self.failed_on.add(worker)

    def _step(self, step: TaskStep) -> None:
        self.state = advance(TASK_TRANSITIONS, self.id, self.state, step, self.story)
