"""Several jobs as one program."""

from __future__ import annotations

from pathlib import Path

import pytest

from blfs_mr.errors import JobFileError
from blfs_mr.job import Job, Param, bind_params, load_job_source, load_steps

JOBS = """
from blfs_mr import Job, Steps

class One(Job):
    def map(self, record): yield record, 1
    def reduce(self, key, values): yield key, sum(values)

class Two(One):
    pass
"""


def job_file(folder: Path, source: str) -> Path:
    path = folder / "job.py"
    path.write_text(JOBS + source)
    return path


def test_the_program_of_steps_is_what_runs_and_its_jobs_need_no_choice(tmp_path: Path) -> None:
    path = job_file(tmp_path, "class Both(Steps):\n    steps = [One, Two, One]\n")
    assert [step.job_class.__name__ for step in load_steps(path)] == ["One", "Two", "One"]
    assert [step.job_class.__name__ for step in load_steps(path, "Two")] == ["Two"]


def test_every_step_is_found_again_from_what_is_shipped(tmp_path: Path) -> None:
    source = "class Both(Steps):\n    steps = [type('Hidden', (One,), {}), Two]\n"
    shipped = [step.file for step in load_steps(job_file(tmp_path, source))]
    assert [load_job_source(file).job_class.__name__ for file in shipped] == ["Hidden", "Two"]


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ("[]", "a list of 1 to 100 job classes"),
        ("One", "a list of 1 to 100 job classes"),
        ("[One] * 101", "a list of 1 to 100 job classes"),
        ("[One, str]", "number 2, <class 'str'>, is not a subclass of Job"),
        ("[One, type('Empty', (Job,), {})]", "Empty defines no reduce"),
        ("[One, type('J', (One,), {'input_format': 'jsonl'})]", "J.input_format: as step 2"),
        ("[type('J', (One,), {'output_format': 'jsonl'}), One]", "J.output_format: as step 1"),
    ],
)
def test_steps_that_cannot_run_are_refused_with_the_reason(tmp_path: Path, steps: str, reason: str) -> None:
    with pytest.raises(JobFileError) as caught:
        load_steps(job_file(tmp_path, f"class Both(Steps):\n    steps = {steps}\n"))
    assert reason in str(caught.value)


def test_without_a_program_of_steps_one_of_several_jobs_must_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(JobFileError, match=r"several jobs, One and Two; .*--job-class One, or list them"):
        load_steps(job_file(tmp_path, ""))


class First(Job):
    common = Param(int, default=1)
    size = Param(int)


class Second(Job):
    common = Param(int, default=2)
    name = Param(str, default="x")


def test_each_step_gets_the_parameters_that_it_declares() -> None:
    bound = bind_params((First, Second), {"size": "5", "name": "y"})
    assert bound == ({"common": 1, "size": 5}, {"common": 2, "name": "y"})
    bound = bind_params((First, Second), {"size": "5", "common": "9"})
    assert bound == ({"common": 9, "size": 5}, {"common": 9, "name": "x"})


def test_a_parameter_that_no_step_takes_is_told_once_with_what_they_take() -> None:
    with pytest.raises(JobFileError) as caught:
        bind_params((First, Second, First), {"sise": "5"})
    told = str(caught.value)
    assert told.count("no parameter 'sise' (did you mean 'size'?)") == 1
    assert told.count("parameter 'size' is required") == 1
    assert "First and Second takes these parameters" in told
