"""``python -m blfs_mr.submit job.py INPUT... -o OUT``: run a job and wait for its end.

With ``--master`` the job goes to running daemons; without it an embedded cluster is started for this one
job, while this process reads the job file and looks at the input. Nothing here is asynchronous, so that it
starts fast.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from blfs_mr import console, linux
from blfs_mr.config import load_config, parse_address
from blfs_mr.errors import InputError, JobFailed, OutputError, UsageError
from blfs_mr.formats.inputs import InputFile, default_split_size, expand_inputs, make_splits
from blfs_mr.formats.outputs import OUTPUT_FORMATS
from blfs_mr.formats.reading import INPUT_FORMATS
from blfs_mr.job import ClassSettings, LoadedJob, bind_params, load_job, overrides, read_settings
from blfs_mr.model import InputSplit, JobSettings, JobSpec, Param
from blfs_mr.submission.client import Client, read_secret
from blfs_mr.submission.embedded import EmbeddedCluster
from blfs_mr.submission.output import FolderOutput, NamedOutput, Output, StandardOutput
from blfs_mr.submission.progress import Reporter
from blfs_mr.units import parse_size
from blfs_mr.wire.messages.client import ClusterDescription, JobEnded


@dataclass(frozen=True, slots=True)
class Submission:
    """What the command line asked for."""

    job: Path
    inputs: tuple[str, ...]
    output: str | None
    master: str | None
    config: Path | None
    params: dict[str, str]
    job_class: str | None
    reducers: int | None
    memory: str | None
    split_size: str | None
    workers: int | None
    slots: int | None
    quiet: bool


@dataclass(frozen=True, slots=True)
class Program:
    """A loaded job with what it will read; made while the cluster starts."""

    loaded: LoadedJob
    settings: ClassSettings
    params: dict[str, Param]
    files: tuple[InputFile, ...]


def run(submission: Submission) -> None:
    """Run the job to its end. Raises UsageError, JobFailed, or another BlfsMrError."""
    reporter = Reporter(submission.quiet)
    with ExitStack() as stack:
        if submission.master is None:
            cluster = EmbeddedCluster(submission.config, submission.workers, submission.slots)
            stack.callback(cluster.close)
            program = _load(submission)
            ready = cluster.ready()
            client = Client("127.0.0.1", ready.port, ready.cluster, read_secret(ready.secret_file))
            slots: int | None = ready.slots
        else:
            if submission.workers or submission.slots:
                raise UsageError("--workers and --slots are for the embedded cluster, not for --master")
            config = load_config(submission.config, os.environ)
            host, port = parse_address(submission.master)
            program = _load(submission)
            client = Client(host, port, config.cluster.id, read_secret(config.secret_path))
            slots = None
        stack.callback(client.close)
        description = client.describe()
        slots = slots or sum(worker.slots for worker in description.workers) or 1
        with _output(submission, description) as output:
            splits = _splits(submission, program, description, slots)
            client.submit(_spec(submission, program, description, slots, output), splits)
            ended = _wait(client, reporter)
            if ended.failure is not None:
                reporter.failed(ended.failure)
                raise JobFailed(f"the job failed: {ended.failure.summary}")
            output.complete(ended.parts)
        input_bytes = sum(split.length for split in splits)
        reporter.succeeded(ended, len(splits), input_bytes, output.described)


def _load(submission: Submission) -> Program:
    loaded = load_job(submission.job, submission.job_class or "")
    settings = read_settings(loaded.job_class, input_formats=INPUT_FORMATS, output_formats=OUTPUT_FORMATS)
    params = bind_params(loaded.job_class, submission.params)
    return Program(loaded, settings, params, expand_inputs(submission.inputs))


def _wait(client: Client, reporter: Reporter) -> JobEnded:
    try:
        return client.wait(reporter.news)
    except KeyboardInterrupt:
        reporter.finish()
        reporter.say("interrupted: cancelling the job")
        client.cancel()
        raise
    finally:
        reporter.finish()


@contextmanager
def _output(submission: Submission, description: ClusterDescription) -> Iterator[Output]:
    """Where the result goes; discarded unless the job completes."""
    here = linux.host_identity()
    local = all(worker.host == here for worker in description.workers) and description.host == here
    output: Output
    if submission.output is None:
        if not local:
            raise OutputError("the workers run on other hosts: name the output with -o NAME")
        output = StandardOutput()
    else:
        output = FolderOutput(Path(submission.output)) if local else NamedOutput(submission.output)
    output.make()
    try:
        yield output
    except BaseException:
        output.discard()
        raise


def _splits(
    submission: Submission, program: Program, description: ClusterDescription, slots: int
) -> tuple[InputSplit, ...]:
    """The input's splits, held by the workers of this host."""
    total = sum(file.size for file in program.files)
    size = parse_size(submission.split_size) if submission.split_size else default_split_size(total, slots)
    splits = make_splits(program.files, size, program.settings.input_format)
    here = linux.host_identity()
    holders = tuple(worker.name for worker in description.workers if worker.host == here)
    if len(holders) == len(description.workers):
        return splits
    if not holders:
        raise InputError("no worker runs on this host, and the input is here: none could read it")
    return tuple(InputSplit(s.path, s.offset, s.length, s.source, holders) for s in splits)


def _spec(
    submission: Submission, program: Program, description: ClusterDescription, slots: int, output: Output
) -> JobSpec:
    """What the command line asks for, else the job file, else the cluster's defaults."""
    asked, job_class = program.settings, program.loaded.job_class
    defaults = description.job_defaults
    memory = asked.memory if overrides(job_class, "memory") else defaults.memory
    settings = JobSettings(
        reduce_tasks=submission.reducers or asked.reducers or slots,
        max_attempts=asked.max_attempts if overrides(job_class, "max_attempts") else defaults.max_attempts,
        memory=parse_size(submission.memory) if submission.memory else memory,
        block_size=asked.block_size if overrides(job_class, "block_size") else defaults.block_size,
        task_timeout=asked.task_timeout,
        input_format=asked.input_format,
        output_format=asked.output_format,
        output=output.place,
        output_is_local=output.is_local,
        compression="",
        sort_values=False,
        draining=True,
    )
    return JobSpec(submission.job.stem, program.loaded.file, program.params, settings)


# ---------------------------------------------------------------- the command line


class _Size(click.ParamType[str]):
    name = "size"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            if parse_size(value) > 0:
                return value
            self.fail("a size must be above 0", param, ctx)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _params(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for name, equals, _ in pairs:
        if not (name and equals):
            raise click.BadParameter(f"{name!r} is not of the form NAME=VALUE", ctx, param)
    return {name: value for name, _, value in pairs}


@click.command()
@click.argument("job", type=click.Path(path_type=Path))
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option(
    "-o", "--output", metavar="OUT", help="A new folder for the result; standard output without it."
)
@click.option("--master", metavar="HOST:PORT", help="Use running daemons instead of an embedded cluster.")
@click.option("--config", type=click.Path(path_type=Path), help="The configuration file.")
@click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_params,
    help="A parameter of the job; may be repeated.",
)
@click.option("--job-class", metavar="NAME", help="Which Job class, where the job file has several.")
@click.option("--reducers", type=click.IntRange(1), help="Reduce tasks, and so parts of the output.")
@click.option("--memory", type=_Size(), help="Memory of one task, such as 256MiB.")
@click.option("--split-size", type=_Size(), help="Bytes of input for one map task, such as 16MiB.")
@click.option("--workers", type=click.IntRange(1, 64), help="Workers of the embedded cluster.")
@click.option("--slots", type=click.IntRange(1), help="Tasks at once on each embedded worker.")
@click.option("-q", "--quiet", is_flag=True, help="Tell of failures only.")  # fmt: skip
def submit(**options: object) -> None:
    """Run the MapReduce job of the file JOB over INPUT: files, folders, globs or .gz.

    Exit codes: 0 done, 1 the job failed, 2 wrong usage, 130 interrupted.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run(Submission(**options))  # type: ignore[arg-type]


if __name__ == "__main__":
    console.run(submit, "python -m blfs_mr.submit")
