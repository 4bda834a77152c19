"""Sizes and durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blfs_mr.units import format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("given_size", "expected"),
    [
        ("64MiB", 64 * 1024**2),
        ("64 mib", 64 * 1024**2),
        ("64M", 64 * 1024**2),
        ("64MB", 64 * 1000**2),
        ("1.5GiB", 3 * 512 * 1024**2),
        ("0.5KiB", 512),
        ("4096", 4096),
        ("0", 0),
        ("12B", 12),
        (4096, 4096),
    ],
)
def test_a_size_is_read_with_the_units_of_coreutils(given_size: str | int, expected: int) -> None:
    assert parse_size(given_size) == expected


@pytest.mark.parametrize(
    "wrong",
    ["", "MiB", "64XiB", "-1", "1.", "1..5MiB", "0.3B", "0.3KiB", "1e6", "١", "9" * 31, -1, True, 1.5, None],
)
def test_what_is_no_size_is_refused_and_shown(wrong: object) -> None:
    with pytest.raises(ValueError, match="a size is a number of bytes") as caught:
        parse_size(wrong)  # type: ignore[arg-type]
    assert str(wrong)[:20] in str(caught.value)


def test_an_unknown_unit_of_size_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="KiB, MiB, GiB"):
        parse_size("3 stones")


@pytest.mark.parametrize(
    ("given_duration", "seconds"),
    [
        ("5s", 5.0),
        ("250ms", 0.25),
        ("5min", 300.0),
        ("1.5h", 5400.0),
        ("2 d", 172800.0),
        ("7", 7.0),
        (7, 7.0),
        (0.5, 0.5),
        (0, 0.0),
    ],
)
def test_a_duration_is_read_as_seconds(given_duration: str | float, seconds: float) -> None:
    assert parse_duration(given_duration) == seconds


@pytest.mark.parametrize(
    "wrong", ["", "s", "5 weeks", "-5s", "1:30", -1, float("nan"), float("inf"), True, None]
)
def test_what_is_no_duration_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="a duration is a number of seconds"):
        parse_duration(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (1023, "1023B"), (1024, "1KiB"), (1536, "1.5KiB"), (64 * 1024**2, "64MiB")]
)
def test_a_size_is_shown_in_its_largest_unit(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(min_value=0, max_value=2**70))
def test_a_size_shown_without_a_decimal_reads_back_as_itself(size: int) -> None:
    text = format_size(size)
    if "." not in text:
        assert parse_size(text) == size
