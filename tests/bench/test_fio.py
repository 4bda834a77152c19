"""Reading fio's words, without fio."""

from __future__ import annotations

import json

import pytest

from tests.bench.fio import parse
from tests.bench.processes import CommandFailed


def output(moved: int, milliseconds: int) -> str:
    figures = {"io_bytes": moved, "runtime": milliseconds}
    return "fio: a warning of its own\n" + json.dumps({"jobs": [{"read": figures}]})


def test_the_seconds_are_those_of_the_direction_asked_for() -> None:
    assert parse(output(1000, 1500), "read", 1000) == 1.5


def test_the_time_is_stretched_by_the_ends_of_files_that_fio_leaves_out() -> None:
    assert parse(output(990, 1000), "read", 1000) == pytest.approx(1000 / 990)


@pytest.mark.parametrize("moved", [0, 500, 1001])
def test_fewer_bytes_than_asked_for_or_more_are_no_measurement(moved: int) -> None:
    with pytest.raises(CommandFailed, match="instead of 1000"):
        parse(output(moved, 1000), "read", 1000)
