"""A peer's device that answers nobody any more: reads have a deadline, and what hangs is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from blfs_mr.wire.messages.client import WorkerDescription
from tests.block.cluster import attached_disks
from tests.block.hanging import hanging_disk, why_no_hanging_disk
from tests.block.test_readers import readers, status
from tests.integration.harness import Daemons, HeldJob, Stage, lines_of, running_daemons, wait_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(why_no_hanging_disk()), reason=why_no_hanging_disk()),
]


def described(daemons: Daemons, name: str) -> WorkerDescription:
    description = daemons.describe()
    assert description is not None
    (worker,) = [worker for worker in description.workers if worker.name == name]
    return worker


def hung(daemons: Daemons, name: str) -> tuple[str, ...]:
    return described(daemons, name).hung


def test_reducers_that_hang_are_given_up_and_their_tasks_move_to_where_the_volume_can_be_read(
    tmp_path: Path, loops: None
) -> None:
    with attached_disks(tmp_path, "raw") as disks:
        image = disks.disks[1].image
        with hanging_disk(image, tmp_path / "hanging") as disk:
            disks.link("worker-1").unlink()
            disks.link("worker-1").symlink_to(disk.device)
            # No look from time to time: a reducer is to find out.
            worker = disks.worker.replace("peer_check_interval = '200ms'", "peer_check_interval = '1h'")
            worker = f"read_deadline = '5s'\n{worker}"
            with running_daemons(Stage(tmp_path / "stage"), worker=worker) as daemons:
                assert len(readers(daemons, "worker-1")) == 2
                job = HeldJob(daemons.start, tmp_path, "--reducers", "4", attempts=4)
                disk.hang()
                job.open()
                ended = job.submitter.wait(180)
                assert ended.code == 0, ended.stderr + daemons.log.read_text()
                assert lines_of(job.output) == job.expected
                told = daemons.log.read_text()
                assert "moved away from worker-0: " in told
                assert "map-0000" not in ended.stderr, "no map is run again"
                wait_for(lambda: "reduce-0" in str(hung(daemons, "worker-0")), "a reducer is counted", 60)
                assert "has a process that hangs: " in status(daemons)
                assert readers(daemons, "worker-1") == ("worker-1",)

                disk.recover()
                wait_for(lambda: hung(daemons, "worker-0") == (), "it is gone when the device answers", 60)
                daemons.wait_until_idle()
                daemons.stop()


def test_a_mapper_whose_writes_hang_is_given_up_and_its_map_runs_elsewhere(
    tmp_path: Path, loops: None
) -> None:
    with (
        attached_disks(tmp_path, "raw") as disks,
        hanging_disk(disks.disks[0].image, tmp_path / "hanging", writable=True) as disk,
    ):
        own = tmp_path / "worker-0/device"
        own.unlink()
        own.symlink_to(disk.device)
        worker = f"write_deadline = '2s'\n{disks.worker}"
        with running_daemons(Stage(tmp_path / "stage"), worker=worker) as daemons:
            job = HeldJob(daemons.start, tmp_path, attempts=4)
            free = described(daemons, "worker-0").shared_files_free
            disk.hang()
            told = job.ends_well()
            assert "map-0" in told
            assert "its device does not answer (worker.write_deadline)" in told
            wait_for(lambda: "map-0" in str(hung(daemons, "worker-0")), "a mapper is counted", 60)
            assert "has a process that hangs: " in status(daemons)
            assert described(daemons, "worker-0").shared_files_free < free, "its file is kept"

            disk.recover()
            wait_for(lambda: hung(daemons, "worker-0") == (), "it is gone when the device answers", 60)
            daemons.wait_until_idle()
            wait_for(
                lambda: described(daemons, "worker-0").shared_files_free == free,
                "its file is free again",
                60,
            )
            daemons.stop()


def test_a_peers_volume_that_hangs_stops_no_worker_and_is_read_when_it_answers(
    tmp_path: Path, loops: None
) -> None:
    with (
        attached_disks(tmp_path, "raw") as disks,
        hanging_disk(disks.disks[1].image, tmp_path / "hanging") as disk,
    ):
        disks.link("worker-1").unlink()
        disks.link("worker-1").symlink_to(disk.device)
        disk.hang()
        worker = f"read_deadline = '1s'\n{disks.worker}"
        with running_daemons(Stage(tmp_path / "stage"), worker=worker) as daemons:
            wait_for(lambda: hung(daemons, "worker-0"), "the look hangs", 60)
            assert "does not answer" in status(daemons)
            disk.recover()
            wait_for(lambda: len(readers(daemons, "worker-1")) == 2, "it is read again", 60)
            wait_for(lambda: hung(daemons, "worker-0") == (), "nothing hangs any more", 60)
            daemons.stop()
