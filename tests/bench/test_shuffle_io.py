"""The files that shuffle-io measures, and that none of its file system stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.file_systems import FileSystem, file_system
from tests.bench.processes import REPOSITORY
from tests.bench.shuffle_io import REDUCERS, Files

HOLDER = """
import signal, sys
from tests.bench.file_systems import file_system
from tests.bench.processes import none_left_behind
with none_left_behind(), file_system(1 << 20) as mounted:
    print(mounted.folder, mounted.device, flush=True)
    {then}
"""


def mounts() -> str:
    return Path("/proc/self/mounts").read_text()


def test_what_is_written_for_many_reducers_is_read_back_complete(tmp_path: Path) -> None:
    files = Files(FileSystem(tmp_path, ""), 1)
    assert files.write(REDUCERS) > 0
    assert files.read_as_written_for(REDUCERS) > 0


def test_files_are_written_anew_before_they_are_read_by_another_number_of_reducers(tmp_path: Path) -> None:
    files = Files(FileSystem(tmp_path, ""), 1)
    files.write(REDUCERS)
    before = (tmp_path / "shared-00000").read_bytes()
    assert files.read_as_written_for(1) > 0
    assert (tmp_path / "shared-00000").read_bytes() != before


def test_a_plain_folder_is_gone_after_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with file_system(1 << 20) as mounted:
        assert mounted.folder.is_dir()
        assert mounted.device == ""
    assert not mounted.folder.exists()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for loop devices")
@pytest.mark.parametrize(
    ("then", "code"),
    [("pass", 0), ("raise RuntimeError", 1), ("signal.pause()", 128 + signal.SIGTERM)],
    ids=["success", "failure", "SIGTERM"],
)
def test_neither_mount_nor_loop_device_nor_image_stays_after(then: str, code: int) -> None:
    command = [sys.executable, "-c", HOLDER.format(then=then)]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    folder, _, device = process.stdout.readline().strip().partition(" ")
    if not device:
        process.kill()
        process.wait()
        pytest.skip("there are no loop devices here")
    if code > 128:
        assert folder in mounts()
        process.send_signal(signal.SIGTERM)
    assert process.wait(20) == code
    assert folder not in mounts()
    assert not Path(folder).parent.exists()
    backing = Path("/sys/block") / Path(device).name / "loop/backing_file"
    assert not backing.exists() or folder not in backing.read_text()
