"""A job over volumes on block devices: two workers, each the owner of one disk and a peer of the other's."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from blfs_mr.volume.superblock_pages import read_claim, read_superblock
from blfs_mr.volume.verify import verify_volume
from tests.block.cluster import attached_disks
from tests.block.disks import KINDS
from tests.integration.harness import (
    WORDCOUNT,
    Daemons,
    HeldJob,
    Stage,
    lines_of,
    running_daemons,
    wait_for,
)

pytestmark = pytest.mark.root

WORDS = [f"word{number % 701}" for number in range(40_000)]


@pytest.mark.parametrize("kind", KINDS)
def test_reducers_read_the_map_outputs_of_other_workers_from_their_devices(
    kind: str, tmp_path: Path, loops: None
) -> None:
    stage = Stage(tmp_path / "stage")
    source = tmp_path / "words.txt"
    source.write_text("".join(f"{' '.join(WORDS[at : at + 10])}\n" for at in range(0, len(WORDS), 10)))
    with attached_disks(tmp_path, kind) as attached:
        disks = attached.disks
        with running_daemons(stage, worker=attached.worker) as daemons:
            read_before = [disk.sectors_that_the_peer_read() for disk in disks]
            ended = daemons.submit(
                WORDCOUNT, source, "--split-size", "32KiB", "--reducers", "3", "-o", tmp_path / "out"
            )
            assert ended.code == 0, ended.stderr + daemons.log.read_text()
            # The map outputs alone, since what a worker looks at when it starts was read before.
            for disk, before in zip(disks, read_before, strict=True):
                assert disk.sectors_that_the_peer_read() > before
            daemons.stop()
        expected = sorted(f"{word}\t{count}\n".encode() for word, count in Counter(WORDS).items())
        assert lines_of(tmp_path / "out") == expected
        assert "cannot be read here" not in daemons.log.read_text()
        for disk in disks:
            result = verify_volume(disk.peers)
            assert result.findings == []
            assert result.written > 0
            assert disk.sectors_that_the_peer_wrote() == 0
            assert read_claim(disk.peers.place, read_superblock(disk.peers.place)[0].volume).process == 0


def test_a_worker_that_is_killed_costs_no_map_whose_output_its_peers_can_read(
    tmp_path: Path, loops: None
) -> None:
    with attached_disks(tmp_path, "raw") as disks:
        worker = disks.worker.replace("slots = 2", "slots = 4")
        with running_daemons(Stage(tmp_path / "stage"), worker=worker) as daemons:
            job = HeldJob(daemons.start, tmp_path, "-p", "method=reduce", "--reducers", "4", attempts=4)
            daemons.kill("worker-0")
            wait_for(lambda: list(daemons.workers()) == ["worker-1"], "the master sees it", 60)
            told = job.ends_well()
            assert "worker worker-0 was lost" in told
            assert "map-0" not in told, "no map is run again"
            daemons.start_worker("worker-0")
            daemons.wait_for_workers(2)
            wait_for(lambda: _free(daemons) == {6}, "all shared files are free again", 60)
            daemons.stop()


def _free(daemons: Daemons) -> set[int]:
    description = daemons.describe()
    assert description is not None
    return {worker.shared_files_free for worker in description.workers}
