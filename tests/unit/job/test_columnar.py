"""A columnar job that cannot run is refused when it is submitted, by what is wrong with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from blfs_mr.errors import JobFileError, UsageError
from blfs_mr.formats.reading import input_format
from blfs_mr.job import load_steps

WHOLE = """
from blfs_mr import Job

class Columnar(Job):
    input_format = "parquet"
    output_format = "arrow"
    keys = ["a"]

    def map_batch(self, table):
        yield table

    def reduce_batch(self, table):
        yield table
"""


def load(folder: Path, source: str) -> None:
    path = folder / "job.py"
    path.write_text(source)
    load_steps(path)


@pytest.fixture
def _with_pyarrow() -> None:
    pytest.importorskip("pyarrow")


@pytest.mark.usefixtures("_with_pyarrow")
def test_a_whole_columnar_job_is_accepted(tmp_path: Path) -> None:
    load(tmp_path, WHOLE)


@pytest.mark.usefixtures("_with_pyarrow")
@pytest.mark.parametrize(
    ("there", "instead", "said"),
    [
        ("def reduce_batch", "def reduce_btach", "no reduce_batch"),
        ("def map_batch", "def map_btach", "no map_batch"),
        ("def map_batch(self, table)", "def map_batch(self)", r"must take \(self, table\)"),
        ("def map_batch", "async def map_batch", "async"),
        ('keys = ["a"]', "", "keys = "),
        ('keys = ["a"]', 'keys = "a"', "keys = "),
        ('keys = ["a"]', 'keys = ["a"]; read_columns = "a"', "read_columns"),
        ('keys = ["a"]', 'keys = ["a"]; sort_values = True', "sort_batches"),
        ('keys = ["a"]', 'keys = ["a"]; map = lambda self, record: []', "map beside map_batch"),
        ('keys = ["a"]', 'keys = ["a"]; combine = lambda self, key, values: []', "combine beside"),
        ('"parquet"', '"lines"', "input_format is one of parquet"),
        ('"arrow"', '"text"', "output_format is one of parquet"),
    ],
)
def test_what_is_missing_or_wrong_is_named(tmp_path: Path, there: str, instead: str, said: str) -> None:
    with pytest.raises(JobFileError, match=said):
        load(tmp_path, WHOLE.replace(there, instead))


@pytest.mark.parametrize("source", [WHOLE, f"import pyarrow\n{WHOLE}"])
def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # type: ignore[arg-type]
    with pytest.raises(JobFileError, match=r"pip install 'blfs-mr\[arrow\]'"):
        load(tmp_path, source)
    for name in ("parquet", "arrow"):
        with pytest.raises(UsageError, match=r"pip install 'blfs-mr\[arrow\]'"):
            input_format(name)


def test_columnar_jobs_cost_other_submitters_no_import() -> None:
    program = "import sys, blfs_mr.submit, blfs_mr.taskrun.attempt; print('pyarrow' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert printed.stdout == "False\n"
