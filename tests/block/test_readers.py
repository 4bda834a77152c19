"""Which peers' volumes workers can read: told at their start, looked at again, and shown by ``status``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.block.cluster import attached_disks
from tests.integration.harness import WORDCOUNT, Daemons, Stage, running_daemons, wait_for

pytestmark = pytest.mark.root


def status(daemons: Daemons, *options: str) -> str:
    command = [sys.executable, "-m", "blfs_mr.cli", "status", "--config", str(daemons.config), *options]
    ran = subprocess.run(command, capture_output=True, text=True, env=daemons.stage.environment, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def volumes(daemons: Daemons) -> dict[str, Any]:
    return {volume["owner"]: volume for volume in json.loads(status(daemons, "--json"))["volumes"]}


def readers(daemons: Daemons, owner: str) -> tuple[str, ...]:
    """The workers that read the volume of ``owner``, by the master itself: quicker than a command."""
    description = daemons.describe()
    assert description is not None
    (volume,) = [volume for volume in description.volumes if volume.owner == owner]
    blind = {by.worker for by in volume.unreadable_by}
    return tuple(worker.name for worker in description.workers if worker.name not in blind)


def test_a_peers_volume_that_is_absent_stops_no_worker_and_is_found_when_it_comes(
    tmp_path: Path, loops: None
) -> None:
    with attached_disks(tmp_path, "raw") as disks:
        disks.link("worker-1").unlink()
        with running_daemons(Stage(tmp_path / "stage"), worker=disks.worker) as daemons:
            shown = volumes(daemons)
            assert sorted(shown["worker-0"]["readers"]) == ["worker-0", "worker-1"]
            assert shown["worker-1"]["readers"] == ["worker-1"]
            (by,) = shown["worker-1"]["unreadable_by"]
            assert by["worker"] == "worker-0"
            assert "peer-device does not exist" in by["problem"]
            told = status(daemons)
            assert "worker-0 cannot read the volume of worker-1: " in told
            assert shown["worker-1"]["volume"] in told

            disks.link("worker-1").symlink_to(disks.disks[1].peer)
            wait_for(lambda: len(readers(daemons, "worker-1")) == 2, "worker-0 reads it", 60)
            disks.link("worker-1").unlink()
            wait_for(lambda: readers(daemons, "worker-1") == ("worker-1",), "worker-0 does not", 60)
            daemons.stop()


def test_a_peers_volume_that_has_come_is_looked_at_when_a_job_needs_it(tmp_path: Path, loops: None) -> None:
    with attached_disks(tmp_path, "raw") as disks:
        disks.link("worker-1").unlink()
        worker = disks.worker.replace("peer_check_interval = '200ms'", "peer_check_interval = '1h'")
        with running_daemons(Stage(tmp_path / "stage"), worker=worker) as daemons:
            assert readers(daemons, "worker-1") == ("worker-1",)
            disks.link("worker-1").symlink_to(disks.disks[1].peer)
            (tmp_path / "words").write_text("one two\n")
            ended = daemons.submit(WORDCOUNT, tmp_path / "words", "-o", tmp_path / "out")
            assert ended.code == 0, ended.stderr
            wait_for(lambda: len(readers(daemons, "worker-1")) == 2, "worker-0 reads it", 60)
            daemons.stop()


def test_another_workers_volume_in_place_of_the_expected_one_is_unreadable(
    tmp_path: Path, loops: None
) -> None:
    with attached_disks(tmp_path, "raw") as disks:
        disks.link("worker-1").unlink()
        disks.link("worker-1").symlink_to(disks.disks[0].peer)
        with running_daemons(Stage(tmp_path / "stage"), worker=disks.worker) as daemons:
            (by,) = volumes(daemons)["worker-1"]["unreadable_by"]
            assert by["worker"] == "worker-0"
            assert "is the volume of worker worker-0, not of worker-1" in by["problem"]
            daemons.stop()
