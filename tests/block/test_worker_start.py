"""A worker does not start on an own volume that breaks the contract, and says how to mend it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from blfs_mr.model import WorkerName
from blfs_mr.volume.attach import AttachRole, attach
from blfs_mr.volume.format import format_volume
from blfs_mr.volume.superblock import Claim, State, pack_superblock
from blfs_mr.volume.superblock_pages import read_pages, read_superblock, write_claim, write_pages
from tests.block.disks import FILES, Disk, tool

pytestmark = pytest.mark.root


def start_worker(disk: Disk, folder: Path, more: str = "") -> tuple[int, str]:
    """Exit code of a worker with the disk as its own volume, and what it said. No master is needed for it."""
    config = folder / "config.toml"
    config.write_text(
        f"home = '{folder}/home'\n[worker]\nlayout = '{disk.layout.value}'\ndevice = '{disk.owner}'\n"
        f"volume = '{disk.mount}'\n{more}\n"
    )
    command = [sys.executable, "-m", "daemons.worker", "--config", str(config), "--name", "alpha"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return ran.returncode, ran.stdout + ran.stderr


def another_worker_s(disk: Disk) -> None:
    format_volume(replace(disk.plan(force=True), owner=WorkerName("beta")))


def another_host_s(disk: Disk) -> None:
    superblock, _ = read_superblock(disk.owner)
    write_claim(disk.owner, superblock.volume, Claim("11" * 8, "22" * 16, "33" * 16, "node-b", 4711, 99, 1))


def read_only(disk: Disk) -> None:
    tool("blockdev", "--setro", disk.owner)


def of_a_newer_version(disk: Disk) -> None:
    page = bytearray(read_pages(disk.owner, 0, 1))
    page[16] = 2
    write_pages(disk.owner, 0, bytes(page))


def foreign(disk: Disk) -> None:
    write_pages(disk.owner, 0, bytes(range(256)) * 16)


def half_formatted(disk: Disk) -> None:
    superblock, _ = read_superblock(disk.owner)
    write_pages(disk.owner, 0, pack_superblock(replace(superblock, state=State.FORMATTING)))


@pytest.mark.parametrize(
    ("spoil", "line", "problem", "remedy"),
    [
        (another_worker_s, 2, "is the volume of worker beta, not of alpha", "name the right device"),
        (another_host_s, 2, "has another owner, process 4711 on host node-b", "attach --take-over"),
        (read_only, 2, "is read-only, and it is configured as this worker's own volume", "blockdev --setrw"),
        (of_a_newer_version, 5, "is a volume of format version 2", "use the blfs-mr that formatted it"),
        (foreign, 5, "holds no volume of ours", "blfs-mr volume format"),
        (half_formatted, 5, "was begun and not finished", "blfs-mr volume format --force"),
    ],
)
def test_a_broken_volume_is_refused_with_line_and_remedy(
    spoil: Callable[[Disk], None], line: int, problem: str, remedy: str, raw: Disk, tmp_path: Path
) -> None:
    raw.format()
    spoil(raw)
    before = read_pages(raw.owner, 0, 3)
    code, said = start_worker(raw, tmp_path)
    assert code not in (0, -9)
    assert f"contract line {line}" in said
    assert problem in said
    assert remedy in said
    assert "Traceback" not in said
    assert read_pages(raw.owner, 0, 3) == before, "nothing was written"


def test_a_geometry_that_the_configuration_contradicts_is_refused(raw: Disk, tmp_path: Path) -> None:
    raw.format()
    code, said = start_worker(raw, tmp_path, f"shared_files = {FILES + 1}")
    assert code != 0
    assert f"has {FILES} shared files of 64KiB, the configuration says {FILES + 1} of any size" in said
    assert "contract line 1" in said


def test_all_breaches_are_told_at_once(files: Disk, tmp_path: Path) -> None:
    Path(files.mount, "shared-00001").unlink()
    Path(files.mount, "notes.txt").write_text("not ours")
    code, said = start_worker(files, tmp_path, f"shared_files = {FILES + 1}")
    assert code != 0
    assert "shared-00001 is missing" in said
    assert "notes.txt" in said
    assert "the configuration says" in said


def test_a_volume_that_is_attached_for_peers_is_refused(files: Disk, tmp_path: Path) -> None:
    tool("umount", files.mount)
    attach(files.owner, files.mount, AttachRole.PEER)
    code, said = start_worker(files, tmp_path)
    assert code != 0
    assert "is mounted ro" in said
    assert "--role owner" in said
