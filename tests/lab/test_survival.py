"""What a mapper has published outlives its worker: it is on the volume, and its peers read it from there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from blfs_mr.lab.plan import LabPlan
from blfs_mr.lab.processes import Kind, marked
from blfs_mr.lab.running import kill_worker, start_worker, wait_for_workers
from blfs_mr.model import WorkerName
from tests.integration.harness import WORDCOUNT, Stage, lines_of, wait_for, write_job
from tests.lab.labs import DEADLINE, start, submit

pytestmark = pytest.mark.root

# Notes each map attempt beside the gate, and holds each reduce attempt until the gate is gone.
JOB = """
    import os, time
    class Count(Job):
        gate = Param(str)
        def setup(self):
            self.noted = False
        def map(self, record):
            if not self.noted:
                self.noted = True
                open(f"{self.gate}.map.{os.getpid()}", "w").close()
            yield record, 1
        def reduce(self, key, values):
            open(f"{self.gate}.reduce.{os.getpid()}", "w").close()
            while os.path.exists(self.gate):
                time.sleep(0.005)
            yield key, sum(values)
"""

MAPS, REDUCES = 8, 2


def test_no_map_runs_again_when_the_workers_of_all_mappers_are_killed(
    lab: LabPlan, stage: Stage, tmp_path: Path
) -> None:
    mappers, reducers = lab.nodes[:2], lab.nodes[2:]
    source = tmp_path / "lines.txt"
    source.write_text("".join(f"line {number % 50}\n" for number in range(2000)))
    gate = tmp_path / "gate"
    gate.touch()

    def attempts(kind: str) -> int:
        return len(list(tmp_path.glob(f"gate.{kind}.*")))

    try:
        for node in reducers:
            kill_worker(lab, node)
        wait_for_workers(lab, len(mappers))
        split_size = -(-source.stat().st_size // MAPS)
        submitter = start(
            lab, stage, write_job(tmp_path, JOB), source, "-p", f"gate={gate}",
            "--split-size", split_size, "--reducers", REDUCES, "-o", tmp_path / "out",
        )  # fmt: skip
        wait_for(lambda: attempts("reduce") == REDUCES, "all maps are done, and the reduces run")
        for node in reducers:
            start_worker(lab, node)
        wait_for_workers(lab, len(lab.nodes))
        for node in mappers:
            kill_worker(lab, node)
        wait_for(lambda: attempts("reduce") == 2 * REDUCES, "the reduces run elsewhere")
        # One of the mappers is back before the job ends, the other one after: both know what is still needed.
        start_worker(lab, mappers[0])
        wait_for_workers(lab, 3)
        gate.unlink()
        ended = submitter.wait(DEADLINE)
        assert ended.code == 0, ended.stderr
        assert attempts("map") == MAPS
        assert lines_of(tmp_path / "out") == sorted(f"line {n}\t40\n".encode() for n in range(50))
        for node in reducers:
            kill_worker(lab, node)
        for node in mappers:
            start_workers(lab, [node])
            assert_that_the_whole_pool_is_free(lab, stage, tmp_path, node)
            kill_worker(lab, node)
    finally:
        gate.unlink(missing_ok=True)
        start_workers(lab, lab.nodes)


def start_workers(lab: LabPlan, nodes: Sequence[WorkerName]) -> None:
    """Start those of ``nodes`` that do not run; all others are dead."""
    for node in nodes:
        if not any(marked(lab.mark, Kind.DAEMON, node)):
            start_worker(lab, node)
    wait_for_workers(lab, len(nodes))


def assert_that_the_whole_pool_is_free(lab: LabPlan, stage: Stage, folder: Path, node: WorkerName) -> None:
    """A job with one map for each shared file, which may not drain, fits onto the volume of ``node``."""
    source, out = folder / f"{node}.txt", folder / f"out-{node}"
    source.write_text("0123456789abcde\n" * lab.shared_files)
    ended = submit(lab, stage, WORDCOUNT, source, "--split-size", 16, "--no-draining", "-o", out)
    assert ended.code == 0, ended.stderr
    assert lines_of(out) == [f"0123456789abcde\t{lab.shared_files}\n".encode()]
