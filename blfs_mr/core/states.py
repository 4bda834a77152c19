"""Every state of attempts, tasks and jobs, and every transition between them, as literal tables.

Nothing else moves a state. A cell that is missing means that the event cannot happen there; should it
happen all the same, :func:`advance` raises with the story, because a scheduler that guesses loses data.

A report of an attempt that is over (it is done, failed, or was fenced because its worker was lost) is no bug:
it is late. Those cells are present and lead nowhere.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeVar

from blfs_mr.errors import InvalidTransition
from blfs_mr.model import TaskKind

State = TypeVar("State", bound=enum.StrEnum)
Step = TypeVar("Step", bound=enum.StrEnum)


class AttemptState(enum.StrEnum):
    LAUNCHING = "launching"
    RUNNING = "running"
    COMMITTING = "committing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    FENCED = "fenced"


class AttemptStep(enum.StrEnum):
    """What moves an attempt."""

    LAUNCHED = "launched"
    OUTPUT_PUBLISHED = "output published"
    COMMIT_REQUESTED = "commit requested"
    COMMITTED = "committed"
    FAILED = "failed"
    FENCED = "fenced"


class TaskState(enum.StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class TaskStep(enum.StrEnum):
    """What moves a task."""

    ATTEMPT_STARTED = "attempt started"
    ATTEMPT_SUCCEEDED = "attempt succeeded"
    ATTEMPT_LOST = "attempt lost"
    OUTPUT_LOST = "output lost"
    GIVEN_UP = "given up"


class JobState(enum.StrEnum):
    MAPPING = "mapping"
    REDUCING = "reducing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobStep(enum.StrEnum):
    """What moves a job."""

    MAPS_DONE = "maps done"
    MAP_OUTPUT_LOST = "map output lost"
    REDUCES_DONE = "reduces done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ATTEMPT_OVER = (AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.FENCED)
"""The states of an attempt that holds no slot any more."""

ATTEMPT_TRANSITIONS: Mapping[tuple[AttemptState, AttemptStep], AttemptState] = {
    (AttemptState.LAUNCHING, AttemptStep.LAUNCHED): AttemptState.RUNNING,
    # A child's own link may be faster than the launcher's word that the child was forked.
    (AttemptState.LAUNCHING, AttemptStep.OUTPUT_PUBLISHED): AttemptState.SUCCEEDED,
    (AttemptState.LAUNCHING, AttemptStep.COMMIT_REQUESTED): AttemptState.COMMITTING,
    (AttemptState.LAUNCHING, AttemptStep.FAILED): AttemptState.FAILED,
    (AttemptState.LAUNCHING, AttemptStep.FENCED): AttemptState.FENCED,
    (AttemptState.RUNNING, AttemptStep.OUTPUT_PUBLISHED): AttemptState.SUCCEEDED,
    (AttemptState.RUNNING, AttemptStep.COMMIT_REQUESTED): AttemptState.COMMITTING,
    (AttemptState.RUNNING, AttemptStep.FAILED): AttemptState.FAILED,
    (AttemptState.RUNNING, AttemptStep.FENCED): AttemptState.FENCED,
    (AttemptState.COMMITTING, AttemptStep.LAUNCHED): AttemptState.COMMITTING,
    (AttemptState.COMMITTING, AttemptStep.COMMITTED): AttemptState.SUCCEEDED,
    (AttemptState.COMMITTING, AttemptStep.FAILED): AttemptState.FAILED,
    (AttemptState.COMMITTING, AttemptStep.FENCED): AttemptState.FENCED,
    # Whatever is said of an attempt that is over is late or said twice. What it published or committed
    # stands, even if its process fell over on its way out; what it failed at is not taken back.
    **{(over, step): over for over in ATTEMPT_OVER for step in AttemptStep},
}

FOREIGN_STEPS: Mapping[TaskKind, frozenset[AttemptStep]] = {
    TaskKind.MAP: frozenset({AttemptStep.COMMIT_REQUESTED, AttemptStep.COMMITTED}),
    TaskKind.REDUCE: frozenset({AttemptStep.OUTPUT_PUBLISHED}),
}
"""What no attempt of that kind of task can report, whatever its state."""

TASK_TRANSITIONS: Mapping[tuple[TaskState, TaskStep], TaskState] = {
    (TaskState.PENDING, TaskStep.ATTEMPT_STARTED): TaskState.RUNNING,
    (TaskState.PENDING, TaskStep.GIVEN_UP): TaskState.FAILED,
    (TaskState.RUNNING, TaskStep.ATTEMPT_SUCCEEDED): TaskState.SUCCEEDED,
    (TaskState.RUNNING, TaskStep.ATTEMPT_LOST): TaskState.PENDING,
    (TaskState.SUCCEEDED, TaskStep.OUTPUT_LOST): TaskState.PENDING,
}

JOB_TRANSITIONS: Mapping[tuple[JobState, JobStep], JobState] = {
    (JobState.MAPPING, JobStep.MAPS_DONE): JobState.REDUCING,
    (JobState.MAPPING, JobStep.MAP_OUTPUT_LOST): JobState.MAPPING,
    # Every reduce had read the output before it was lost.
    (JobState.MAPPING, JobStep.REDUCES_DONE): JobState.SUCCEEDED,
    (JobState.MAPPING, JobStep.FAILED): JobState.FAILED,
    (JobState.MAPPING, JobStep.CANCELLED): JobState.CANCELLED,
    (JobState.REDUCING, JobStep.MAP_OUTPUT_LOST): JobState.MAPPING,
    (JobState.REDUCING, JobStep.REDUCES_DONE): JobState.SUCCEEDED,
    (JobState.REDUCING, JobStep.FAILED): JobState.FAILED,
    (JobState.REDUCING, JobStep.CANCELLED): JobState.CANCELLED,
}


def advance(
    table: Mapping[tuple[State, Step], State], subject: object, state: State, step: Step, story: list[str]
) -> State:
    """The state after ``step``; the step is added to ``story``.

    Raises InvalidTransition, with the story, where the table has no such cell.
    """
    following = table.get((state, step))
    if following is None:
        raise InvalidTransition(str(subject), state.value, step.value, tuple(story))
    story.append(f"{state.value} -> {following.value} by {step.value}")
    return following
