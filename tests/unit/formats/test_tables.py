"""The formats csv and csv-dict."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.errors import InputError, UsageError, UserCodeError
from blfs_mr.formats import lines as lines_module
from blfs_mr.formats.reading import input_format
from tests.unit.formats.round_trip import read_records, write, written_by

one_line = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=5) | st.sampled_from(
    ['"', 'a"b', ",", '","', " x "]
)
any_text = one_line | st.sampled_from(["\n", "a\nb", '"\n"', "x\r\ny"])


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.tuples(one_line, one_line, one_line)), split_size=st.integers(1, 60))
def test_rows_come_back_wherever_the_bounds_fall(rows: list[tuple[str, str, str]], split_size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), written_by("csv", [(a, [b, c]) for a, b, c in rows]))
        assert read_records(path, "csv", split_size) == [list(row) for row in rows]


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.tuples(any_text, any_text)), chunk=st.integers(1, 20))
def test_rows_of_several_lines_come_back_in_the_multiline_format(
    rows: list[tuple[str, str]], chunk: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "CHUNK", chunk)
        path = write(Path(folder), written_by("csv", rows))
        assert read_records(path, "csv:multiline", 1) == [list(row) for row in rows]
        header = write(Path(folder), b"a,b\n" + written_by("csv", rows))
        assert read_records(header, "csv-dict:multiline") == [{"a": a, "b": b} for a, b in rows]


@settings(max_examples=100, deadline=None)
@given(
    before=st.lists(st.tuples(one_line, one_line), max_size=5),
    row=st.tuples(one_line, st.sampled_from(["x\ny", '\n"', "a\n\nb,c"])),
    after=st.lists(st.tuples(one_line, one_line), max_size=5),
    split_size=st.integers(1, 60),
    chunk=st.integers(1, 30),
)
def test_a_row_of_several_lines_is_never_taken_for_several_rows(
    before: list[tuple[str, str]],
    row: tuple[str, str],
    after: list[tuple[str, str]],
    split_size: int,
    chunk: int,
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "CHUNK", chunk)
        path = write(Path(folder), written_by("csv", [*before, row, *after]))
        with pytest.raises(InputError, match=f"line {len(before) + 1}: .*csv:multiline"):
            read_records(path, "csv", split_size)


def test_the_header_names_the_fields_in_every_split(tmp_path: Path) -> None:
    rows = [{"name": f"n{number}", "size": str(number)} for number in range(50)]
    text = io.StringIO()
    writer = csv.DictWriter(text, ["name", "size"])  # which ends its lines with \r\n
    writer.writeheader()
    writer.writerows(rows)
    path = write(tmp_path, b"\xef\xbb\xbf" + text.getvalue().encode())
    for split_size in (3, 10, 100, 1 << 20):
        assert read_records(path, "csv-dict", split_size) == rows
    assert read_records(path, "csv")[0] == ["\ufeffname", "size"]


def test_a_row_that_does_not_fit_its_header_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, b"\na,b\n1,2\n\n1,2,3\n4,5\n")
    for split_size in (4, 1 << 20):
        with pytest.raises(InputError, match="line 5: 3 fields in a row, while the header names 2"):
            read_records(path, "csv-dict", split_size)
    with pytest.raises(InputError, match="'a' twice"):
        read_records(write(tmp_path, b"a,b,a\n1,2,3\n"), "csv-dict")


def test_quotes_that_never_end_are_named_and_not_swallowed(tmp_path: Path) -> None:
    path = write(tmp_path, b'a,b\n"never,ends\n1,2\n')
    with pytest.raises(InputError, match="line 2: "):
        read_records(path, "csv")
    with pytest.raises(InputError, match="line 3: unexpected end of data"):
        read_records(path, "csv:multiline")


def test_empty_lines_are_no_rows_and_a_file_of_a_header_only_has_none(tmp_path: Path) -> None:
    assert read_records(write(tmp_path, b"\n\na\n\n"), "csv") == [["a"]]
    assert read_records(write(tmp_path, b"a,b\n"), "csv-dict") == []


def test_items_are_written_as_documented() -> None:
    pairs = [
        ("k", 1),
        (None, ("a,b", 'c"d', None)),
        (("x", 2.5), [b"raw\xff", {"y": [1]}]),
        (True, "é\udcff"),
    ]
    assert written_by("csv", pairs) == (
        b'k,1\n,"a,b","c""d",\nx,2.5,raw\xff,"{""y"": [1]}"\nTrue,' + "é".encode() + b"\xff\n"
    )
    with pytest.raises(UserCodeError, match="must yield"):
        written_by("csv", ["ab"])


def test_only_multiline_may_follow_the_colon() -> None:
    with pytest.raises(UsageError, match="multiline"):
        input_format("csv:tab")
