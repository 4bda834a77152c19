"""The generator of random text."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from blfs_mr.errors import OutputError, UsageError
from blfs_mr.generate import generate_records, generate_text


def test_the_text_has_the_size_up_to_a_part_of_a_word(tmp_path: Path) -> None:
    for size in (0, 1, 20, 4096, 1_000_000, 3_000_001):
        path = tmp_path / str(size)
        written = generate_text(path, size)
        assert path.stat().st_size == written
        assert max(0, size - 11) <= written <= size


def test_every_line_but_the_last_has_the_asked_words_of_the_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "text"
    generate_text(path, 500_000, vocabulary=50, words_per_line=7)
    text = path.read_text()
    lines = text.splitlines()
    assert text.endswith("\n")
    assert {len(line.split(" ")) for line in lines[:-1]} == {7}
    assert 1 <= len(lines[-1].split(" ")) <= 7
    assert len(set(text.split())) == 50


def test_the_same_seed_gives_the_same_bytes_on_every_machine(tmp_path: Path) -> None:
    path = tmp_path / "text"
    generate_text(path, 100_000, seed=7)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == GOLDEN


def test_another_seed_gives_another_text(tmp_path: Path) -> None:
    generate_text(tmp_path / "one", 1000, seed=1)
    generate_text(tmp_path / "other", 1000, seed=2)
    assert (tmp_path / "one").read_bytes() != (tmp_path / "other").read_bytes()


def test_an_existing_file_is_kept_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        generate_text(path, 100)
    assert path.read_text() == "precious"
    generate_text(path, 100, replace=True)
    assert path.read_text() != "precious"


def test_more_than_the_disk_has_room_for_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="are free in"):
        generate_text(tmp_path / "text", 1 << 60)
    assert os.listdir(tmp_path) == []


def test_a_failure_leaves_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        generate_text(tmp_path / "text", 100, replace=True)
    assert os.listdir(tmp_path) == ["text"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        generate_text(tmp_path / "absent" / "text", 100)


@pytest.mark.parametrize(
    "arguments", [{"size": -1}, {"vocabulary": 0}, {"vocabulary": 10**9}, {"words_per_line": 0}]
)
def test_arguments_that_make_no_text_are_refused(tmp_path: Path, arguments: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        generate_text(tmp_path / "text", **({"size": 100} | arguments))  # type: ignore[arg-type]


def test_records_are_100_bytes_each_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    for size in (0, 99, 100, 2_500_050):
        assert generate_records(tmp_path / str(size), size) == size // 100 * 100
    data = (tmp_path / "2500050").read_bytes()
    records = [data[start : start + 100] for start in range(0, len(data), 100)]
    assert [int(record[10:42], 16) for record in records] == list(range(25_000))
    assert len({record[:10] for record in records}) == 25_000
    generate_records(tmp_path / "again", 2_500_050)
    assert (tmp_path / "again").read_bytes() == data
    generate_records(tmp_path / "other", 2_500_050, seed=1)
    assert (tmp_path / "other").read_bytes() != data
    with pytest.raises(UsageError):
        generate_records(tmp_path / "negative", -1)


GOLDEN = "dda72d4b42a91bdbddb30997da3ef98c869ff4f7b8f3f31d016ce652c4d37365"
