"""The format records, by which steps hand their pairs on."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.errors import InputError, UserCodeError
from blfs_mr.formats import records as records_module
from tests.unit.formats.round_trip import read_records, write, written_by

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=80, deadline=None)
@given(
    pairs=st.lists(st.tuples(values, values), max_size=30),
    at_once=st.integers(1, 5),
    split_size=st.integers(1, 300),
    chunk=st.integers(1, 100),
)
def test_pairs_come_back_with_their_types_wherever_the_bounds_fall(
    pairs: list[tuple[object, object]], at_once: int, split_size: int, chunk: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(records_module.RecordWriter, "most_pairs_at_once", at_once)
        patch.setattr(records_module, "CHUNK", chunk)
        path = write(Path(folder), written_by("records", pairs))
        found = read_records(path, "records", split_size)
        assert found == pairs
        assert repr(found) == repr(pairs)  # which tells 1 from True and a tuple from a list


def test_no_pairs_make_an_empty_file() -> None:
    assert written_by("records", []) == b""


def test_a_large_value_stands_in_a_block_of_its_own(tmp_path: Path) -> None:
    pairs = [(number, "x" * 5_000_000) for number in range(4)]
    path = write(tmp_path, written_by("records", pairs))
    assert read_records(path, "records", 1 << 20) == pairs


@pytest.mark.parametrize("harm", ["flipped", "cut", "cut in the header", "length"])
def test_harmed_bytes_are_never_records(tmp_path: Path, harm: str) -> None:
    data = bytearray(written_by("records", [("key", "value" * 20)]))
    if harm == "flipped":
        data[-1] ^= 1
    elif harm == "cut":
        del data[-1:]
    elif harm == "cut in the header":
        del data[35:]
    else:
        data[32:36] = b"\xff" * 4
    with pytest.raises(InputError, match=r"the input .*/input has .* at byte 16"):
        read_records(write(tmp_path, bytes(data)), "records")


def test_what_cannot_be_carried_is_named() -> None:
    with pytest.raises(UserCodeError, match=r"next step cannot get: .*\{3\}"):
        written_by("records", [("k", {3})])
    with pytest.raises(UserCodeError, match="must yield"):
        written_by("records", [("k", 1), "ab"])
