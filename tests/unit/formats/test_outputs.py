"""Writing result pairs."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blfs_mr.errors import UsageError, UserCodeError
from blfs_mr.formats import outputs as outputs_module
from blfs_mr.formats.outputs import open_writer


def written(pairs: object) -> bytes:
    file = io.BytesIO()
    writer = open_writer(file)
    writer.write_all(pairs)  # type: ignore[arg-type]
    writer.finish()
    return file.getvalue()


@pytest.mark.parametrize(
    ("pair", "line"),
    [
        (("word", 3), b"word\t3\n"),
        ((1, 2.5), b"1\t2.5\n"),
        ((True, 10**30), b"True\t1" + b"0" * 30 + b"\n"),
        (("é\udcff", "x y"), b"\xc3\xa9\xff\tx y\n"),
        (("\ud83d\udcff", 1), b"\xed\xa0\xbd\xff\t1\n"),
        ((b"\xff\0", b"raw"), b"\xff\0\traw\n"),
        ((b"\xff", 1), b"\xff\t1\n"),
        ((None, "alone"), b"alone\n"),
        (("alone", None), b"alone\n"),
        ((None, None), b"\n"),
        (("k", ["é", 1, None, True]), '["é", 1, null, true]'.encode().join([b"k\t", b"\n"])),
        ((("a", ("b", 2)), {"x": (1.5,)}), b'["a", ["b", 2]]\t{"x": [1.5]}\n'),
        (("k", ["a\tb\n"]), b'k\t["a\\tb\\n"]\n'),
        (("k", [b"x"]), b"k\t[b'x']\n"),
        (("k", {(1, 2): 3}), b"k\t{(1, 2): 3}\n"),
        (("k", {3}), b"k\t{3}\n"),
    ],
)
def test_a_pair_is_written_as_documented(pair: tuple[object, object], line: bytes) -> None:
    assert written([pair]) == line


plain = st.text(st.characters(codec="utf-8")) | st.integers() | st.floats() | st.booleans()
anything = plain | st.none() | st.binary() | st.tuples(plain, st.text()) | st.lists(plain)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(plain, plain)) | st.lists(st.tuples(anything, anything)))
def test_pairs_come_out_the_same_together_as_one_by_one(pairs: list[tuple[object, object]]) -> None:
    assert written(pairs) == b"".join(written([pair]) for pair in pairs)


def test_the_number_of_pairs_is_returned_and_large_ones_are_taken_one_by_one() -> None:
    file = io.BytesIO()
    writer = open_writer(file)
    taken_before_written = []

    def pairs() -> Iterator[tuple[str, str]]:
        for number in range(300):
            taken_before_written.append((number + 1) * 1_000_000 - file.tell())
            yield "k", "v" * 1_000_000

    assert writer.write_all(pairs()) == 300
    writer.finish()
    assert file.tell() == 300 * 1_000_003
    assert max(taken_before_written[-20:]) < 3_000_000


def test_an_unbuffered_file_that_takes_less_than_offered_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs_module, "WRITE_SIZE", 10)

    class Reluctant:
        taken = b""

        def write(self, data: memoryview, /) -> int:
            self.taken += bytes(data[:3])
            return min(3, len(data))

    file = Reluctant()
    writer = open_writer(file)
    writer.write_all(("key", number) for number in range(1000))
    writer.finish()
    assert file.taken == b"".join(b"key\t%d\n" % number for number in range(1000))


@pytest.mark.parametrize("wrong", ["ab", ["k", "v"], ("k",), ("k", 1, 2), None, 7])
def test_what_is_no_pair_is_refused_and_shown(wrong: object) -> None:
    for pairs in ([wrong], [("fine", 1), wrong], [("fine", 1)] * 1000 + [wrong]):
        with pytest.raises(UserCodeError) as caught:
            written(pairs)
        assert str(caught.value) == f"reduce must yield (key, value) pairs; got {wrong!r}"


def test_what_the_users_code_raises_passes_unchanged() -> None:
    def pairs() -> Iterator[tuple[str, int]]:
        yield "a", 1
        raise LookupError("mine")

    with pytest.raises(LookupError, match=r"^mine$"):
        written(pairs())


def test_a_value_that_has_no_text_is_named() -> None:
    class Mute:
        def __str__(self) -> str:
            raise RuntimeError("no words")

        __repr__ = __str__

    with pytest.raises(UserCodeError, match=r"whose repr\(\) fails: no words"):
        written([("k", Mute())])
    with pytest.raises(UserCodeError, match="cannot be written as text"):
        written([("k", 10**5000)])


def test_an_unknown_format_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'xml'; there are: text"):
        open_writer(io.BytesIO(), "xml")
