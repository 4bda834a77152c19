"""The transition tables, cell by cell, against what each state can meaningfully hear.

The expectations are written down a second time, in another shape, so that a cell that is added, dropped or
redirected by mistake is a difference between two texts.
"""

from __future__ import annotations

import itertools

import pytest

from blfs_mr.core.states import (
    ATTEMPT_TRANSITIONS,
    FOREIGN_STEPS,
    JOB_TRANSITIONS,
    TASK_TRANSITIONS,
    AttemptState,
    AttemptStep,
    JobState,
    JobStep,
    TaskState,
    TaskStep,
    advance,
)
from blfs_mr.core.task import TaskMachine
from blfs_mr.errors import InvalidTransition
from blfs_mr.model import JobId, TaskId, TaskKind, WorkerName

# One row per state: where each step leads, in the order of the step's enum; "-" is a missing cell.
ATTEMPTS = """
             launched    output published  commit requested  committed  failed     fenced
launching    running     succeeded         committing        -          failed     fenced
running      -           succeeded         committing        -          failed     fenced
committing   committing  -                 -                 succeeded  failed     fenced
succeeded    succeeded   succeeded         succeeded         succeeded  succeeded  succeeded
failed       failed      failed            failed            failed     failed     failed
fenced       fenced      fenced            fenced            fenced     fenced     fenced
"""
TASKS = """
             attempt started  attempt succeeded  attempt lost  output lost  given up
pending      running          -                  -             -            failed
running      -                succeeded          pending       -            -
succeeded    -                -                  -             pending      -
failed       -                -                  -             -            -
"""
JOBS = """
             maps done  map output lost  reduces done  failed  cancelled
mapping      reducing   mapping          succeeded     failed  cancelled
reducing     -          mapping          succeeded     failed  cancelled
succeeded    -          -                -             -       -
failed       -          -                -             -       -
cancelled    -          -                -             -       -
"""


def cells(drawn: str) -> dict[tuple[str, str], str]:
    """The table that ``drawn`` shows."""
    heading, *rows = drawn.strip("\n").splitlines()
    steps = [step.strip() for step in heading.split("  ") if step.strip()]
    table = {}
    for row in rows:
        state, *following = row.split()
        table |= {(state, step): to for step, to in zip(steps, following, strict=True) if to != "-"}
    return table


TABLES = [
    pytest.param(ATTEMPT_TRANSITIONS, ATTEMPTS, AttemptState, AttemptStep, id="attempts"),
    pytest.param(TASK_TRANSITIONS, TASKS, TaskState, TaskStep, id="tasks"),
    pytest.param(JOB_TRANSITIONS, JOBS, JobState, JobStep, id="jobs"),
]


@pytest.mark.parametrize(("table", "drawn", "states", "steps"), TABLES)
def test_every_cell_is_as_drawn_and_no_other_cell_exists(table, drawn, states, steps):
    assert {(a.value, b.value): to.value for (a, b), to in table.items()} == cells(drawn)


@pytest.mark.parametrize(("table", "drawn", "states", "steps"), TABLES)
def test_a_missing_cell_raises_with_the_story_and_leaves_the_story_alone(table, drawn, states, steps):
    for state, step in itertools.product(states, steps):
        story = ["first this", "then that"]
        if (state, step) in table:
            assert advance(table, "it", state, step, story) is table[state, step]
            assert story[2:] == [f"{state.value} -> {table[state, step].value} by {step.value}"]
            continue
        with pytest.raises(InvalidTransition, match="first this\n  then that") as raised:
            advance(table, "it", state, step, story)
        assert (raised.value.state, raised.value.event) == (state.value, step.value)
        assert raised.value.story == ("first this", "then that")
        assert len(story) == 2


@pytest.mark.parametrize("kind", TaskKind)
@pytest.mark.parametrize("state", AttemptState)
def test_what_only_the_other_kind_of_task_can_report_raises_in_every_state(kind, state):
    task = TaskMachine(TaskId(JobId("j"), kind, 0))
    attempt = task.start(WorkerName("w"))
    attempt.state = state
    for step in FOREIGN_STEPS[kind]:
        with pytest.raises(InvalidTransition, match="on w"):
            task.report(attempt, step)
    assert attempt.state is state


def test_maps_publish_and_reduces_commit():
    assert FOREIGN_STEPS[TaskKind.REDUCE] == {AttemptStep.OUTPUT_PUBLISHED}
    assert FOREIGN_STEPS[TaskKind.MAP] == {AttemptStep.COMMIT_REQUESTED, AttemptStep.COMMITTED}
