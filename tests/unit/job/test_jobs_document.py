"""docs/jobs.md says what the code does."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from blfs_mr.formats.outputs import OUTPUT_FORMATS
from blfs_mr.formats.reading import INPUT_FORMATS
from blfs_mr.job import ClassSettings, Job, load_steps
from blfs_mr.job.api import MAX_COUNTERS
from blfs_mr.model import MAP_PEAK, REDUCE_PEAK
from blfs_mr.submission.side_files import MAX_TOTAL
from blfs_mr.units import format_size

REPOSITORY = Path(__file__).parents[3]
DOCUMENT = (REPOSITORY / "docs" / "jobs.md").read_text()


@pytest.mark.parametrize("number", range(3))
def test_each_program_in_it_is_a_job_file(tmp_path: Path, number: int) -> None:
    path = tmp_path / "job.py"
    path.write_text(re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)[number])
    assert load_steps(path)


def test_all_settings_and_formats_are_in_its_tables_with_their_defaults() -> None:
    for field in fields(ClassSettings):
        default = getattr(Job, field.name)
        shown = f'"{default}"' if isinstance(default, str) else default
        row = re.search(rf"^\| `{field.name}` \| (.*?) \|", DOCUMENT, re.MULTILINE)
        assert row, field.name
        assert row[1] == f"`{shown}`" or field.name == "reducers"
    for name in (*INPUT_FORMATS, *OUTPUT_FORMATS):
        assert re.search(rf"^\| .*`{name}(:N)?`", DOCUMENT, re.MULTILINE), name


def test_its_methods_are_those_of_a_job() -> None:
    for name in re.findall(r"^\| `(\w+)\(self", DOCUMENT, re.MULTILINE):
        assert callable(getattr(Job, name))


def test_its_limits_are_those_of_the_code() -> None:
    assert format_size(MAX_TOTAL).replace("MiB", " MiB") in DOCUMENT
    assert f"may have {MAX_COUNTERS} names" in DOCUMENT


def test_its_counters_are_those_that_tasks_report() -> None:
    sources = "".join(path.read_text() for path in (REPOSITORY / "blfs_mr" / "taskrun").glob("*.py"))
    reported = set(re.findall(r'"((?:map|combine|shuffle|reduce)\.\w+)": ', sources)) | {
        MAP_PEAK,
        REDUCE_PEAK,
    }
    assert set(re.findall(r"`((?:map|combine|shuffle|reduce)\.\w+)`", DOCUMENT)) == reported
