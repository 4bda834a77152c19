"""From a split to its records."""

from __future__ import annotations

import gzip
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.errors import InputError, UsageError
from blfs_mr.formats import lines as lines_module
from blfs_mr.formats.inputs import InputFile, make_splits
from blfs_mr.formats.reading import RecordCursor, open_split
from blfs_mr.job import Split
from blfs_mr.model import InputSplit


def expected_lines(data: bytes) -> list[bytes]:
    lines = data.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def write(tmp_path: Path, data: bytes, name: str = "input.txt") -> str:
    path = tmp_path / name
    path.write_bytes(data)
    return str(path)


def read_all(path: str, split_size: int) -> list[list[str]]:
    splits = make_splits([InputFile(path, os.path.getsize(path), 0)], split_size)
    return [list(open_split(split).records()) for split in splits]


some_text = st.lists(
    st.sampled_from(
        [b"\n", b"\n\n", b"\r\n", b"a", b"bc d", b"\xc3\xa9", b"\xff\x80", b"\xe2\x80\xa8", b"\0", b"x" * 9]
    )
).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(data=some_text | st.binary(max_size=60), split_size=st.integers(1, 40), chunk=st.integers(1, 12))
def test_every_line_is_in_exactly_one_split_wherever_the_bounds_fall(
    data: bytes, split_size: int, chunk: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "CHUNK", chunk)
        patch.setattr(lines_module, "LAST_LINE_CHUNK", chunk)
        path = write(Path(folder), data)
        records = [record for split in read_all(path, split_size) for record in split]
        assert [record.encode("utf-8", "surrogateescape") for record in records] == expected_lines(data)
        splits = make_splits([InputFile(path, len(data), 0)], split_size)
        assert b"".join(open_split(split).read() for split in splits) == data


def test_a_line_belongs_to_the_split_in_which_its_first_byte_stands(tmp_path: Path) -> None:
    path = write(tmp_path, b"aa\nbb\ncc\ndd")
    owned = [list(open_split(InputSplit(path, offset, 3)).records()) for offset in (0, 3, 6)]
    assert owned == [["aa"], ["bb"], ["cc"]]
    assert list(open_split(InputSplit(path, 2, 3)).records()) == ["bb"]
    assert list(open_split(InputSplit(path, 4, 2)).records()) == []
    assert list(open_split(InputSplit(path, 8, 3)).records()) == ["dd"]


def test_a_line_longer_than_many_splits_is_in_the_first_of_them(tmp_path: Path) -> None:
    path = write(tmp_path, b"a" * 95 + b"\nb\n")
    assert read_all(path, 10)[0] == ["a" * 95]
    assert sum(map(len, read_all(path, 10))) == 2


def test_only_a_newline_ends_a_line_and_all_else_stays_in_the_record(tmp_path: Path) -> None:
    path = write(tmp_path, "a\r\n\x0cb\u2028c\x1d\n\n".encode())
    assert read_all(path, 1000) == [["a\r", "\x0cb\u2028c\x1d", ""]]


def test_a_split_offers_its_bytes_text_lines_and_place(tmp_path: Path) -> None:
    path = write(tmp_path, b"one\ntwo\xff\nthree\n")
    split: Split = open_split(InputSplit(path, 4, 3, source=2))
    assert (split.path, split.offset, split.length, split.source) == (path, 4, 3, 2)
    assert split.read() == b"two\xff\n"
    assert split.text() == "two\udcff\n"
    assert list(split.lines()) == ["two\udcff"]
    assert split.read() == b"two\xff\n"


@pytest.mark.parametrize("members", [1, 3])
def test_a_compressed_file_reads_as_what_it_holds(tmp_path: Path, members: int) -> None:
    data = b"first\nsecond line\n" * 5000 + b"last"
    part = len(data) // members + 1
    packed = b"".join(gzip.compress(data[start : start + part]) for start in range(0, len(data), part))
    path = write(tmp_path, packed, "input.gz")
    assert [line.encode() for split in read_all(path, 10) for line in split] == expected_lines(data)


@pytest.mark.parametrize("harm", ["cut", "flipped", "not gzip"])
def test_a_harmed_compressed_file_is_named(tmp_path: Path, harm: str) -> None:
    packed = bytearray(gzip.compress(os.urandom(5000)))
    if harm == "cut":
        del packed[-100:]
    elif harm == "flipped":
        packed[2000] ^= 0xFF
    else:
        packed[:2] = b"PK"
    path = write(tmp_path, bytes(packed), "input.gz")
    with pytest.raises(InputError, match=r"input\.gz"):
        read_all(path, 10)


def test_a_file_that_vanished_or_shrank_is_an_error_and_not_less_data(tmp_path: Path) -> None:
    path = write(tmp_path, b"a\nb\nc\n")
    split = InputSplit(path, 2, 4)
    os.truncate(path, 4)
    with pytest.raises(InputError, match="shorter than when the job was submitted"):
        list(open_split(split).records())
    os.unlink(path)
    with pytest.raises(InputError, match=r"input\.txt: No such file"):
        list(open_split(split).records())


def test_a_line_without_end_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_module, "MAX_LINE", 50)
    monkeypatch.setattr(lines_module, "CHUNK", 10)
    monkeypatch.setattr(lines_module, "LAST_LINE_CHUNK", 10)
    path = write(tmp_path, b"short\n" + b"x" * 100)
    for length in (106, 10):
        with pytest.raises(InputError, match="is it a text file"):
            list(open_split(InputSplit(path, 0, length)).records())


def test_an_unknown_format_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'xml'; there are: lines, jsonl, csv"):
        open_split(InputSplit("/x", 0, 1), "xml")


def test_the_cursor_knows_the_record_handed_out_last() -> None:
    cursor = RecordCursor(iter([["a", "b"], [], ["c"]]))
    assert (cursor.current, cursor.count) == (None, 0)
    seen = [(record, cursor.current, cursor.count) for record in cursor]
    assert seen == [("a", "a", 1), ("b", "b", 2), ("c", "c", 3)]
    assert (cursor.current, cursor.count) == ("c", 3)


def test_the_cursor_still_knows_the_record_when_user_code_raised_on_it() -> None:
    def fail_on_c(record: str) -> str:
        if record == "c":
            raise ValueError(record)
        return record

    cursor = RecordCursor(iter([["a"], ["b", "c", "d"]]))
    with pytest.raises(ValueError, match="c"):
        list(map(fail_on_c, cursor))
    assert cursor.current == "c"
