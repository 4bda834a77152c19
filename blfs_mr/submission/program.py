"""What is to be run: the job file, loaded and checked, with its input and its side files."""

from __future__ import annotations

from blfs_mr.errors import UsageError
from blfs_mr.formats.outputs import output_format
from blfs_mr.formats.reading import input_format
from blfs_mr.job import (
    ClassSettings,
    LoadedJob,
    bind_params,
    load_steps,
    placed,
    read_settings,
)
from blfs_mr.model import Param, SideFile
from blfs_mr.submission.inputs import Argument, read_arguments
from blfs_mr.submission.request import Submission
from blfs_mr.submission.side_files import read_side_files
from blfs_mr.values import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One job of a program, with what it asks for. ``label`` names it where there are several."""

    loaded: LoadedJob
    settings: ClassSettings
    params: dict[str, Param]
    label: str


@dataclass(frozen=True, slots=True)
class Program:
    """Steps, at least one, and what they read."""

    steps: tuple[Step, ...]
    inputs: tuple[Argument, ...]
    side_files: tuple[SideFile, ...]


def load_program(submission: Submission, *, have_master: bool) -> Program:
    """Load and check everything that needs no cluster. Raises UsageError.

    Without a master all of the input is on this host.
    """
    side_files = read_side_files(submission.files, submission.py_modules)
    with placed(side_files):
        jobs = load_steps(submission.job.absolute(), submission.job_class or "")
    params = bind_params([job.job_class for job in jobs], submission.params)
    steps = tuple(
        Step(job, _settings(job, submission), values, _label(number, jobs))
        for number, (job, values) in enumerate(zip(jobs, params, strict=True))
    )
    return Program(steps, read_arguments(submission.inputs, have_master=have_master), side_files)


def compression_of(submission: Submission, settings: ClassSettings) -> str:
    """The codec to use, empty for none: the command line's, else the job's."""
    return settings.compression if submission.compression is None else submission.compression


def _settings(job: LoadedJob, submission: Submission) -> ClassSettings:
    settings = read_settings(
        job.job_class, input_format=input_format, output_format=output_format, compression=_known_codec
    )
    if compression := compression_of(submission, settings):
        from blfs_mr.shuffle.compression import check_available  # most jobs never need it

        check_available(compression)
    return settings


def _known_codec(name: str) -> None:
    if not name:
        return
    from blfs_mr.shuffle.compression import COMPRESSIONS

    if name not in COMPRESSIONS:
        raise UsageError(f"no compression {name!r}; there are: {', '.join(filter(None, COMPRESSIONS))}")


def _label(number: int, jobs: tuple[LoadedJob, ...]) -> str:
    if len(jobs) == 1:
        return ""
    return f"step {number + 1} of {len(jobs)}, {jobs[number].job_class.__name__}"
