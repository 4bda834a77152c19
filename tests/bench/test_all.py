"""One benchmark that fails leaves the others their figures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from . import __main__ as bench
from .harness import Comparison, Report
from .processes import CommandFailed


@contextmanager
def works(_size: int) -> Iterator[list[Comparison]]:
    yield [Comparison("a case", lambda: 1.0, lambda: 2.0, "a reference", 1.5)]


@contextmanager
def fails(_size: int) -> Iterator[list[Comparison]]:
    raise CommandFailed("its result is wrong")
    yield []


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Report]:
    """What goes to the page, which stays as it is."""
    reports: list[Report] = []
    named = {"good": bench.Benchmark(works, 0, 0), "bad": bench.Benchmark(fails, 0, 0)}
    monkeypatch.setattr(bench, "BENCHMARKS", named)
    monkeypatch.setattr(bench.page, "write", reports.extend)
    for parameter in bench.main.params:
        if parameter.name in ("name", "without"):
            monkeypatch.setattr(parameter.type, "choices", ("good", "bad", "all"))
    return reports


def test_one_that_fails_is_told_and_the_others_are_written(written: list[Report]) -> None:
    ended = CliRunner().invoke(bench.main, ["all"])
    assert ended.exit_code == 1
    assert "error: bad: its result is wrong" in ended.output
    assert [report.name for report in written] == ["good"]
    assert "| good | a case |" in ended.output


def test_what_is_left_out_does_not_run(written: list[Report]) -> None:
    ended = CliRunner().invoke(bench.main, ["all", "--without", "bad"])
    assert ended.exit_code == 0, ended.output
    assert [report.name for report in written] == ["good"]


def test_one_by_name_writes_no_page(written: list[Report]) -> None:
    assert CliRunner().invoke(bench.main, ["good"]).exit_code == 0
    assert written == []
