"""Inventories from the older text files."""

from __future__ import annotations

from pathlib import Path

import pytest

from blfs_mr.cluster.importing import imported_config, parse_workers
from blfs_mr.cluster.planning import shared_files
from blfs_mr.config import load_config
from blfs_mr.errors import UsageError


def test_the_files_of_before_become_an_inventory(tmp_path: Path) -> None:
    workers, files = tmp_path / "workers", tmp_path / "sharedfiles"
    workers.write_text("worker0:172.30.1.33\n\n# a comment\nworker1 : 172.30.1.34\n")
    files.write_text("shfile00:2M\nshfile01:2M\n")
    config = tmp_path / "config.toml"
    config.write_text(imported_config(workers, files, "/dev/sdb", "lab"))
    cluster = load_config(config, {}).cluster
    assert [(worker.name, worker.address, worker.device) for worker in cluster.workers] == [
        ("worker0", "172.30.1.33", "/dev/sdb"),
        ("worker1", "172.30.1.34", "/dev/sdb"),
    ]
    assert [(file.name, file.size) for file in shared_files(cluster)] == [
        ("shfile00", 2 << 20),
        ("shfile01", 2 << 20),
    ]


def test_every_wrong_line_is_told() -> None:
    with pytest.raises(UsageError) as caught:
        parse_workers("worker0:10.0.0.1\nworker1\nworker0:10.0.0.2\nwork er:x\n")
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_a_file_without_workers_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no workers"):
        parse_workers(text)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="absent"):
        imported_config(tmp_path / "absent", None, "/dev/sdb", "lab")
    (tmp_path / "workers").write_text("worker0:10.0.0.1\n")
    with pytest.raises(UsageError, match="nowhere"):
        imported_config(tmp_path / "workers", tmp_path / "nowhere", "/dev/sdb", "lab")
