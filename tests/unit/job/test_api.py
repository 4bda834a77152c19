"""The Job class as its users see it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from blfs_mr.errors import UserCodeError
from blfs_mr.job import Job, overrides
from blfs_mr.job.api import MAX_COUNTERS, problem_with


class Whole(Job):
    def map(self, record):
        yield record, 1

    def reduce(self, key, values):
        yield key, sum(values)


def test_counters_add_up_under_the_users_prefix() -> None:
    job = Whole()
    job.count("seen")
    job.count("seen", 4)
    job.count("bad", 0)
    assert job.counters == {"user.seen": 5, "user.bad": 0}


def test_instances_do_not_share_counters() -> None:
    first, second = Whole(), Whole()
    first.count("seen")
    assert second.counters == {}


def test_a_subclass_with_its_own_init_need_not_call_ours() -> None:
    class Own(Whole):
        def __init__(self):
            self.mine = 1

    job = Own()
    job.count("seen")
    assert job.counters == {"user.seen": 1}


def test_a_counter_counts_in_whole_numbers() -> None:
    with pytest.raises(TypeError, match="not in float"):
        Whole().count("seconds", 0.5)  # type: ignore[arg-type]


def test_counters_named_after_data_end_at_the_cap() -> None:
    job = Whole()
    for number in range(MAX_COUNTERS):
        job.count(f"word {number}")
    job.count("word 0")
    with pytest.raises(UserCodeError, match="fixed set of names"):
        job.count("one more")


def test_source_and_split_are_explained_where_they_are_not_set() -> None:
    with pytest.raises(AttributeError, match="while mapping only"):
        _ = Whole().source
    with pytest.raises(AttributeError, match=r"'mispelt'$"):
        _ = Whole().mispelt  # type: ignore[attr-defined]


def test_overrides_sees_methods_and_settings_of_bases_but_not_of_job() -> None:
    class Base(Whole):
        memory = "1GiB"

    class Derived(Base):
        pass

    assert overrides(Derived, "map")
    assert overrides(Derived, "memory")
    assert not overrides(Derived, "combine")
    assert not overrides(Derived, "block_size")


def test_a_complete_job_has_no_problem() -> None:
    class Everything(Whole):
        def setup(self):
            pass

        def combine(self, key, *values):
            yield key, 1

        @staticmethod
        def partition(key, partitions):
            return 0

        def cleanup(self, more=None):
            pass

    assert problem_with(Everything) is None


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"map": Whole.map}, "no reduce"),
        ({"reduce": Whole.reduce}, "neither map"),
        ({"map": Whole.map, "map_split": Whole.map, "reduce": Whole.reduce}, "both map and map_split"),
        ({"map": lambda self: None, "reduce": Whole.reduce}, r"J.map must take \(self, record\)"),
        (
            {"map": Whole.map, "reduce": lambda self, key, values, more: None},
            r"must take \(self, key, values\)",
        ),
        ({"map": Whole.map, "reduce": 3}, "reduce is not a method"),
    ],
)
def test_an_incomplete_job_is_told_what_is_missing(members: dict[str, object], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(problem_with(type("J", (Job,), members)))


def test_methods_that_would_silently_do_nothing_are_refused() -> None:
    class Yielding(Whole):
        def cleanup(self):
            yield "lost", 1

    class Asynchronous(Whole):
        async def map(self, record):
            yield record, 1

    assert problem_with(Yielding) == "Yielding.cleanup yields; only map, map_split, combine and reduce do"
    assert "is async" in (problem_with(Asynchronous) or "")


def test_importing_the_users_api_stays_cheap() -> None:
    unwanted = "asyncio", "pydantic", "logging", "argparse", "gzip", "json", "glob"
    code = f"import sys, blfs_mr.job; print([name for name in {unwanted} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_a_job_may_be_a_dataclass() -> None:
    @dataclasses.dataclass
    class Data(Whole):
        seen: int = 0

    assert Data().seen == 0
