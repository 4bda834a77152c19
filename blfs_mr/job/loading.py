"""From a job file to its Job class: on the submitter from a path, in a task process from the shipped source.

Both run the very same bytes under the user's own path, so a traceback names the user's file and lines on any
host, whether the file is there or not.
"""

from __future__ import annotations

import linecache
import os
import sys
import types
from dataclasses import dataclass

from blfs_mr.errors import JobFileError
from blfs_mr.job.api import Job, problem_with
from blfs_mr.job.params import problem_with_params
from blfs_mr.job.tracebacks import MODULE_NAME, user_traceback
from blfs_mr.model import JobFile

MAX_JOB_FILE = 4 * 1024 * 1024
"""Bytes of a job file: it travels inside one message to every worker. A larger one holds data, which belongs
into the input."""

_EXAMPLE = """
A job file is as short as this:

    from blfs_mr import Job

    class WordCount(Job):
        def map(self, record): yield from ((word, 1) for word in record.split())
        def reduce(self, key, values): yield key, sum(values)
"""


@dataclass(frozen=True, slots=True)
class LoadedJob:
    """A job file that was run, and the job class that it is to be used for. ``file`` is what to ship."""

    job_class: type[Job]
    file: JobFile


def load_job(path: str | os.PathLike[str], class_name: str = "") -> LoadedJob:
    """Load the job file at ``path``; ``class_name`` is needed only where it defines several jobs.

    Raises :class:`JobFileError`: no such file, not Python, an exception while it is run, no job or several.
    """
    shown = os.fspath(path)
    try:
        with open(path, "rb") as file:
            source = file.read(MAX_JOB_FILE + 1)
    except OSError as error:
        raise JobFileError(f"cannot read the job file {shown}: {error.strerror}") from error
    if len(source) > MAX_JOB_FILE:
        raise JobFileError(
            f"{shown}: larger than {MAX_JOB_FILE // 1024 // 1024} MiB; is this the job file, or its input?"
        )
    return load_job_source(JobFile(os.path.abspath(shown), source, class_name))


def load_job_source(file: JobFile) -> LoadedJob:
    """Load a job file that was shipped. Raises as :func:`load_job` does. Nothing is read from ``file.path``.

    The file runs as the module :data:`MODULE_NAME`, one job file per process at a time.
    """
    module = _run(file)
    job_class = _find_job_class(module, file)
    if problem := problem_with(job_class) or problem_with_params(job_class):
        raise JobFileError(f"{file.path}: {problem}")
    return LoadedJob(job_class, JobFile(file.path, file.source, job_class.__name__))


def _run(file: JobFile) -> types.ModuleType:
    module = types.ModuleType(MODULE_NAME)
    module.__file__ = file.path
    replaced = sys.modules.get(MODULE_NAME)
    sys.modules[MODULE_NAME] = module  # before the code runs: dataclasses and typing look their module up
    _show_lines_of(file)
    try:
        exec(compile(file.source, file.path, "exec", dont_inherit=True), module.__dict__)
    except (Exception, SystemExit) as error:
        if replaced is None:
            del sys.modules[MODULE_NAME]
        else:
            sys.modules[MODULE_NAME] = replaced
        told = user_traceback(error, file.path)
        raise JobFileError(f"{file.path}: {_why_not_loaded(error, file.path)}", told) from error
    return module


def _show_lines_of(file: JobFile) -> None:
    """Let tracebacks show the source that was shipped, even where the file is absent, or another by now.

    An entry without a modification time is never checked against the disk (``linecache.checkcache``).
    """
    lines = file.source.decode("utf-8", "replace").splitlines(keepends=True)
    linecache.cache[file.path] = (len(file.source), None, lines, file.path)


def _why_not_loaded(error: BaseException, path: str) -> str:
    if isinstance(error, SyntaxError) and error.filename == path:
        return f"line {error.lineno}: {error.msg}"
    if isinstance(error, SystemExit):
        return (
            "the job file ends the process when it is loaded; put what is not the job under"
            ' if __name__ == "__main__":'
        )
    reason = f"cannot be loaded: {type(error).__name__}: {error}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        beside = os.path.join(os.path.dirname(path), error.name.partition(".")[0])
        if os.path.exists(f"{beside}.py") or os.path.isdir(beside):
            reason += "; a job file travels alone, without its neighbours: put what it needs of them into it"
    return reason


def _find_job_class(module: types.ModuleType, file: JobFile) -> type[Job]:
    jobs: dict[str, type[Job]] = {name: value for name, value in vars(module).items() if _is_job_class(value)}
    defined = [
        name for name, value in jobs.items() if value.__module__ == MODULE_NAME and value.__name__ == name
    ]
    if file.class_name:
        if file.class_name in jobs:
            return jobs[file.class_name]
        there = ", ".join(defined) or "none"
        raise JobFileError(f"{file.path}: no job class {file.class_name!r} in it; those it has: {there}")
    if not defined:
        raise JobFileError(f"{file.path}: no subclass of blfs_mr.Job in it\n{_EXAMPLE}")
    if len(defined) > 1:
        raise JobFileError(
            f"{file.path}: several jobs, {' and '.join(defined)}; choose one with --job-class {defined[0]}"
        )
    return jobs[defined[0]]


def _is_job_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Job) and value is not Job
