"""Labs for tests: brought up as an operator does, ended however the test ends, and nothing of them left."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from blfs_mr.lab.loops import loops_over
from blfs_mr.lab.plan import Backend, LabPlan, node_names
from blfs_mr.lab.processes import Kind, marked
from blfs_mr.lab.running import down, new_plan, up, why_not
from blfs_mr.linux import read_mounts
from blfs_mr.model import VolumeLayout
from tests.integration.harness import Ended, Stage, Submitter

REPOSITORY = Path(__file__).parents[2]

DEADLINE = 120.0
"""Seconds for a job over a lab, which takes one or two on an idle machine."""


def skip_without(backend: Backend, layout: VolumeLayout) -> None:
    """Skip the test, with the reason, where there can be no such lab."""
    if reason := why_not(backend, layout):
        pytest.skip(reason)


def a_plan(folder: Path, backend: Backend, layout: VolumeLayout, nodes: int = 2) -> LabPlan:
    """A small lab: 16 shared files of 1 MiB on each node."""
    return new_plan(
        folder,
        backend,
        layout,
        node_names(nodes),
        shared_files=16,
        shared_file_size=1 << 20,
        slots=1,
        session_timeout=600,
    )


@contextmanager
def a_lab(plan: LabPlan) -> Iterator[LabPlan]:
    """The lab, brought up; taken down at the end in any case."""
    skip_without(plan.backend, plan.layout)
    with guarded(plan):
        up(plan)
        try:
            yield plan
        finally:
            down(plan)
            assert left_of(plan) == []


@contextmanager
def guarded(plan: LabPlan) -> Iterator[None]:
    """Until the end of this block the lab is taken down also when this process is killed."""
    command = [sys.executable, "-m", "tests.lab.guardian", str(plan.folder)]
    guardian = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=REPOSITORY, start_new_session=True)
    try:
        yield
    finally:
        guardian.communicate(b"down")


def left_of(plan: LabPlan) -> list[str]:
    """What there is of a lab: processes, mounts, loop devices and its folder. Empty when it is down."""
    found = [f"{kind} {pid}" for kind in Kind for pid in marked(plan.mark, kind)]
    found += [mount.point for mount in read_mounts() if mount.point.startswith(str(plan.folder))]
    found += loops_over(plan.folder)
    return [*found, str(plan.folder)] if plan.folder.exists() else found


def options(plan: LabPlan) -> tuple[str, ...]:
    """What ``submit`` must be told to use the lab."""
    return ("--master", f"127.0.0.1:{plan.master_port}", "--config", str(plan.config))


def submit(plan: LabPlan, stage: Stage, *arguments: object) -> Ended:
    """Run a submitter to its end."""
    return start(plan, stage, *arguments).wait(DEADLINE)


def start(plan: LabPlan, stage: Stage, *arguments: object) -> Submitter:
    """Start a submitter."""
    return stage.start(*arguments, *options(plan))


def sectors(plan: LabPlan, field: int, *, by_owners: bool) -> int:
    """Sectors that were read (2) or written (6) through the devices of owners, or through those of peers."""
    total = 0
    for attachment in plan.attachments():
        if (attachment.node == attachment.owner) == by_owners:
            stat = Path(f"/sys/block/{attachment.device.resolve().name}/stat")
            total += int(stat.read_text().split()[field])
    return total


READ, WRITTEN = 2, 6
