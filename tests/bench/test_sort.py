"""What counts as sorted: every record of the input, as it was, in key order over all parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from blfs_mr.generate import RECORD_SIZE, generate_records
from tests.bench.processes import CommandFailed
from tests.bench.sort import check_sorted, fingerprint, write_as_lines

RECORDS = 200


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "records"
    generate_records(path, RECORDS * RECORD_SIZE)
    return path


def split(path: Path) -> list[bytes]:
    content = path.read_bytes()
    return [content[start : start + RECORD_SIZE] for start in range(0, len(content), RECORD_SIZE)]


def parts(folder: Path, *contents: list[bytes]) -> list[Path]:
    files = [folder / f"part-{number:05d}" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(b"".join(content))
    return files


def test_the_sorted_records_in_several_parts_pass(records: Path, tmp_path: Path) -> None:
    ordered = sorted(split(records))
    check_sorted(parts(tmp_path, ordered[:70], [], ordered[70:]), fingerprint([records]))


@pytest.mark.parametrize("spoiled", ["swapped parts", "swapped records"])
def test_records_out_of_order_are_refused(spoiled: str, records: Path, tmp_path: Path) -> None:
    ordered = sorted(split(records))
    first, second = ordered[:70], ordered[70:]
    if spoiled == "swapped parts":
        first, second = second, first
    else:
        first[3], first[4] = first[4], first[3]
    with pytest.raises(CommandFailed, match="not in order"):
        check_sorted(parts(tmp_path, first, second), fingerprint([records]))


@pytest.mark.parametrize("spoiled", ["missing", "twice", "changed"])
def test_records_that_are_not_those_of_the_input_are_refused(
    spoiled: str, records: Path, tmp_path: Path
) -> None:
    ordered = sorted(split(records))
    match spoiled:
        case "missing":
            del ordered[5]
        case "twice":
            ordered[5] = ordered[6]
        case "changed":
            ordered[5] = ordered[5][:-1] + b"?"
    with pytest.raises(CommandFailed, match="not those of the input"):
        check_sorted(parts(tmp_path, ordered), fingerprint([records]))


def test_lines_are_as_long_as_records_and_sort_in_the_same_order(records: Path, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    write_as_lines(records, lines)
    written = lines.read_bytes().splitlines(keepends=True)
    assert {len(line) for line in written} == {RECORD_SIZE}
    numbered = dict(zip(written, split(records), strict=True))
    assert [numbered[line] for line in sorted(written)] == sorted(split(records))
