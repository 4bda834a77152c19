"""The settings that a job class states as attributes, checked and turned into bytes and seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blfs_mr.errors import JobFileError, UsageError
from blfs_mr.job.api import Job, overrides
from blfs_mr.job.tracebacks import job_file_of
from blfs_mr.units import format_size, parse_duration, parse_size
from blfs_mr.values import dataclass

KIB, MIB = 1024, 1024 * 1024

MAX_REDUCERS = 65_536
"""Each map output has an index entry for every partition, and each partition is a process and a file."""

MIN_MEMORY = 32 * MIB
"""A Python process with the job's imports takes about half of this before it holds a record."""

MIN_BLOCK_SIZE, MAX_BLOCK_SIZE = 4 * KIB, 4 * MIB
"""From one page of the device, to the most that a reader must hold before it can verify a record."""

MAX_ATTEMPTS = 100
"""Beyond this a task that cannot succeed would look like a job that hangs."""


@dataclass(frozen=True, slots=True)
class ClassSettings:
    """What a job class asks for; sizes in bytes, ``task_timeout`` in seconds (0: no limit).

    A setting that the class does not state has the value of :class:`Job`; ``overrides(job_class, name)``
    tells which those are.
    """

    reducers: int | None
    memory: int
    block_size: int
    max_attempts: int
    task_timeout: float
    input_format: str
    output_format: str
    compression: str
    sort_values: bool
    total_order: bool


Check = Callable[[str], object]
"""Raises :class:`UsageError` for a name that nothing here goes by, or that cannot be used here."""


def read_settings(
    job_class: type[Job], *, input_format: Check, output_format: Check, compression: Check
) -> ClassSettings:
    """Check the settings of ``job_class``; the arguments check the names of formats and codecs.

    Raises :class:`JobFileError` with every problem at once, each naming the attribute and what is allowed.
    """
    problems: list[str] = []

    def setting(name: str, parse: Callable[[Any], Any]) -> Any:
        given = getattr(job_class, name)
        try:
            return parse(given)
        except ValueError as error:
            problems.append(f"{job_class.__name__}.{name} = {given!r}: {error}")
            return None

    settings = ClassSettings(
        reducers=setting("reducers", _reducers),
        memory=setting("memory", lambda given: _size(given, MIN_MEMORY, None)),
        block_size=setting("block_size", lambda given: _size(given, MIN_BLOCK_SIZE, MAX_BLOCK_SIZE)),
        max_attempts=setting("max_attempts", lambda given: _whole(given, MAX_ATTEMPTS)),
        task_timeout=setting("task_timeout", parse_duration),
        input_format=setting("input_format", lambda given: _name(given, input_format)),
        output_format=setting("output_format", lambda given: _name(given, output_format)),
        compression=setting("compression", lambda given: _name(given or "", compression)),
        sort_values=setting("sort_values", _truth),
        total_order=setting("total_order", _truth),
    )
    if settings.total_order and overrides(job_class, "partition"):
        problems.append(
            f"{job_class.__name__}.total_order = True: the order decides which reduce task gets a key, and "
            "so does the method partition; a job has one of them"
        )
    if problems:
        raise JobFileError("\n".join(f"{job_file_of(job_class)}: {problem}" for problem in problems))
    return settings


def _reducers(given: object) -> int | None:
    return None if given is None else _whole(given, MAX_REDUCERS)


def _whole(given: object, most: int) -> int:
    if type(given) is not int or not 1 <= given <= most:
        raise ValueError(f"must be a whole number from 1 to {most}")
    return given


def _size(given: Any, least: int, most: int | None) -> int:
    size = parse_size(given)
    if size < least or (most is not None and size > most):
        bounds = f"at least {format_size(least)}" + (f" and at most {format_size(most)}" if most else "")
        raise ValueError(f"must be {bounds}")
    return size


def _name(given: object, check: Check) -> str:
    if not isinstance(given, str):
        raise ValueError("must be a name, a str")
    try:
        check(given)
    except UsageError as error:
        raise ValueError(str(error)) from error
    return given


def _truth(given: object) -> bool:
    if not isinstance(given, bool):
        raise ValueError("must be True or False")
    return given
