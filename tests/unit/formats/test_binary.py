"""The formats binary and file."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.errors import InputError, UsageError, UserCodeError
from blfs_mr.formats import binary as binary_module
from blfs_mr.formats import whole_files as whole_files_module
from blfs_mr.formats.reading import input_format, open_split
from blfs_mr.model import InputSplit
from tests.unit.formats.round_trip import read_records, write, written_by


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 40),
    records=st.integers(0, 50),
    split_size=st.integers(1, 300),
    chunk=st.integers(1, 90),
)
def test_records_of_a_fixed_size_come_back_wherever_the_bounds_fall(
    tmp_path_factory: pytest.TempPathFactory, size: int, records: int, split_size: int, chunk: int
) -> None:
    data = os.urandom(size * records)
    path = write(tmp_path_factory.mktemp("binary"), data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(binary_module, "CHUNK", chunk)
        found = read_records(path, f"binary:{size}", split_size)
    assert found == [data[start : start + size] for start in range(0, len(data), size)]


def test_a_compressed_file_is_read_to_its_end_and_must_hold_whole_records(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(b"aabbcc"), "input.gz")
    assert read_records(path, "binary:2") == [b"aa", b"bb", b"cc"]
    with pytest.raises(InputError, match=r"input\.gz does not consist of whole records of 4"):
        read_records(path, "binary:4")


def test_a_file_that_shrank_is_an_error_and_not_less_data(tmp_path: Path) -> None:
    path = write(tmp_path, b"aabb")
    with pytest.raises(InputError, match="shorter than when the job was submitted"):
        list(open_split(InputSplit(path, 0, 8), "binary:2").records())


@pytest.mark.parametrize("name", ["binary", "binary:0", "binary:x", "binary:-1", "binary:1.5", "binary:²"])
def test_the_record_size_must_be_stated(name: str) -> None:
    with pytest.raises(UsageError, match="as in 'binary:100'"):
        input_format(name)


def test_keys_and_values_are_written_without_anything_between() -> None:
    assert written_by("binary", [(b"k\n", b"\0v"), (bytearray(b"x"), b"")]) == b"k\n\0vx"
    assert written_by("binary", [(b"ab", b"c")] * 1000) == b"abc" * 1000


@pytest.mark.parametrize(
    "wrong", [("k", b"v"), (b"k", 1), (b"k", None), (b"k",), (b"k", b"v", b"w"), [b"k", b"v"]]
)
def test_what_is_no_pair_of_bytes_is_named(wrong: object) -> None:
    with pytest.raises(UserCodeError, match=r"takes bytes|must yield"):
        written_by("binary", [(b"fine", b""), wrong])


def test_a_whole_file_is_one_record_also_when_it_is_empty_or_compressed(tmp_path: Path) -> None:
    data = os.urandom(600_000)
    path, empty = write(tmp_path, data), write(tmp_path, b"", "empty")
    packed = write(tmp_path, gzip.compress(data), "packed.gz")
    for name, content in ((path, data), (empty, b""), (packed, data)):
        assert read_records(name, "file", 1000) == [(name, content)]


def test_a_file_too_large_for_one_record_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_files_module, "MAX_RECORD", 1 << 20)
    with pytest.raises(InputError, match="more than 1 MiB for one record"):
        read_records(write(tmp_path, bytes((1 << 20) + 1)), "file")
