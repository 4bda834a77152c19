"""``.meta`` files."""

from __future__ import annotations

from pathlib import Path

import pytest

from blfs_mr.errors import InputError, OutputError
from blfs_mr.formats.meta import MetaEntry, read_meta, write_meta
from blfs_mr.model import WorkerName


def entry(path: str, worker: str = "worker-0") -> MetaEntry:
    return MetaEntry(path, WorkerName(worker))


def test_entries_read_back_as_written_colons_and_odd_bytes_included(tmp_path: Path) -> None:
    entries = (entry("/in/a:b", "w1"), entry("/in/\udcff é\r", "w2"), entry("/in/a:b", "w1"))
    path = str(tmp_path / "input.meta")
    write_meta(path, [entry("/old")])
    write_meta(path, entries)
    assert read_meta(path) == entries
    assert [left.name for left in tmp_path.iterdir()] == ["input.meta"]


def test_the_files_of_the_prototype_are_read(tmp_path: Path) -> None:
    (tmp_path / ".meta").write_text("/data/split0:worker1\n\n/data/split1:worker2")
    assert read_meta(str(tmp_path / ".meta")) == (
        entry("/data/split0", "worker1"),
        entry("/data/split1", "worker2"),
    )


@pytest.mark.parametrize("line", ["no colon", ":worker", "/path:"])
def test_a_line_that_is_no_entry_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / ".meta").write_text(f"/a:w\n{line}\n")
    with pytest.raises(InputError, match="line 2"):
        read_meta(str(tmp_path / ".meta"))


def test_an_entry_that_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    for wrong in (entry("/a\nb"), entry("/a", "w:1"), entry("", "w"), entry("/a", "")):
        with pytest.raises(OutputError):
            write_meta(str(tmp_path / ".meta"), [wrong])
    assert list(tmp_path.iterdir()) == []


def test_files_out_of_reach_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.meta"):
        read_meta(str(tmp_path / "none.meta"))
    with pytest.raises(OutputError, match="cannot write"):
        write_meta(str(tmp_path / "no folder" / ".meta"), [])
