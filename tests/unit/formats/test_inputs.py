"""From INPUT arguments to files, and from files to splits."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blfs_mr.errors import InputError, UsageError
from blfs_mr.formats import inputs as inputs_module
from blfs_mr.formats.inputs import InputFile, default_split_size, expand_inputs, make_splits

MIB = 1024 * 1024


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.txt", "a.txt", "c.log", "sub/d.txt", "sub/deep/e.txt", ".hidden", "_meta", "_old/x.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def names(tree: Path, *arguments: str) -> list[str]:
    return [
        os.path.relpath(file.path, tree) for file in expand_inputs([str(tree / name) for name in arguments])
    ]


def test_a_file_is_named_absolutely_with_its_size(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    assert expand_inputs(["sub/../a.txt"]) == (InputFile(str(tree / "a.txt"), 5, 0),)


def test_a_folder_is_read_to_its_depth_in_order_without_hidden_files(tree: Path) -> None:
    assert names(tree, ".") == ["a.txt", "b.txt", "c.log", "sub/d.txt", "sub/deep/e.txt"]


def test_a_glob_matches_files_and_folders_once_and_in_order(tree: Path) -> None:
    assert names(tree, "*.txt") == ["a.txt", "b.txt"]
    assert names(tree, "*") == ["a.txt", "b.txt", "c.log", "sub/d.txt", "sub/deep/e.txt"]
    assert names(tree, "**/*.txt") == ["a.txt", "b.txt", "sub/d.txt", "sub/deep/e.txt"]
    assert names(tree, "sub/**") == ["sub/d.txt", "sub/deep/e.txt"]


def test_what_is_left_out_can_be_asked_for_by_name(tree: Path) -> None:
    assert names(tree, "_meta", ".hidden", "_o*") == ["_meta", ".hidden", "_old/x.txt"]
    assert names(tree, "_old/*", ".h*") == ["_old/x.txt", ".hidden"]
    with pytest.raises(InputError, match="no input file matches"):
        names(tree, "*/x.txt")


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tree: Path) -> None:
    (tree / "[ab].txt").write_text("")
    assert names(tree, "[ab].txt") == ["[ab].txt"]


def test_sources_count_the_arguments_even_for_the_same_file(tree: Path) -> None:
    path = str(tree / "a.txt")
    assert [file.source for file in expand_inputs([path, str(tree / "sub"), path])] == [0, 1, 1, 2]


def test_links_are_followed_but_not_in_circles(tree: Path) -> None:
    (tree / "sub" / "link").symlink_to(tree / "sub" / "deep")
    assert names(tree, "sub") == ["sub/d.txt", "sub/deep/e.txt", "sub/link/e.txt"]
    (tree / "sub" / "deep" / "loop").symlink_to(tree / "sub")
    with pytest.raises(InputError, match=r"loop.*it lies in"):
        names(tree, "sub")


def test_inputs_that_are_not_there_are_named(tree: Path) -> None:
    (tree / "empty").mkdir()
    (tree / "dangling").symlink_to(tree / "nowhere")
    for argument, told in {
        "nothing.txt": "no such input: .*nothing.txt",
        "*.csv": r"no input file matches .*\*.csv",
        "empty": "no input file in the folder .*empty",
        "dangling": "cannot read the input .*dangling: No such file",
    }.items():
        with pytest.raises(InputError, match=told):
            names(tree, "a.txt", argument)
    with pytest.raises(InputError, match="no input: name"):
        expand_inputs([])


def test_what_is_not_a_regular_file_is_refused(tree: Path) -> None:
    os.mkfifo(tree / "sub" / "pipe")
    with pytest.raises(InputError, match="pipe is a pipe"):
        names(tree, "sub")
    with pytest.raises(InputError, match="is a character device"):
        expand_inputs(["/dev/null"])


def test_an_unreadable_file_is_refused(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Denied by a fake: tests that run as root are denied nothing.
    monkeypatch.setattr(inputs_module.os, "access", lambda path, mode: not path.endswith("b.txt"))
    with pytest.raises(InputError, match=r"b\.txt: permission denied"):
        names(tree, ".")


@given(sizes=st.lists(st.integers(0, 5000), max_size=6), split_size=st.integers(1, 6000))
def test_splits_cover_every_file_without_gap_or_overlap(sizes: list[int], split_size: int) -> None:
    files = [InputFile(f"/f{number}", size, number) for number, size in enumerate(sizes)]
    splits = make_splits(files, split_size)
    for file in files:
        mine = [split for split in splits if split.path == file.path]
        position = 0
        for split in mine:
            assert split.offset == position
            assert 0 < split.length <= split_size
            assert split.source == file.source
            position += split.length
        assert position == file.size
        assert len({split.length for split in mine}) <= 2  # as even as whole bytes allow


def test_a_compressed_file_is_one_split_and_an_empty_one_none() -> None:
    files = [InputFile("/a.gz", 1000, 0), InputFile("/b.gz", 0, 0), InputFile("/c", 0, 1)]
    assert [(split.path, split.length) for split in make_splits(files, 10)] == [("/a.gz", 1000)]


def test_a_format_that_cannot_be_entered_in_the_middle_is_not_divided() -> None:
    assert len(make_splits([InputFile("/a", 1000, 0)], 10, "csv:multiline")) == 1
    whole = make_splits([InputFile("/a", 1000, 0), InputFile("/b", 0, 0)], 10, "file")
    assert [(split.path, split.length) for split in whole] == [("/a", 1000), ("/b", 0)]


@given(records=st.integers(0, 200), size=st.integers(1, 50), split_size=st.integers(1, 3000))
def test_splits_of_fixed_size_records_hold_whole_records(records: int, size: int, split_size: int) -> None:
    splits = make_splits([InputFile("/a", records * size, 0)], split_size, f"binary:{size}")
    assert sum(split.length for split in splits) == records * size
    assert all(split.offset % size == split.length % size == 0 < split.length for split in splits)


def test_a_file_that_is_no_whole_number_of_records_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"/odd of 1001 bytes .* whole records of 100"):
        make_splits([InputFile("/odd", 1001, 0)], 1 << 20, "binary:100")
    make_splits([InputFile("/compressed.gz", 1001, 0)], 1 << 20, "binary:100")


def test_a_compression_that_cannot_be_read_here_is_refused_with_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(InputError, match=r"/a\.zst .*blfs-mr\[compression\]"):
        make_splits([InputFile("/a.zst", 10, 0)], 10)


def test_splits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1 byte"):
        make_splits([], 0)
    with pytest.raises(InputError, match="--split-size"):
        make_splits([InputFile("/a", 1 << 40, 0)], 1)
    with pytest.raises(UsageError, match="no input format 'x'; there are: lines"):
        make_splits([], 1, "x")


@pytest.mark.parametrize(
    ("total", "slots", "size"),
    [(0, 2, MIB), (32 * MIB, 2, 4 * MIB), (1 << 40, 8, 32 * MIB), (100, 0, MIB), (5 * MIB, 1, 5 * MIB // 4)],
)
def test_the_default_split_size_keeps_slots_busy_within_bounds(total: int, slots: int, size: int) -> None:
    assert default_split_size(total, slots) == size
