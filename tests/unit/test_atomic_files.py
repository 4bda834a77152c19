"""Files appear with all of their contents and their mode, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from blfs_mr.atomic_files import replace_file, write_beside


def test_a_file_is_made_and_replaced_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "key"
    replace_file(path, b"one", 0o600)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"one", 0o600)
    before = path.stat().st_ino
    replace_file(path, b"two", 0o644)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"two", 0o644)
    assert path.stat().st_ino != before
    assert os.listdir(tmp_path) == ["key"]


def test_a_file_that_was_replaced_is_so_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed, fsync = [], os.fsync

    def flush(descriptor: int) -> None:
        flushed.append((os.readlink(f"/proc/self/fd/{descriptor}"), os.listdir(tmp_path)))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", flush)
    replace_file(tmp_path / "key", b"one", 0o600)
    beside, folder = flushed
    assert beside[0].startswith(f"{tmp_path}/.key.")
    assert folder == (str(tmp_path), ["key"])


def test_what_is_written_beside_is_not_the_file_yet(tmp_path: Path) -> None:
    path = tmp_path / "key"
    beside = write_beside(path, b"one", 0o600)
    assert not path.exists()
    assert (beside.parent, beside.read_bytes(), beside.stat().st_mode & 0o777) == (tmp_path, b"one", 0o600)


def test_what_cannot_be_put_in_its_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder" / "x").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        replace_file(tmp_path / "folder", b"one", 0o600)
    assert os.listdir(tmp_path) == ["folder"]
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "nowhere" / "key", b"one", 0o600)
