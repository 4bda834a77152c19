"""The ratios of all benchmarks as one picture, written by hand as SVG: no library is worth so few bars.

One bar per row from the line at 1, where both are equally fast: to the right we are faster, to the left
slower. The scale is logarithmic, since twice as fast and half as fast are equally far from equal. A tick
across the bar shows the goal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from .harness import Report, Row

WIDTH, MARGIN, LABELS = 1080, 24, 470
ROW_HEIGHT, BAR_HEIGHT, HEADING_HEIGHT = 40, 16, 34
TOP, BOTTOM = 84, 44
VALUE_ROOM = 64
"""Pixels right of the longest bar, for its figure."""

MET, MISSED, LINE, GRID, TEXT, MUTED = "#2b8a5e", "#c9732b", "#20262e", "#e3e6ea", "#20262e", "#66707c"

LEAST, MOST = 0.25, 2.0
"""The scale covers at least this, so that a picture of a few good rows does not look like a close race."""


def draw(reports: Sequence[Report]) -> str:
    """The picture as SVG. Skipped rows are left out; the table has them."""
    measured = [
        (report.name, [row for row in report.rows if isinstance(row, Row)])
        for report in reports
        if any(isinstance(row, Row) for row in report.rows)
    ]
    rows = [row for _, of_report in measured for row in of_report]
    scale = _Scale([value for row in rows for value in (row.ratio, row.comparison.goal)])
    height = TOP + len(measured) * HEADING_HEIGHT + len(rows) * ROW_HEIGHT + BOTTOM
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="Helvetica, Arial, sans-serif" font-size="13" fill="{TEXT}">',
        "<title>How many times faster than each reference</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(MARGIN, 34, "How many times faster than the reference", size=20, weight="bold"),
        *_legend(),
        *scale.grid(TOP - 8, height - BOTTOM),
    ]
    y = TOP
    for name, of_report in measured:
        lines.append(_text(MARGIN, y + 22, name, size=14, weight="bold"))
        y += HEADING_HEIGHT
        for row in of_report:
            lines += _bar(row, y, scale)
            y += ROW_HEIGHT
    one = scale.x(1.0)
    lines.append(f'<path d="M{one:.1f} {TOP - 8}V{height - BOTTOM}" stroke="{LINE}" stroke-width="1.5"/>')
    return "\n".join([*lines, "</svg>", ""])


class _Scale:
    """Ratios to pixels, logarithmically."""

    def __init__(self, ratios: Sequence[float]) -> None:
        self._least = math.log(min([*ratios, LEAST]))
        self._most = math.log(max([*ratios, MOST]))

    def x(self, ratio: float) -> float:
        left, right = MARGIN + LABELS + VALUE_ROOM, WIDTH - MARGIN - VALUE_ROOM
        return left + (math.log(ratio) - self._least) / (self._most - self._least) * (right - left)

    def grid(self, top: float, bottom: float) -> Iterator[str]:
        for mark in (0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64):
            if self._least - 1e-9 <= math.log(mark) <= self._most + 1e-9:
                x = self.x(mark)
                yield f'<path d="M{x:.1f} {top}V{bottom}" stroke="{GRID}"/>'
                yield _text(x, bottom + 20, f"{mark:g}×", anchor="middle", colour=MUTED)


def _bar(row: Row, y: float, scale: _Scale) -> Iterator[str]:
    comparison = row.comparison
    middle = y + ROW_HEIGHT / 2
    yield _text(MARGIN + 12, middle - 3, _shortened(comparison.case))
    yield _text(
        MARGIN + 12, middle + 12, _shortened(f"vs {comparison.reference_name}"), size=11, colour=MUTED
    )
    one, end = scale.x(1.0), scale.x(row.ratio)
    yield (
        f'<rect x="{min(one, end):.1f}" y="{middle - BAR_HEIGHT / 2}" width="{max(abs(end - one), 1):.1f}" '
        f'height="{BAR_HEIGHT}" fill="{MET if row.met else MISSED}"/>'
    )
    goal = scale.x(comparison.goal)
    yield f'<path d="M{goal:.1f} {middle - 12}V{middle + 12}" stroke="{TEXT}" stroke-width="2"/>'
    # Beyond the goal's tick where that would be in the way.
    after = max(end, goal) if 0 <= goal - end < VALUE_ROOM else end
    before = min(end, goal) if 0 <= end - goal < VALUE_ROOM else end
    x, anchor = (after + 6, "start") if row.ratio >= 1 else (before - 6, "end")
    yield _text(x, middle + 4, f"{row.ratio:.2f}×", anchor=anchor, weight="bold")


def _legend() -> Iterator[str]:
    y = 58
    yield f'<rect x="{MARGIN}" y="{y - 10}" width="14" height="12" fill="{MET}"/>'
    yield _text(MARGIN + 20, y, "goal met", colour=MUTED)
    yield f'<rect x="{MARGIN + 96}" y="{y - 10}" width="14" height="12" fill="{MISSED}"/>'
    yield _text(MARGIN + 116, y, "goal missed", colour=MUTED)
    yield f'<path d="M{MARGIN + 218} {y - 12}v16" stroke="{TEXT}" stroke-width="2"/>'
    yield _text(MARGIN + 228, y, "goal", colour=MUTED)
    yield _text(WIDTH - MARGIN, y, "slower ← 1× → faster (logarithmic)", anchor="end", colour=MUTED)


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 13,
    weight: str = "normal",
    anchor: str = "start",
    colour: str = TEXT,
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{colour}">{escape(text)}</text>'
    )


def _shortened(text: str) -> str:
    """``text`` in as many characters as fit left of the bars."""
    most = LABELS // 6
    return text if len(text) <= most else text[: most - 1] + "…"
