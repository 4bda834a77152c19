"""A job over volumes on block devices: two workers, each the owner of one disk and a peer of the other's."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from blfs_mr.volume.superblock_pages import read_claim, read_superblock
from blfs_mr.volume.verify import verify_volume
from tests.block.cluster import attached_disks
from tests.block.disks import KINDS
from tests.integration.harness import WORDCOUNT, Stage, lines_of, running_daemons

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
