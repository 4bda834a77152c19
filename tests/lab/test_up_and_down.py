"""``blfs-mr lab up`` and ``down``: what is refused, and that nothing is left of a lab, half made or not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from blfs_mr.cli import BLFS_MR
from blfs_mr.console import run
from blfs_mr.lab.loops import loops_over
from blfs_mr.lab.plan import Backend
from blfs_mr.lab.running import load_plan
from blfs_mr.model import VolumeLayout
from tests.integration.harness import wait_for
from tests.lab.labs import DEADLINE, REPOSITORY, left_of, skip_without

pytestmark = pytest.mark.root

UP = ("lab", "up", "--nodes", "2", "--count", "4", "--size", "64KiB", "--layout", "raw")


def command(*arguments: object) -> int:
    """Run the command here; its exit code."""
    with pytest.raises(SystemExit) as ended:
        run(BLFS_MR, "blfs-mr", list(map(str, arguments)))
    return int(ended.value.code or 0)


def half_made(folder: Path, backend: Backend) -> subprocess.Popen[bytes]:
    """A ``lab up`` that is under way: there is a device already, and more are to come."""
    skip_without(backend, VolumeLayout.RAW)
    arguments = [*UP, "--backend", backend.value, "--folder", str(folder), "--nodes", "6"]
    process = subprocess.Popen([sys.executable, "-m", "blfs_mr.cli", *arguments])
    wait_for(lambda: any(loops_over(folder)), "there is a device", DEADLINE)
    return process


def test_a_lab_over_loop_devices_comes_and_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skip_without(Backend.LOOP, VolumeLayout.RAW)
    folder = tmp_path / "lab"
    up = [*UP, "--backend", "loop", "--folder", folder]
    try:
        assert command(*up) == 0
        plan = load_plan(folder)
        assert f"--master 127.0.0.1:{plan.master_port} --config {plan.config} JOB" in capsys.readouterr().out
        assert len(list(loops_over(folder))) == 4
        assert command(*up) == 2
        assert f"{folder} exists" in capsys.readouterr().err
    finally:
        assert command("lab", "down", "--folder", folder) == 0
    assert left_of(plan) == []
    assert command("lab", "down", "--folder", folder) == 0
    assert "there is no lab" in capsys.readouterr().out


@pytest.mark.parametrize("backend", list(Backend))
def test_down_removes_what_a_killed_up_has_half_made(backend: Backend, tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    process = half_made(folder, backend)
    process.kill()
    process.wait()
    plan = load_plan(folder)
    assert command("lab", "down", "--folder", folder) == 0
    assert left_of(plan) == []


def test_up_removes_what_it_has_made_when_it_is_told_to_stop(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    process = half_made(folder, Backend.ISCSI)
    plan = load_plan(folder)
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE) == 130
    assert left_of(plan) == []


def test_the_lab_of_a_killed_test_is_taken_down(tmp_path: Path) -> None:
    skip_without(Backend.ISCSI, VolumeLayout.RAW)
    folder = tmp_path / "lab"
    program = (
        "from pathlib import Path\n"
        "from tests.lab.labs import Backend, VolumeLayout, a_lab, a_plan\n"
        f"with a_lab(a_plan(Path({str(folder)!r}), Backend.ISCSI, VolumeLayout.RAW)):\n"
        "    print('up', flush=True)\n"
        "    input()\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        plan = load_plan(folder)
        process.kill()
    wait_for(lambda: left_of(plan) == [], "the lab is down", DEADLINE)


def test_a_folder_that_holds_no_lab_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious").touch()
    assert command("lab", "down", "--folder", tmp_path) == 2
    assert "holds no lab" in capsys.readouterr().err
    assert (tmp_path / "precious").exists()


def test_without_root_it_says_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert command(*UP, "--backend", "loop", "--folder", tmp_path / "lab") == 2
    assert "needs root" in capsys.readouterr().err
    assert not (tmp_path / "lab").exists()


def test_a_missing_program_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    monkeypatch.setattr("shutil.which", lambda program: None if program == "tgtd" else f"/bin/{program}")
    assert command(*UP, "--backend", "iscsi", "--folder", tmp_path / "lab") == 2
    assert "tgtd is not installed (package tgt)" in capsys.readouterr().err
