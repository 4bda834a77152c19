"""Cutting files: no byte is lost or doubled, every piece is a file of its format, whatever stands where."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blfs_mr.errors import InputError
from blfs_mr.formats.cutting import Piece, check_cut, cut_file
from blfs_mr.formats.inputs import expand_inputs
from blfs_mr.formats.reading import input_format, open_split
from blfs_mr.model import InputSplit

FEW_BYTES = st.lists(st.sampled_from([b"\n", b"a", b"\r", b"\xff", b'"'])).map(b"".join)

same_folder = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def cut(path: Path, content: bytes, most: int, format_name: str = "lines") -> tuple[Piece, ...]:
    path.write_bytes(content)
    return cut_file(expand_inputs([str(path)])[0], most, input_format(format_name))


def bytes_of(piece: Piece, content: bytes) -> bytes:
    return piece.header + content[piece.offset : piece.offset + piece.length]


@same_folder
@given(content=FEW_BYTES, most=st.integers(1, 40))
def test_pieces_of_lines_are_the_file_and_end_where_lines_end(
    tmp_path: Path, content: bytes, most: int
) -> None:
    pieces = [bytes_of(piece, content) for piece in cut(tmp_path / "f", content, most)]
    assert b"".join(pieces) == content
    assert all(piece.endswith(b"\n") for piece in pieces[:-1])
    assert all(pieces)
    longest = max(map(len, content.split(b"\n"))) + 1
    assert all(len(piece) <= most + longest for piece in pieces)


@same_folder
@given(
    rows=st.lists(st.lists(st.sampled_from(["a", "b,b", "é", ""]), min_size=2, max_size=2), max_size=20),
    blank=st.sampled_from([b"", b"\n", b"\r\n\n"]),
    most=st.integers(1, 60),
)
def test_the_rows_of_all_pieces_are_those_of_the_table(
    tmp_path: Path, rows: list[list[str]], blank: bytes, most: int
) -> None:
    content = blank + b"x,y\n" + b"".join(f'"{one}","{other}"\n'.encode() for one, other in rows)
    read = []
    for number, piece in enumerate(cut(tmp_path / "f", content, most, "csv-dict")):
        path = tmp_path / f"piece-{number}"
        path.write_bytes(bytes_of(piece, content))
        assert path.stat().st_size == piece.size
        split = InputSplit(str(path), 0, piece.size)
        read += [record for chunk in open_split(split, "csv-dict").record_chunks() for record in chunk]
    assert read == [{"x": one, "y": other} for one, other in rows]


def test_records_of_a_fixed_size_stay_whole(tmp_path: Path) -> None:
    content = bytes(range(30))
    pieces = cut(tmp_path / "f", content, 7, "binary:3")
    assert b"".join(bytes_of(piece, content) for piece in pieces) == content
    assert {piece.length % 3 for piece in pieces} == {0}
    assert len(pieces) == 5
    with pytest.raises(InputError, match="whole records of 4 bytes"):
        cut(tmp_path / "f", content, 7, "binary:4")


@pytest.mark.parametrize(
    ("name", "format_name"), [("f.gz", "lines"), ("f", "file"), ("f", "csv:multiline"), ("f", "records")]
)
def test_what_cannot_be_cut_is_one_piece(tmp_path: Path, name: str, format_name: str) -> None:
    assert cut(tmp_path / name, b"a\nb\n", 1, format_name) == (Piece(str(tmp_path / name), 0, 4),)


def test_an_empty_file_is_a_piece_only_where_it_is_a_record(tmp_path: Path) -> None:
    assert cut(tmp_path / "f", b"", 1) == ()
    assert cut(tmp_path / "f", b"", 1, "binary:3") == ()
    assert cut(tmp_path / "f", b"", 1, "file") == (Piece(str(tmp_path / "f"), 0, 0),)


@pytest.mark.parametrize(
    ("put_as", "read_as", "fits"),
    [
        ("lines", "jsonl", True),
        ("lines", "csv", True),
        ("csv-dict", "csv-dict", True),
        ("binary:3", "binary:3", True),
        ("file", "csv:multiline", True),
        ("lines", "csv-dict", False),
        ("csv-dict", "lines", False),
        ("lines", "csv:multiline", False),
        ("lines", "file", False),
        ("binary:3", "binary:6", False),
    ],
)
def test_pieces_are_read_only_as_what_they_are(put_as: str, read_as: str, fits: bool) -> None:
    boundary = input_format(put_as).boundary
    if fits:
        check_cut("the input words", boundary, read_as)
    else:
        with pytest.raises(InputError, match=f"the input words was cut at .* put it again .*{read_as}"):
            check_cut("the input words", boundary, read_as)
