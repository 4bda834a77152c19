"""Several jobs as one program: each step reads what the one before it has written.

::

    class TopWords(Steps):
        steps = [CountWords, KeepTheMostFrequent]

A step is an ordinary job class. From the second on, ``map`` gets the ``(key, value)`` tuples that the step
before yielded, with their very types. The input format is the first step's, the output format the last one's.
"""

from __future__ import annotations

from collections.abc import Sequence

from blfs_mr.job.api import Job, overrides, problem_with

MAX_STEPS = 100
"""Steps of one program. More are a list made by mistake: each costs a round of all map and reduce tasks."""


class Steps:
    """Subclass this, and list job classes in ``steps``. The same class may stand there more than once."""

    steps: Sequence[type[Job]] = ()


def is_steps_class(value: object) -> bool:
    """Tell whether ``value`` is a program of steps."""
    return isinstance(value, type) and issubclass(value, Steps) and value is not Steps


def problem_with_steps(steps_class: type[Steps]) -> str | None:
    """Return, in one sentence, why ``steps_class`` cannot be run; None if it can."""
    name, steps = steps_class.__name__, steps_class.steps
    if not isinstance(steps, list | tuple) or not 1 <= len(steps) <= MAX_STEPS:
        return f"{name}.steps must be a list of 1 to {MAX_STEPS} job classes"
    for number, step in enumerate(steps, start=1):
        if not (isinstance(step, type) and issubclass(step, Job)):
            return f"{name}.steps: number {number}, {step!r}, is not a subclass of Job"
        if problem := problem_with(step):
            return problem
        if number > 1 and overrides(step, "input_format"):
            return (
                f"{step.__name__}.input_format: as step {number} of {name} it gets the pairs of the step "
                "before; only the first step states an input format"
            )
        if number < len(steps) and overrides(step, "output_format"):
            return (
                f"{step.__name__}.output_format: as step {number} of {name} it hands its pairs to the next "
                "step; only the last step states an output format"
            )
    return None
