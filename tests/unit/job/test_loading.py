"""From a job file to its class, and from an exception to what the user is shown."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from blfs_mr.errors import JobFileError
from blfs_mr.job import load_job_source, load_steps, user_traceback
from blfs_mr.job.loading import MAX_JOB_FILE
from blfs_mr.job.tracebacks import MAX_TRACEBACK
from blfs_mr.model import JobFile

COUNT = """
from blfs_mr import Job

class Count(Job):
    def map(self, record):
        yield record[0], helper(record)

    def reduce(self, key, values):
        yield key, sum(values)

def helper(record):
    return 1 // len(record.strip())
"""


def load(tmp_path: Path, source: str, class_name: str = "") -> type:
    path = tmp_path / "job.py"
    path.write_text(source)
    return load_steps(path, class_name)[0].job_class


def failure(tmp_path: Path, source: str, class_name: str = "") -> JobFileError:
    with pytest.raises(JobFileError) as caught:
        load(tmp_path, source, class_name)
    assert str(tmp_path / "job.py") in str(caught.value)
    return caught.value


def test_a_job_file_is_loaded_with_what_is_to_be_shipped(tmp_path: Path) -> None:
    path = tmp_path / "job.py"
    path.write_text(COUNT)
    loaded = load_steps(path)[0]
    assert loaded.file == JobFile(str(path), COUNT.encode(), "Count")
    assert list(loaded.job_class().map("a")) == [("a", 1)]


def test_a_shipped_job_runs_where_its_file_is_absent(tmp_path: Path) -> None:
    file = JobFile(str(tmp_path / "gone" / "job.py"), COUNT.encode(), "Count")
    assert load_job_source(file).job_class.__name__ == "Count"


def test_a_job_file_may_hold_dataclasses_with_postponed_annotations(tmp_path: Path) -> None:
    source = "from __future__ import annotations\nimport dataclasses, typing\n" + COUNT
    source += "\n@dataclasses.dataclass(slots=True)\nclass Part:\n"
    source += "    kind: typing.ClassVar[int] = 3\n    x: int = 0\n"
    assert load(tmp_path, source).__name__ == "Count"


def test_our_future_imports_do_not_leak_into_the_job_file(tmp_path: Path) -> None:
    job_class = load(
        tmp_path, COUNT + "\nclass Plain:\n    x: int\n\nCount.kind = Plain.__annotations__['x']\n"
    )
    assert job_class.kind is int  # type: ignore[attr-defined]


def test_the_main_block_of_a_job_file_does_not_run(tmp_path: Path) -> None:
    load(tmp_path, COUNT + "\nif __name__ == '__main__':\n    raise SystemExit(1)\n")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(JobFileError, match="No such file"):
        load_steps(tmp_path / "nothing.py")[0]
    with pytest.raises(JobFileError, match="directory"):
        load_steps(tmp_path)[0]


def test_a_file_that_is_too_large_to_be_a_job_is_refused(tmp_path: Path) -> None:
    failure(tmp_path, "#" * (MAX_JOB_FILE + 1))


def test_a_file_without_a_job_is_answered_with_an_example(tmp_path: Path) -> None:
    told = str(
        failure(tmp_path, "from blfs_mr import Job\nfrom blfs_mr.examples.wordcount import WordCount\n")
    )
    assert "no subclass" in told
    assert "class WordCount(Job):" in told
    example = told[told.index("    from blfs_mr") :].replace("\n    ", "\n").strip()
    assert load(tmp_path, example).__name__ == "WordCount"


def test_two_jobs_are_both_named_and_one_can_be_chosen(tmp_path: Path) -> None:
    two = COUNT + "\nclass Other(Count):\n    pass\n\nAlias = Count\n"
    told = str(failure(tmp_path, two))
    assert "Count and Other" in told
    assert "--job-class" in told
    assert load(tmp_path, two, "Other").__name__ == "Other"
    assert "those it has: Count, Other" in str(failure(tmp_path, two, "Third"))


def test_a_syntax_error_is_told_with_its_line(tmp_path: Path) -> None:
    error = failure(tmp_path, "x = 1\ndef f(:\n")
    assert "line 2" in str(error)
    assert "def f(:" in (error.traceback or "")


@pytest.mark.parametrize("statement", ["1 / 0", "raise SystemExit('bye')", "import sys; sys.exit()"])
def test_what_a_job_file_raises_is_told_with_the_users_frames_only(tmp_path: Path, statement: str) -> None:
    told = failure(tmp_path, f"def f():\n    {statement}\nf()\n").traceback or ""
    assert f"    {statement}" in told
    assert 'job.py", line 3, in <module>' in told
    assert "loading.py" not in told


def test_a_module_beside_the_job_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_job.py").write_text("")
    assert "add --py-module" in str(failure(tmp_path, "import neighbour_of_job\n"))
    assert "--py-module" not in str(failure(tmp_path, "import no_such_module_anywhere\n"))


def test_a_failed_load_leaves_the_job_before_it_usable(tmp_path: Path) -> None:
    job_class = load(tmp_path, COUNT)
    failure(tmp_path, "1 / 0")
    assert "job.py" in str(pytest.importorskip(job_class.__module__).__file__)


def test_an_incomplete_job_is_refused_when_loaded(tmp_path: Path) -> None:
    assert "defines no reduce" in str(failure(tmp_path, COUNT.replace("reduce", "reduec")))


def caught_from(job_class: type, record: str) -> Exception:
    try:
        list(job_class().map(record))
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what the test is about
        return error
    raise AssertionError("the job raised nothing")


def test_a_users_traceback_begins_in_their_file_and_shows_shipped_lines(tmp_path: Path) -> None:
    path = str(tmp_path / "absent.py")
    job_class = load_job_source(JobFile(path, COUNT.encode(), "")).job_class
    error = caught_from(job_class, " ")
    told = user_traceback(error, path)
    assert told.splitlines()[1].endswith(f'{path}", line 6, in map')
    assert "return 1 // len(record.strip())" in told
    assert "test_loading" not in told
    assert told.endswith("ZeroDivisionError: integer division or modulo by zero\n")
    assert "test_loading" in "".join(traceback.format_exception(error))


def test_causes_lose_our_frames_too_and_libraries_keep_theirs(tmp_path: Path) -> None:
    source = COUNT.replace("return 1 // len(record.strip())", "return wrapped(record)") + (
        "\nimport json\ndef wrapped(record):\n    try:\n        Count().count('x', 1.5)\n"
        "    except TypeError as error:\n        raise LookupError from error\n"
    )
    path = str(tmp_path / "absent.py")
    told = user_traceback(
        caught_from(load_job_source(JobFile(path, source.encode(), "")).job_class, "x"), path
    )
    assert "TypeError: count('x', 1.5)" in told
    assert "LookupError" in told
    assert "api.py" not in told
    told = user_traceback(
        caught_from(
            load_job_source(
                JobFile(
                    path,
                    COUNT.replace("1 // len(record.strip())", "__import__('json').loads('')").encode(),
                    "",
                )
            ).job_class,
            "x",
        ),
        path,
    )
    assert "decoder.py" in told


def test_a_traceback_of_any_length_is_cut_in_the_middle() -> None:
    told = user_traceback(ValueError("x" * 10 * MAX_TRACEBACK), "job.py")
    assert len(told) < MAX_TRACEBACK + 100
    assert told.startswith("ValueError")
    assert "characters left out" in told
