"""The cluster's secret file: made once, in one step, for its owner alone."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from blfs_mr.errors import ConfigError
from blfs_mr.secret import (
    SECRET_BYTES,
    load_or_create_secret,
    load_or_create_secrets,
    retire_old_secret,
    rotate_secret,
)


def test_a_missing_secret_is_made_for_its_owner_alone_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "home" / "secret"
    secret = load_or_create_secret(path)
    assert len(secret) == SECRET_BYTES
    assert load_or_create_secret(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.read_text() == secret.hex() + "\n"


def test_two_secrets_differ(tmp_path: Path) -> None:
    assert load_or_create_secret(tmp_path / "one") != load_or_create_secret(tmp_path / "other")


def test_processes_that_start_together_agree_on_one_secret(tmp_path: Path) -> None:
    together = threading.Barrier(8)
    found = []

    def start() -> None:
        together.wait()
        found.append(load_or_create_secret(tmp_path / "secret"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert os.listdir(tmp_path) == ["secret"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602])
def test_a_secret_that_others_may_read_or_write_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    load_or_create_secret(path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
        load_or_create_secret(path)


@pytest.mark.parametrize("content", ["", "ab", "zz" * 32, "ab" * 33, "AB" * 32, "ab" * 32 + "\n\n"])
def test_a_file_that_holds_no_secret_is_refused_with_the_remedy_and_kept(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "secret"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="delete the file to have a new one made"):
        load_or_create_secret(path)
    assert path.read_text() == content


def test_a_folder_or_a_pipe_is_no_secret(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ConfigError, match="must be a regular file"):
            load_or_create_secret(path)


def test_a_place_where_no_file_can_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be read or made"):
        load_or_create_secret(tmp_path / "file" / "secret")


def test_a_rotation_keeps_the_old_secret_until_it_is_retired(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    old = load_or_create_secret(path)
    rotate_secret(path)
    new = load_or_create_secret(path)
    assert new != old
    assert load_or_create_secrets(path) == (new, old)
    retire_old_secret(path)
    assert load_or_create_secrets(path) == (new,)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
