"""What is particular to a directory volume: its manifest, and files that are made when first leased."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from blfs_mr.errors import VolumeError
from blfs_mr.model import WorkerName
from blfs_mr.volume.directory import OwnedDirectoryVolume
from blfs_mr.volume.layout import open_volume

OWNER = WorkerName("alpha")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "volume"
    OwnedDirectoryVolume.create(str(root), OWNER, 2, 8192).close()
    return root


def test_files_are_made_in_full_size_when_first_opened_for_writing(root: Path) -> None:
    volume = OwnedDirectoryVolume.open_as_owner(str(root), OWNER)
    assert sorted(p.name for p in root.iterdir()) == ["volume.json", "volume.lock"]
    fd = volume.open_for_write(volume.shared_files()[1])
    assert os.fstat(fd).st_size == 8192
    assert sorted(p.name for p in root.iterdir()) == ["shared-00001", "volume.json", "volume.lock"]
    os.close(fd)
    volume.close()


def test_opening_for_writing_keeps_what_is_there(root: Path) -> None:
    (root / "shared-00000").write_bytes(b"x" * 100)
    volume = OwnedDirectoryVolume.open_as_owner(str(root), OWNER)
    fd = volume.open_for_write(volume.shared_files()[0])
    assert os.pread(fd, 8192, 0) == b"x" * 100 + bytes(8092)
    os.close(fd)
    volume.close()


@pytest.mark.parametrize(
    "path", ["../shared-00000", "/etc/passwd", "volume.json", "", "shared-0/../../x", "..", "shared-\0"]
)
def test_no_path_leads_out_of_the_volume(root: Path, path: str) -> None:
    volume = OwnedDirectoryVolume.open_as_owner(str(root), OWNER)
    for opened in (volume.open_for_read, volume.open_for_write):
        with pytest.raises(VolumeError, match="no shared file"):
            opened(replace(volume.shared_files()[0], path=path))
    volume.close()


def test_a_link_in_the_place_of_a_shared_file_is_not_written_through(root: Path, tmp_path: Path) -> None:
    (root / "shared-00000").symlink_to(tmp_path / "elsewhere")
    volume = OwnedDirectoryVolume.open_as_owner(str(root), OWNER)
    with pytest.raises(OSError, match="symbolic links"):
        volume.open_for_write(volume.shared_files()[0])
    assert not (tmp_path / "elsewhere").exists()
    volume.close()


def test_a_volume_is_not_made_over_another(root: Path) -> None:
    before = (root / "volume.json").read_bytes()
    with pytest.raises(VolumeError, match="already"):
        OwnedDirectoryVolume.create(str(root), OWNER, 2, 8192)
    assert (root / "volume.json").read_bytes() == before
    OwnedDirectoryVolume.open_as_owner(str(root), OWNER).close()


def test_another_worker_s_volume_is_refused(root: Path) -> None:
    with pytest.raises(VolumeError, match="of worker alpha, not of beta"):
        OwnedDirectoryVolume.open_as_owner(str(root), WorkerName("beta"))
    OwnedDirectoryVolume.open_as_owner(str(root), OWNER).close()


def test_a_folder_that_is_no_volume_is_refused_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match=r"no volume\.json"):
        OwnedDirectoryVolume.open_as_owner(str(tmp_path), OWNER)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("count", "size"), [(0, 8192), (100_001, 8192), (1, 4096), (1, 10_000)])
def test_figures_that_cannot_be_are_refused(tmp_path: Path, count: int, size: int) -> None:
    with pytest.raises(VolumeError):
        OwnedDirectoryVolume.create(str(tmp_path / "new"), OWNER, count, size)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2"),
        ({"volume": "xyz"}, "does not describe"),
        ({"volume": "Z" * 32}, "does not describe"),
        ({"owner": 3}, "does not describe"),
        ({"layout": "raw"}, "does not describe"),
        ({"count": "2"}, "does not describe"),
        ({"count": 0}, "shared files"),
        ({"size": 5000}, "multiple of 4096"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(
    root: Path, change: dict[str, object], message: str
) -> None:
    manifest = json.loads((root / "volume.json").read_text())
    (root / "volume.json").write_text(json.dumps(manifest | change))
    with pytest.raises(VolumeError, match=message):
        OwnedDirectoryVolume.open_as_owner(str(root), OWNER)


@pytest.mark.parametrize("text", ["", "[]", "{", "\xff"])
def test_a_manifest_that_is_no_manifest_is_refused(root: Path, text: str) -> None:
    (root / "volume.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(VolumeError, match=r"volume\.json"):
        OwnedDirectoryVolume.open_as_owner(str(root), OWNER)


def test_without_direct_reads_a_volume_is_read_through_the_cache(root: Path) -> None:
    volume = OwnedDirectoryVolume.open_as_owner(str(root), OWNER)
    os.close(volume.open_for_write(volume.shared_files()[0]))
    buffered = open_volume(replace(volume.access, direct=False))
    fd = buffered.open_for_read(volume.shared_files()[0])
    assert os.pread(fd, 3, 1) == bytes(3)
    os.close(fd)
    volume.close()


def test_task_processes_load_nothing_heavy() -> None:
    program = """
import sys, blfs_mr.volume.layout, blfs_mr.spill.writer, blfs_mr.spill.reader
print([m for m in ("asyncio", "logging", "json", "ctypes", "pydantic", "subprocess") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"
