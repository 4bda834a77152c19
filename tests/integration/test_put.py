"""From ``blfs-mr input put`` over SSH to the result of a job, on real daemons whose hosts go away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from blfs_mr.cli.input import input_family
from tests.integration.harness import HELD, WORDCOUNT, Daemons, Stage, lines_of, wait_for, write_job
from tests.unit.cluster.shell_hosts import inventory, shell_hosts
from tests.unit.cluster.ssh_hosts import made_key

LINES = [f"line {number}\n".encode() for number in range(50)]
TEXT = b"".join(LINES) * 40


@dataclass
class Cluster:
    """Daemons, and the operator's configuration, which reaches their hosts by SSH."""

    daemons: Daemons
    config: Path

    async def input(self, *arguments: object) -> str:
        words = ["--config", str(self.config), *map(str, arguments)]
        ended = await asyncio.to_thread(CliRunner().invoke, input_family, words)
        assert ended.exit_code == 0, ended.exception
        return ended.stdout


@pytest.fixture
async def cluster(start_daemons: Callable[..., Daemons], stage: Stage) -> AsyncIterator[Cluster]:
    ours = made_key()
    async with shell_hosts(["worker-0", "worker-1"], ours) as hosts:
        daemons = await asyncio.to_thread(start_daemons, master="no_worker_deadline = '1s'")
        config = stage.folder / "operator.toml"
        config.write_text(
            f'home = "{stage.folder}/operator"\n[master]\nmanifests = "{daemons.home}/manifests"\n'
            f'[worker]\ninput = "{daemons.home}/input/{{name}}"\n' + inventory(stage.folder, hosts, ours)
        )
        (stage.folder / "text").write_bytes(TEXT)
        yield Cluster(daemons, config)


async def test_a_job_ends_right_although_a_host_of_its_input_goes_away(
    cluster: Cluster, stage: Stage
) -> None:
    await cluster.input("put", stage.folder / "text", "words", "--split-size", "2KiB")
    gate = stage.folder / "gate"
    gate.touch()
    job = write_job(stage.folder, HELD, "held.py")

    def run() -> None:
        out = stage.folder / "out"
        submitter = cluster.daemons.start(job, "words", "-p", f"gate={gate}", "-o", out)
        wait_for(lambda: len(list(stage.folder.glob("gate.*"))) >= 2, "two attempts run")
        cluster.daemons.kill("worker-1")
        gate.unlink()
        ended = submitter.wait()
        assert ended.code == 0, ended.stderr
        assert lines_of(out) == sorted(line.rstrip(b"\n") + b"\t40\n" for line in LINES)

    await asyncio.to_thread(run)


async def test_with_no_holder_left_the_job_fails_by_that_name(cluster: Cluster, stage: Stage) -> None:
    await cluster.input("put", stage.folder / "text", "words", "-w", "worker-1")
    cluster.daemons.kill("worker-1")
    ended = await asyncio.to_thread(cluster.daemons.submit, WORDCOUNT, "words", "-o", stage.folder / "out")
    assert ended.code == 1
    assert "no worker holds the input of map-00000, words." in ended.stderr
    assert "/00000-text: worker-1 did not come back within 1 s" in ended.stderr
    assert not (stage.folder / "out").exists()


async def test_a_removed_input_is_no_input(cluster: Cluster, stage: Stage) -> None:
    await cluster.input("put", stage.folder / "text", "words")
    await cluster.input("rm", "words")
    ended = await asyncio.to_thread(cluster.daemons.submit, WORDCOUNT, "words", "-o", stage.folder / "out")
    assert ended.code == 2
    assert "no such input: words: no file is here, and there is no input named words" in ended.stderr
