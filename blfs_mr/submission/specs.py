"""What is sent to the master: the splits of the input, and the job as workers need it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

from blfs_mr import linux
from blfs_mr.errors import InputError
from blfs_mr.formats.inputs import InputFile, default_split_size, make_splits
from blfs_mr.job import overrides
from blfs_mr.model import InputSplit, JobSettings
from blfs_mr.submission.program import Step, compression_of
from blfs_mr.submission.request import Submission
from blfs_mr.units import parse_size
from blfs_mr.wire.messages.client import ClusterDescription


def split_input(
    files: Iterable[InputFile],
    input_format: str,
    submission: Submission,
    description: ClusterDescription,
    slots: int,
) -> tuple[InputSplit, ...]:
    """The splits of ``files``. Those of this host are held by the workers of this host."""
    files = tuple(files)
    total = sum(file.size for file in files)
    size = parse_size(submission.split_size) if submission.split_size else default_split_size(total, slots)
    splits = make_splits(files, size, input_format)
    here = linux.host_identity()
    holders = tuple(worker.name for worker in description.workers if worker.host == here)
    if len(holders) == len(description.workers) or all(split.holders for split in splits):
        return splits
    if not holders:
        raise InputError(
            "no worker runs on this host, and the input is here: none could read it; bring it to the workers "
            "first (`blfs-mr input put`)"
        )
    return tuple(split if split.holders else replace(split, holders=holders) for split in splits)


def readable_here(splits: Iterable[InputSplit], description: ClusterDescription) -> tuple[InputSplit, ...]:
    """Those of ``splits`` that are on this host, with absolute paths."""
    here = linux.host_identity()
    folders = {worker.name: worker.input_folder for worker in description.workers if worker.host == here}
    found = []
    for split in splits:
        near = [holder for holder in split.holders if holder in folders]
        paths = [os.path.join(folders[holder], split.path) for holder in near]
        if not split.holders:
            paths.append(split.path)
        path = next((path for path in paths if os.access(path, os.R_OK)), None)
        if path is not None:
            found.append(replace(split, path=path))
    return tuple(found)


def job_settings(
    submission: Submission,
    step: Step,
    description: ClusterDescription,
    slots: int,
    *,
    formats: tuple[str, str],
    output: str,
    output_is_local: bool,
) -> JobSettings:
    """What the command line asks for, else the job file, else the cluster's defaults.

    ``formats`` are those of input and output, which are not the job's own between steps.
    """
    asked, job_class = step.settings, step.loaded.job_class
    defaults = description.job_defaults
    memory = asked.memory if overrides(job_class, "memory") else defaults.memory
    return JobSettings(
        reduce_tasks=submission.reducers or asked.reducers or slots,
        max_attempts=asked.max_attempts if overrides(job_class, "max_attempts") else defaults.max_attempts,
        memory=parse_size(submission.memory) if submission.memory else memory,
        block_size=asked.block_size if overrides(job_class, "block_size") else defaults.block_size,
        task_timeout=asked.task_timeout,
        input_format=formats[0],
        output_format=formats[1],
        output=output,
        output_is_local=output_is_local,
        compression=compression_of(submission, asked),
        sort_values=asked.sort_values,
        draining=submission.draining,
    )
