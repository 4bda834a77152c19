"""The picture and the page, of made-up figures."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from tests.bench.chart import MET, MISSED, draw
from tests.bench.harness import Comparison, Report, Row, Times
from tests.bench.page import text

SVG = "{http://www.w3.org/2000/svg}"


def row(ratio: float, goal: float = 1.0, case: str = "case") -> Row:
    comparison = Comparison(case, lambda: 1.0, lambda: ratio, "the reference", goal)
    return Row(comparison, Times((1.0,)), Times((ratio,)))


def skipped() -> Comparison:
    return Comparison("case", lambda: 1.0, lambda: 1.0, "the peer", 1.0, unavailable="it is not installed")


def bars(picture: str) -> list[tuple[float, float, str]]:
    """Left end, right end and colour of each bar."""
    root = ElementTree.fromstring(picture)
    rects = [rect.attrib for rect in root.iter(f"{SVG}rect") if rect.attrib["height"] == "16"]
    return [(float(r["x"]), float(r["x"]) + float(r["width"]), r["fill"]) for r in rects]


def line_at_one(picture: str) -> float:
    found = re.search(r'<path d="M([\d.]+) \d+V\d+" stroke="#20262e" stroke-width="1.5"/>', picture)
    assert found is not None
    return float(found[1])


def test_a_bar_reaches_from_the_line_at_one_to_the_right_when_we_are_faster_and_left_when_slower() -> None:
    picture = draw([Report("name", 5, (row(4.0), row(0.25)))])
    one = line_at_one(picture)
    faster, slower = bars(picture)
    assert faster[0] == pytest.approx(one, abs=0.2)
    assert slower[1] == pytest.approx(one, abs=0.2)
    # As far to the right as to the left: the scale is logarithmic.
    assert faster[1] - one == pytest.approx(one - slower[0], abs=0.4)


def test_the_colour_says_whether_the_goal_is_met_and_not_whether_we_are_faster() -> None:
    picture = draw([Report("name", 5, (row(0.5, goal=0.4), row(2.0, goal=3.0)))])
    assert [colour for _, _, colour in bars(picture)] == [MET, MISSED]


def test_all_bars_lie_within_the_picture_however_far_the_ratios_are_apart() -> None:
    picture = draw([Report("name", 5, (row(0.01), row(500.0)))])
    assert all(0 < left <= right < 1080 for left, right, _ in bars(picture))


def test_skipped_rows_have_no_bar_and_names_are_escaped() -> None:
    picture = draw([Report("a < b", 5, (skipped(), row(2.0, case="x & y"))), Report("none", 5, (skipped(),))])
    assert len(bars(picture)) == 1
    words = [element.text for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]
    assert "a < b" in words
    assert "x & y" in words
    assert "none" not in words


def test_the_page_has_one_table_with_every_row_of_every_benchmark() -> None:
    page = text([Report("first", 5, (row(2.0),)), Report("second", 5, (skipped(), row(0.5)))])
    assert page.count("| benchmark | case |") == 1
    assert "| first | case | 1.000 s (1.000 to 1.000) | the reference: 2.000 s" in page
    assert "| second | case | skipped: it is not installed | the peer |" in page
    assert "- python: " in page
    assert "(benchmarks.svg)" in page
