"""Disks that vanish, targets that die and come back, and logins that are refused."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from blfs_mr.errors import VolumeError
from blfs_mr.lab.disks import FREE_DEADLINE, end_sessions, kill_target, start_target
from blfs_mr.lab.initiator import login_process
from blfs_mr.lab.loops import end_loop
from blfs_mr.lab.plan import Attachment, Backend, LabPlan
from blfs_mr.lab.processes import run
from blfs_mr.lab.running import kill_worker, start_worker, wait_for_workers
from blfs_mr.model import VolumeLayout, WorkerName
from tests.integration.harness import WORDCOUNT, Stage, lines_of, wait_for, write_job
from tests.lab.labs import DEADLINE, a_lab, a_plan, start, submit

pytestmark = pytest.mark.root

# Each attempt notes that it runs; those of the method that is held wait until the gate is gone.
JOB = """
    import os, time
    class Count(Job):
        gate = Param(str)
        held = Param(str)
        def wait(self, method):
            open(f"{self.gate}.{method}.{os.getpid()}", "w").close()
            while method == self.held and os.path.exists(self.gate):
                time.sleep(0.005)
        def map(self, record):
            self.wait("map")
            yield record, 1
        def reduce(self, key, values):
            self.wait("reduce")
            yield key, sum(values)
"""

LINES = "".join(f"line {number % 50}\n" for number in range(1000))
SPLIT_SIZE = len(LINES) // 2
EXPECTED = sorted(f"line {number}\t20\n".encode() for number in range(50))


class Held:
    """A job over a lab whose map or reduce attempts wait at a gate."""

    def __init__(self, plan: LabPlan, stage: Stage, folder: Path, method: str) -> None:
        self.gate, self.output = folder / "gate", folder / "out"
        self.gate.touch()
        source = folder / "lines.txt"
        source.write_text(LINES)
        options = ["-p", f"gate={self.gate}", "-p", f"held={method}", "--reducers", 1, "-o", self.output]
        self.submitter = start(
            plan,
            stage,
            write_job(folder, JOB),
            source,
            "--split-size",
            SPLIT_SIZE,
            "--reducers",
            "1",
            *options,
        )

    def attempts(self, method: str) -> int:
        """How many attempts have come to where they may wait."""
        return len(list(self.gate.parent.glob(f"gate.{method}.*")))

    def ends_well(self) -> None:
        """Open the gate; the result is right."""
        self.gate.unlink()
        ended = self.submitter.wait(DEADLINE)
        assert ended.code == 0, ended.stderr
        assert lines_of(self.output) == EXPECTED


def refused(plan: LabPlan, attachment: Attachment, *, writable: bool = False) -> str:
    """Log in, which must fail; what was said."""
    attachment.folder.mkdir()
    attachment.lun.touch()
    command = login_process(plan, attachment, attachment.folder / "pid")
    if writable:
        command = [word.replace("read-only=on", "read-only=off") for word in command]
    with pytest.raises(VolumeError) as error:
        run(command)
    return str(error.value)


def test_a_target_refuses_strangers_and_peers_that_want_to_write(lab: LabPlan, tmp_path: Path) -> None:
    stranger = Attachment(WorkerName("stranger"), lab.nodes[0], tmp_path / "stranger")
    assert "Target not found" in refused(lab, stranger)
    peer = Attachment(lab.nodes[1], lab.nodes[0], tmp_path / "peer")
    assert "write protected" in refused(lab, peer, writable=True)


def test_a_read_waits_for_a_target_that_was_killed_until_it_is_back(tmp_path: Path, stage: Stage) -> None:
    with a_lab(a_plan(tmp_path / "lab", Backend.ISCSI, VolumeLayout.RAW)) as plan:
        owner, peer = plan.nodes
        device = plan.attachment(peer, owner).device
        direct = ["dd", f"if={device}", "bs=64K", "count=1", "iflag=direct"]
        before = subprocess.run(direct, capture_output=True, check=True).stdout
        kill_target(plan, owner)
        with subprocess.Popen(direct, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reading:
            start_target(plan, owner)
            assert reading.communicate(timeout=DEADLINE)[0] == before
        (tmp_path / "lines.txt").write_text("one\n" * 100)
        ended = submit(plan, stage, WORDCOUNT, tmp_path / "lines.txt", "-o", tmp_path / "out")
        assert ended.code == 0, ended.stderr
        assert lines_of(tmp_path / "out") == [b"one\t100\n"]


def detach_loop(plan: LabPlan, owner: WorkerName, peer: WorkerName) -> None:
    run(end_loop(str(plan.attachment(peer, owner).device.resolve())))


@pytest.mark.parametrize(
    ("backend", "vanish"),
    [(Backend.LOOP, detach_loop), (Backend.ISCSI, lambda plan, owner, peer: kill_target(plan, owner))],
    ids=["loop-detached", "target-killed"],
)
def test_maps_run_again_when_their_dead_owners_disk_vanishes_before_it_is_read(
    backend: Backend,
    vanish: Callable[[LabPlan, WorkerName, WorkerName], None],
    tmp_path: Path,
    stage: Stage,
) -> None:
    plan = replace(a_plan(tmp_path / "lab", backend, VolumeLayout.RAW), session_timeout=1)
    with a_lab(plan):
        owner, peer = plan.nodes
        kill_worker(plan, peer)
        wait_for_workers(plan, 1)
        job = Held(plan, stage, tmp_path, "reduce")
        wait_for(lambda: job.attempts("reduce") == 1, "all maps are done")
        maps = job.attempts("map")
        start_worker(plan, peer)
        wait_for_workers(plan, 2)
        vanish(plan, owner, peer)
        kill_worker(plan, owner)
        job.ends_well()
        assert job.attempts("map") > maps


def test_maps_run_elsewhere_when_their_own_disk_vanishes_while_they_write(
    tmp_path: Path, stage: Stage
) -> None:
    with a_lab(a_plan(tmp_path / "lab", Backend.ISCSI, VolumeLayout.RAW)) as plan:
        if plan.in_kernel:
            pytest.skip("the kernel has no way to end a session that is in use")
        owner, _ = plan.nodes
        job = Held(plan, stage, tmp_path, "map")
        wait_for(lambda: job.attempts("map") == 2, "a map runs on each node")
        end_sessions(plan, owner)
        job.ends_well()
        assert job.attempts("map") > len(LINES) / SPLIT_SIZE


def test_a_dead_target_holds_up_neither_another_worker_nor_the_end_of_the_lab(tmp_path: Path) -> None:
    with a_lab(a_plan(tmp_path / "lab", Backend.ISCSI, VolumeLayout.FILE)) as plan:
        dead, other = plan.nodes
        for node in plan.nodes:
            kill_worker(plan, node)
        wait_for_workers(plan, 0)
        # A lab has all nodes on one host: this one mounts the dead one's disk for writing too.
        with plan.attachment(dead, dead).lun.open("rb") as lun:
            os.posix_fadvise(lun.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        kill_target(plan, dead)
        start_worker(plan, other)
        wait_for_workers(plan, 1)
        ending = time.monotonic()
    assert time.monotonic() - ending < FREE_DEADLINE, "nothing was waited for in vain"
