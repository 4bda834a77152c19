"""Parameters of a job."""

from __future__ import annotations

import pytest

from blfs_mr.errors import JobFileError
from blfs_mr.job import Job, Param, bind_params, instantiate
from blfs_mr.job.params import problem_with_params


class Search(Job):
    pattern = Param(str, help="what to look for")
    limit = Param(int, default=10)
    ratio = Param(float, default=2)
    exact = Param(bool, default=False)
    prefix = Param(str, default=None)


def test_values_arrive_typed_with_defaults_for_the_others() -> None:
    values = bind_params((Search,), {"pattern": "a=b", "limit": "-3", "exact": "Yes"})[0]
    assert values == {"pattern": "a=b", "limit": -3, "ratio": 2.0, "exact": True}
    assert type(values["exact"]) is bool
    assert type(values["ratio"]) is float


def test_an_instance_reads_its_values_and_the_class_the_declarations() -> None:
    job = instantiate(Search, {"pattern": "x", "limit": 3})
    assert isinstance(job, Search)
    assert (job.pattern, job.limit, job.ratio, job.prefix) == ("x", 3, 2.0, None)
    assert isinstance(Search.pattern, Param)


def test_parameters_can_be_read_from_the_init_on() -> None:
    class Early(Search):
        def __init__(self):
            self.upper = self.pattern.upper()

    assert instantiate(Early, {"pattern": "x"}).upper == "X"  # type: ignore[attr-defined]


def test_a_required_parameter_without_a_value_is_named_when_read() -> None:
    with pytest.raises(JobFileError, match="'pattern' of Search"):
        _ = Search().pattern


def test_all_problems_are_told_at_once_with_what_the_job_takes() -> None:
    with pytest.raises(JobFileError) as caught:
        bind_params((Search,), {"patern": "x", "limit": "many", "exact": "perhaps"})[0]
    told = str(caught.value)
    assert "no parameter 'patern' (did you mean 'pattern'?)" in told
    assert "limit='many' is not of type int" in told
    assert "exact='perhaps' is not of type bool" in told
    assert "parameter 'pattern' is required" in told
    assert "pattern (str, required): what to look for" in told
    assert "limit (int, default 10)" in told
    assert __file__ in told


def test_a_job_without_parameters_says_so() -> None:
    with pytest.raises(JobFileError, match="Job takes no parameters"):
        bind_params((Job,), {"x": "1"})[0]


def test_a_subclass_inherits_and_may_redeclare_or_drop_parameters() -> None:
    class Narrow(Search):
        pattern = Param(str, default="x")
        limit = 7  # type: ignore[assignment]

    assert bind_params((Narrow,), {"ratio": "0.5"})[0] == {"pattern": "x", "ratio": 0.5, "exact": False}
    with pytest.raises(JobFileError, match="no parameter 'limit'"):
        bind_params((Narrow,), {"limit": "3"})[0]


def test_declarations_that_cannot_work_are_refused() -> None:
    with pytest.raises(JobFileError, match="str, int, float or bool"):
        Param(list)
    with pytest.raises(JobFileError, match="not of the parameter's type"):
        Param(int, default="ten")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["memory", "source", "map", "counters"])
def test_a_parameter_cannot_take_the_name_of_a_part_of_job(name: str) -> None:
    hiding = type("Hiding", (Job,), {name: Param(str)})
    assert name in (problem_with_params(hiding) or "")
    assert problem_with_params(Search) is None
