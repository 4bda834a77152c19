"""Manifests are read as they were written, and nothing else is taken for one."""

from __future__ import annotations

import pytest

from blfs_mr.errors import InputError
from blfs_mr.formats.manifest import HeldPiece, Manifest, check_name, parse_manifest, parse_summary
from blfs_mr.model import WorkerName

W1, W2 = WorkerName("w1"), WorkerName("w2")
MANIFEST = Manifest(
    "words",
    "00aa",
    "line ends",
    (HeldPiece("words.00aa/00000-a", 10, "ab" * 32, (W1, W2)), HeldPiece("words.00aa/00001-a", 5, "", (W2,))),
)


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert parse_manifest(MANIFEST.text(), "m") == MANIFEST


def test_the_first_line_tells_of_the_whole() -> None:
    summary = parse_summary(MANIFEST.text().partition("\n")[0], "m")
    assert summary == MANIFEST.summary
    assert (summary.pieces, summary.size, summary.held) == (2, 15, {"w1": 1, "w2": 2})
    assert summary.folder == "words.00aa"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]\n",
        "no json\n",
        MANIFEST.text().replace('"version":1', '"version":2'),
        MANIFEST.text().rpartition("[")[0],
        MANIFEST.text() + "[1]\n",
    ],
)
def test_what_is_no_manifest_is_named(text: str) -> None:
    with pytest.raises(InputError, match=r"^m "):
        parse_manifest(text, "m")


@pytest.mark.parametrize("name", ["", ".", "a/b", "a.b", "x" * 65, "a\n"])
def test_names_that_could_be_paths_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="cannot name an input"):
        check_name(name)
