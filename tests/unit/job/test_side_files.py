"""Where files that travel with a job are placed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from blfs_mr.errors import JobFileError
from blfs_mr.job import place, placed
from blfs_mr.model import SideFile


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "/etc/x", "a\0b", "x" * 256, "é" * 128])
@pytest.mark.parametrize("importable", [True, False])
def test_a_name_that_could_lead_elsewhere_is_refused(tmp_path: Path, name: str, importable: bool) -> None:
    with pytest.raises(JobFileError, match="a side file: "):
        place([SideFile(name, b"", importable)], str(tmp_path))
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_files_and_modules_are_there_for_a_while_and_apart_from_each_other() -> None:
    before, search_path = os.getcwd(), list(sys.path)
    files = (SideFile("words", b"a b", False), SideFile("placed_module.py", b"X = 3", True))
    with placed(files):
        assert Path("words").read_bytes() == b"a b"
        assert not Path("placed_module.py").exists()
        import placed_module  # type: ignore[import-not-found]

        assert placed_module.X == 3
        folder = Path.cwd().parent
    del sys.modules["placed_module"]
    assert (os.getcwd(), sys.path) == (before, search_path)
    assert not folder.exists()


def test_without_side_files_nothing_changes() -> None:
    before = os.getcwd()
    with placed(()):
        assert os.getcwd() == before
