"""Scratch runs: what is written comes back, and what is damaged does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from blfs_mr.errors import ChecksumMismatch, OutputError, TruncatedFile
from blfs_mr.taskrun.scratch import ScratchRun

PAYLOADS = [b"first", bytes(300_000), b"x"]


def _written(path: Path) -> ScratchRun:
    run = ScratchRun(str(path))
    for records, payload in enumerate(PAYLOADS, 1):
        run.append(payload, records)
    run.finish()
    return run


def test_a_run_gives_its_payloads_back_and_is_gone(tmp_path: Path) -> None:
    run = _written(tmp_path / "run")
    assert (run.records, run.largest, run.size) == (6, 300_000, (tmp_path / "run").stat().st_size)
    assert list(run.payloads()) == PAYLOADS
    assert list(tmp_path.iterdir()) == []


def test_a_discarded_run_is_gone(tmp_path: Path) -> None:
    run = ScratchRun(str(tmp_path / "run"))
    run.append(b"payload", 1)
    run.discard()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("position", [4, 13, 100, 200_000])
def test_a_flipped_bit_is_found(tmp_path: Path, position: int) -> None:
    run = _written(tmp_path / "run")
    content = bytearray((tmp_path / "run").read_bytes())
    content[position] ^= 1
    (tmp_path / "run").write_bytes(content)
    with pytest.raises(ChecksumMismatch):
        list(run.payloads())


@pytest.mark.parametrize("lost", [1, 12, 13, 20, 200_000])
def test_a_file_that_lost_its_end_is_found(tmp_path: Path, lost: int) -> None:
    run = _written(tmp_path / "run")
    content = (tmp_path / "run").read_bytes()
    (tmp_path / "run").write_bytes(content[:-lost])
    with pytest.raises(TruncatedFile):
        list(run.payloads())


def test_a_folder_that_takes_no_file_is_told_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="absent/run cannot be made: No such file"):
        ScratchRun(str(tmp_path / "absent" / "run"))


def test_a_full_disk_is_told_with_the_path() -> None:
    run = ScratchRun("/dev/full")
    with pytest.raises(OutputError, match="/dev/full cannot be written: No space left"):
        run.append(bytes(2 << 20), 1)
    with pytest.raises(OutputError):
        run.finish()
