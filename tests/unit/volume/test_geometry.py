"""The list of shared files: its text, and the figures that cannot be."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.errors import UsageError
from blfs_mr.volume.geometry import (
    NamedFile,
    format_shared_files,
    is_name,
    parse_shared_files,
    uniform_files,
)


def test_a_list_has_a_name_and_a_size_on_each_line() -> None:
    text = "# of node 1\nshfile00:2097152\n\nshfile01:2M\n shfile02 : 2MiB \n"
    assert parse_shared_files(text) == tuple(NamedFile(f"shfile0{n}", 2 << 20) for n in range(3))


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True), st.integers(2, 999)))
def test_what_is_written_is_read(sizes: dict[str, int]) -> None:
    files = tuple(NamedFile(name, pages * 4096) for name, pages in sizes.items() if is_name(name))
    if files:
        assert parse_shared_files(format_shared_files(files)) == files


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a", "line 1: 'a' is not of the form name:size"),
        ("a:8192\n../b:8192", "line 2: '../b' cannot be"),
        (":8192", "line 1: '' cannot be"),
        ("lost+found:8192", "cannot be a shared file's name"),
        ("volume.lock:8192", "cannot be a shared file's name"),
        ("volume.superblock:8192", "cannot be a shared file's name"),
        (f"{'x' * 49}:8192", "cannot be a shared file's name"),
        ("a:8192\na:8192", "line 2: a stands there twice"),
        ("a:many", "line 1: 'many'"),
        ("a:5000", "line 1: a must have a multiple of 4096 bytes"),
        ("a:4096", "at least 8KiB"),
        ("", "1 to 100000 shared files, not 0"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused_by_its_number(text: str, part: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_shared_files(text)
    assert part in str(refused.value)


@pytest.mark.parametrize(("count", "size"), [(0, 8192), (100_001, 8192), (1, 4096), (1, 10_000)])
def test_figures_that_cannot_be_are_refused(count: int, size: int) -> None:
    with pytest.raises(UsageError):
        uniform_files(count, size)
