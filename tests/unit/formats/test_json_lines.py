"""The format jsonl."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.errors import InputError, UserCodeError
from blfs_mr.formats import lines as lines_module
from tests.unit.formats.round_trip import read_records, write, written_by

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(pairs=st.lists(st.tuples(values, values)), split_size=st.integers(1, 100))
def test_pairs_come_back_as_arrays_wherever_the_bounds_fall(
    pairs: list[tuple[object, object]], split_size: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), written_by("jsonl", pairs))
        assert read_records(path, "jsonl", split_size) == [list(pair) for pair in pairs]


def test_a_line_is_a_json_array_of_key_and_value() -> None:
    assert written_by("jsonl", [("é", 1), (("a", None), {"x": [1.5]})]) == (
        '["é", 1]\n[["a", null], {"x": [1.5]}]\n'.encode()
    )


def test_text_that_is_not_utf8_comes_back_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path, written_by("jsonl", [("\udcff", "é")]))
    assert read_records(path, "jsonl") == [["\udcff", "é"]]
    assert json.loads(Path(path).read_text(encoding="utf-8")) == ["\udcff", "é"]


def test_lines_of_white_space_are_no_records(tmp_path: Path) -> None:
    assert read_records(write(tmp_path, b'\n{"a": 1}\r\n  \n2'), "jsonl") == [{"a": 1}, 2]


@pytest.mark.parametrize("bad", [b"{", b"1, 2", b'{"a": 1}}', b"[" * 100_000])
def test_a_bad_line_is_named_with_its_number_wherever_the_bounds_fall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: bytes
) -> None:
    monkeypatch.setattr(lines_module, "CHUNK", 16)
    path = write(tmp_path, b"[1]\n\n" * 20 + bad + b"\n" + b"2]\n" * 3)
    for split_size in (7, 16, 64, 1 << 20):
        with pytest.raises(InputError, match=r"input, line 41: no JSON"):
            read_records(path, "jsonl", split_size)


@pytest.mark.parametrize("wrong", [("k", b"bytes"), ("k", {(1, 2): 3}), ("k", {1})])
def test_what_json_has_no_form_for_is_named(wrong: tuple[object, object]) -> None:
    with pytest.raises(UserCodeError, match=r"cannot be written as JSON, .'k'"):
        written_by("jsonl", [("fine", 1), wrong])
    with pytest.raises(UserCodeError, match="must yield"):
        written_by("jsonl", [("fine", 1), ["k", 1]])
