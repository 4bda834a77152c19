"""From a job file to its job classes: on the submitter from a path, in a task from the shipped source.

Both run the very same bytes under the user's own path, so a traceback names the user's file and lines on any
host, whether the file is there or not.
"""

from __future__ import annotations

import linecache
import os
import sys
import types

from blfs_mr.errors import JobFileError
from blfs_mr.job.api import Job, problem_with
from blfs_mr.job.params import problem_with_params
from blfs_mr.job.steps import Steps, is_steps_class, problem_with_steps
from blfs_mr.job.tracebacks import MODULE_NAME, user_traceback
from blfs_mr.model import JobFile
from blfs_mr.values import dataclass

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


def load_steps(path: str | os.PathLike[str], class_name: str = "") -> tuple[LoadedJob, ...]:
    """Load the jobs of the job file at ``path``, in the order of their steps.

    That is one job, or those of its subclass of :class:`Steps`. ``class_name`` names either, and is needed
    only where there are several to choose from. The files of the steps differ in their ``class_name`` alone.
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
    job_file = JobFile(os.path.abspath(shown), source, class_name)
    found = _find_class(_run(job_file), job_file)
    if issubclass(found, Job):
        return (_loaded(job_file, found, found.__name__),)
    if problem := problem_with_steps(found):
        raise JobFileError(f"{job_file.path}: {problem}")
    return tuple(
        _loaded(job_file, step, f"{found.__name__}[{index}]") for index, step in enumerate(found.steps)
    )


def load_job_source(file: JobFile) -> LoadedJob:
    """Load a shipped job file, of which ``file.class_name`` names one job, or one step as ``NAME[0]``.

    Raises as :func:`load_steps` does. Nothing is read from ``file.path``. The file runs as the module
    :data:`MODULE_NAME`, one job file per process at a time.
    """
    name, _, index = file.class_name.partition("[")
    found = _find_class(_run(file), JobFile(file.path, file.source, name))
    # A step goes by its place, for its class may have no name in the job file, or the name of another.
    job_class = found if issubclass(found, Job) else found.steps[int(index.rstrip("]"))]
    return _loaded(file, job_class, file.class_name or job_class.__name__)


def _loaded(file: JobFile, job_class: type[Job], name: str) -> LoadedJob:
    if problem := problem_with(job_class) or problem_with_params(job_class):
        raise JobFileError(f"{file.path}: {problem}")
    return LoadedJob(job_class, JobFile(file.path, file.source, name))


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
    if isinstance(error, ModuleNotFoundError) and error.name == "pyarrow":
        from blfs_mr.job.columnar import NEEDS_PYARROW  # for the error only

        reason += f"; it needs {NEEDS_PYARROW}"
    elif isinstance(error, ModuleNotFoundError) and error.name:
        beside = os.path.join(os.path.dirname(path), error.name.partition(".")[0])
        if os.path.exists(f"{beside}.py"):
            beside += ".py"
        if os.path.exists(beside):
            reason += f"; a job file travels without its neighbours: add --py-module {beside}"
    return reason


def _find_class(module: types.ModuleType, file: JobFile) -> type[Job] | type[Steps]:
    """The class of that name; without a name the one program of steps, or else the one job."""
    there: dict[str, type[Job] | type[Steps]] = {
        name: value for name, value in vars(module).items() if _is_program(value)
    }
    if file.class_name:
        if file.class_name in there:
            return there[file.class_name]
        names = ", ".join(_defined(there)) or "none"
        raise JobFileError(f"{file.path}: no job class {file.class_name!r} in it; those it has: {names}")
    defined = _defined(there)
    programs = [name for name in defined if issubclass(there[name], Steps)] or defined
    if not programs:
        raise JobFileError(f"{file.path}: no subclass of blfs_mr.Job in it\n{_EXAMPLE}")
    if len(programs) > 1:
        raise JobFileError(
            f"{file.path}: several jobs, {' and '.join(programs)}; choose one with --job-class {programs[0]}"
            ", or list them in a subclass of blfs_mr.Steps"
        )
    return there[programs[0]]


def _defined(classes: dict[str, type[Job] | type[Steps]]) -> list[str]:
    """Those that the job file defines itself."""
    return [
        name for name, value in classes.items() if value.__module__ == MODULE_NAME and value.__name__ == name
    ]


def _is_program(value: object) -> bool:
    return is_steps_class(value) or (isinstance(value, type) and issubclass(value, Job) and value is not Job)
