"""Running a program: a cluster, an output, and the steps one after the other.

What a step hands to the next one never leaves the cluster. Its parts stay where they were written, and are
removed once they were read, or when anything fails. In an embedded cluster they are in its own folder, which
goes with it whatever happens to this process; else inside the output's folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from blfs_mr import linux
from blfs_mr.client_config import load_client_config, parse_address
from blfs_mr.errors import JobFailed, OutputError, UsageError
from blfs_mr.formats.inputs import InputFile
from blfs_mr.model import InputSplit, JobSpec, OutputPart
from blfs_mr.submission.boundaries import find_boundaries
from blfs_mr.submission.client import Client, read_secret
from blfs_mr.submission.embedded import EmbeddedCluster
from blfs_mr.submission.inputs import find_files
from blfs_mr.submission.output import FolderOutput, NamedOutput, Output, StandardOutput
from blfs_mr.submission.program import Program, Step, load_program
from blfs_mr.submission.progress import Reporter
from blfs_mr.submission.request import Submission
from blfs_mr.submission.specs import job_settings, split_input
from blfs_mr.values import dataclass
from blfs_mr.wire.messages.client import ClusterDescription, JobEnded

BETWEEN_STEPS = "records"
"""The format in which a step hands its pairs to the next one."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster to run on: how to connect, what there is, its slots, and a folder that goes when it goes."""

    connect: Callable[[], Client]
    description: ClusterDescription
    slots: int
    folder: Path | None

    @property
    def shares_this_host(self) -> bool:
        """Whether master and workers all run here."""
        here = linux.host_identity()
        return (
            all(worker.host == here for worker in self.description.workers) and self.description.host == here
        )


def run(submission: Submission) -> None:
    """Run the program to its end. Raises UsageError, JobFailed, or another BlfsMrError."""
    with ExitStack() as stack:
        program, files, cluster = _start(submission, stack)
        with _output(submission, cluster) as output:
            _run_steps(submission, program, files, cluster, output)


def _start(submission: Submission, stack: ExitStack) -> tuple[Program, tuple[InputFile, ...], Cluster]:
    """Load the program, while an embedded cluster starts if that is what it runs on, and find its input."""
    config = load_client_config(submission.config, os.environ)
    master, tls_folder = submission.master or config.master, None
    if not master:
        embedded = EmbeddedCluster(submission.config, submission.workers, submission.slots)
        stack.callback(embedded.close)
        program = load_program(submission, have_master=False)
        ready = embedded.ready()
        host, port, cluster, secret_file = "127.0.0.1", ready.port, ready.cluster, ready.secret_file
        slots: int | None = ready.slots
        folder: Path | None = ready.home
    else:
        if submission.workers or submission.slots:
            raise UsageError("--workers and --slots are for the embedded cluster, not for --master")
        host, port = parse_address(master)
        program = load_program(submission, have_master=True)
        cluster, secret_file, tls_folder = config.cluster, config.secret_path, config.tls_folder
        slots = folder = None

    opened: list[Client] = []

    def connect() -> Client:
        # The link that was asked over serves the first step too, where that comes at once: a handshake less.
        while opened:
            if (first := opened.pop()).is_fresh:
                return first
            first.close()
        return Client(host, port, cluster, read_secret(secret_file), tls_folder)

    client = connect()
    opened.append(client)
    stack.callback(client.close)
    description = client.describe()
    files = find_files(program.inputs, client, program.steps[0].settings.input_format)
    slots = slots or sum(worker.slots for worker in description.workers) or 1
    return program, files, Cluster(connect, description, slots, folder)


@contextmanager
def _output(submission: Submission, cluster: Cluster) -> Iterator[Output]:
    """Where the result goes; discarded unless the job completes."""
    local = cluster.shares_this_host
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


def _run_steps(
    submission: Submission,
    program: Program,
    files: tuple[InputFile, ...],
    cluster: Cluster,
    output: Output,
) -> None:
    """One step after the other; the parts of each go when the next one has read them."""
    input_format = program.steps[0].settings.input_format
    between: list[FolderOutput] = []
    try:
        for number, step in enumerate(program.steps[:-1]):
            passed_on = _between(cluster, output, number)
            passed_on.make()
            between.append(passed_on)
            formats = (input_format, BETWEEN_STEPS)
            done = _run_step(submission, program, cluster, step, formats, files, passed_on)
            done.tell(" for the next step")
            files, input_format = _as_input(done.ended.parts), BETWEEN_STEPS
            for read in between[:-1]:
                read.discard()
        last = program.steps[-1]
        formats = (input_format, last.settings.output_format)
        done = _run_step(submission, program, cluster, last, formats, files, output)
    finally:
        for folder in between:
            folder.discard()
    output.complete(done.ended.parts)
    done.tell(output.described)


@dataclass(frozen=True, slots=True)
class _Done:
    """A step that ended well."""

    ended: JobEnded
    splits: tuple[InputSplit, ...]
    reporter: Reporter

    def tell(self, where: str) -> None:
        """Tell the user what was done, and ``where`` its output went."""
        self.reporter.succeeded(
            self.ended, len(self.splits), sum(split.length for split in self.splits), where
        )


def _run_step(
    submission: Submission,
    program: Program,
    cluster: Cluster,
    step: Step,
    formats: tuple[str, str],
    files: tuple[InputFile, ...],
    output: Output,
) -> _Done:
    """Run one step to its end; ``formats`` are those of its input and output. Raises JobFailed."""
    reporter = Reporter(submission.quiet, step.label)
    splits = split_input(files, formats[0], submission, cluster.description, cluster.slots)
    settings = job_settings(
        submission,
        step,
        cluster.description,
        cluster.slots,
        formats=formats,
        output=output.place,
        output_is_local=output.is_local,
    )
    boundaries = find_boundaries(step, splits, cluster.description, settings, program.side_files)
    name = submission.job.stem
    spec = JobSpec(name, step.loaded.file, step.params, settings, program.side_files, boundaries)
    # A link for each step: the master drops one that is silent for as long as finding boundaries may take.
    client = cluster.connect()
    try:
        client.submit(spec, splits)
        ended = _wait(client, reporter)
    finally:
        client.close()
    if ended.failure is not None:
        reporter.failed(ended.failure)
        raise JobFailed(f"{step.label or 'the job'} failed: {ended.failure.summary}")
    return _Done(ended, splits, reporter)


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


def _between(cluster: Cluster, output: Output, number: int) -> FolderOutput:
    """The folder for the parts of a step that is not the last one."""
    if isinstance(output, NamedOutput):
        raise UsageError("a job of several steps needs all of its workers on this host")
    return FolderOutput((cluster.folder or Path(output.place)) / f"_temporary-step-{number + 1}")


def _as_input(parts: tuple[OutputPart, ...]) -> tuple[InputFile, ...]:
    return tuple(InputFile(part.path, part.size, source=0) for part in parts)
