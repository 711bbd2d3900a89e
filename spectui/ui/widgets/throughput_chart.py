"""Throughput of all lanes over lane time, and the lesson of the meter that counts stream chunks."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from spectui.core.views import LaneView
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.cells import safe
from spectui.ui.paint.digits import figure
from spectui.ui.paint.rows import EMPTY, Row, Span, fit, row_width
from spectui.ui.theme.palette import LANE_COLOURS, lane_style

STRETCH_S = 0.5
"""Seconds of lane time that a point is the mean of at least: a step's burst is not a change of speed."""

_Series: TypeAlias = tuple[tuple[float, float], ...]
_Marks: TypeAlias = tuple[tuple[float, int], ...]
_Plotter: TypeAlias = Callable[[Sequence[_Series], int, int, int, _Marks], list[Row]]
_NICE = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)
_MIN_PLOT = 3
_COLOUR = re.compile(r"\x1b\[([0-9;]*)m")


class ThroughputChart(Canvas):
    """plotext draws the lines; they are drawn again only when a figure or the size changed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._lanes: tuple[LaneView, ...] = ()
        self._focus = 1
        self._key: object = None
        self._plot: list[Row] = []

    def show(self, lanes: Sequence[LaneView], focus: int) -> bool:
        """Show ``lanes``, the ``focus``-th from 1 in front; True when there is something to paint."""
        self._lanes, self._focus = tuple(lanes), focus
        return self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        return throughput_rows(self._lanes, width, height, self._focus, self._drawn)

    def _drawn(self, lines: Sequence[_Series], focus: int, width: int, height: int, marks: _Marks) -> list[Row]:
        key = (tuple(lines), focus, width, height, marks)
        if key != self._key:
            self._plot, self._key = plot_rows(lines, focus, width, height, marks), key
        return self._plot


def throughput_rows(
    lanes: Sequence[LaneView], width: int, height: int, focus: int = 1, plot: _Plotter | None = None
) -> list[Row]:
    """Heading that names the lanes' colours, the lines, and the focused lane's lesson where there is room."""
    if height < 1:
        return []
    rows = [_heading(lanes, width)]
    lesson = lesson_row(lanes[focus - 1], width) if height > _MIN_PLOT + 2 and 0 < focus <= len(lanes) else EMPTY
    room = height - 1 - bool(lesson)
    lines = [coarser(lane.series, max(2, width // 2)) for lane in lanes]
    if any(lines) and room >= _MIN_PLOT:
        marks = lanes[focus - 1].k_changes if 0 < focus <= len(lanes) else ()
        rows += (plot or plot_rows)(lines, focus, width, room, marks)
    rows += [EMPTY] * (1 + room - len(rows))
    return [*rows, lesson] if lesson else rows


def _heading(lanes: Sequence[LaneView], width: int) -> Row:
    """Where the names do not fit, the lanes' numbers stand for them, as they do in the panes and on the lines."""
    names = [safe(lane.info.title) for lane in lanes]
    numbers = [str(number) for number in range(1, len(lanes) + 1)]
    for title, words in (("tok/s over lane time", names), ("tok/s", names), ("tok/s", numbers)):
        legend = [(("  ", "text"), (f"━ {word}", lane_style(index))) for index, word in enumerate(words)]
        missing: Row = (("  partial", "warn"),) if any(lane.lost != 0 for lane in lanes) else ()
        row: Row = ((title, "strong"), *(span for entry in legend for span in entry), *missing)
        if row_width(row) <= width:
            break
    return row


def lesson_row(lane: LaneView, width: int) -> Row:
    """What a client that counts stream chunks as tokens would report, beside the truth; empty before the first step.

    The wording gets shorter with the width; the two figures never go.
    """
    if lane.naive_tok_s is None or lane.tok_s is None:
        return EMPTY
    naive, true = figure(lane.naive_tok_s), figure(lane.tok_s)
    for before, between, unit in (
        ("a meter that counts stream chunks says ", " tok/s, true is ", " tok/s"),
        ("stream chunks ", "/s, tokens ", "/s"),
        ("chunks ", ", tokens ", ""),
    ):
        row: Row = ((before, "muted"), (naive, "warn"), (between, "muted"), (true, "strong"), (unit, "muted"))
        if row_width(row) <= width:
            return row
    return fit(row, width)


def nice_ceiling(value: float, least: float) -> float:
    """The next round figure above ``value``, so that an axis moves rarely and ends at a readable figure."""
    target = max(value, least)
    scale = 10.0 ** math.floor(math.log10(target))
    return next(step * scale for step in _NICE if step * scale >= target)


def coarser(series: _Series, most: int) -> _Series:
    """Means over equal stretches of at least `STRETCH_S`, at most ``most`` of them; the unfinished last one waits."""
    if len(series) < 2:
        return ()
    group = max(1, round(STRETCH_S / (series[1][0] - series[0][0])))
    while len(series) > most * group:
        group *= 2
    stretches = (series[start : start + group] for start in range(0, len(series) - group + 1, group))
    return tuple(((part[0][0] + part[-1][0]) / 2, sum(rate for _, rate in part) / group) for part in stretches)


def plot_rows(lines: Sequence[_Series], focus: int, width: int, height: int, marks: _Marks = ()) -> list[Row]:
    """The lines on axes from 0 to round figures, each ending in its lane's number; the focused one in front.

    ``marks`` are where the focused lane's K changed: an arrow on the ground, with the new K.
    """
    import plotext  # type: ignore[import-untyped]  # costs 30 ms that the first frame does not have

    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.plot_size(width, height)
    plotext.theme("clear")
    plotext.frame(False)
    top = nice_ceiling(max(rate for line in lines for _, rate in line), 10)
    last = nice_ceiling(max(line[-1][0] for line in lines if line), 5)
    for index in sorted(range(len(lines)), key=lambda index: index == focus - 1):
        if lines[index]:
            seconds, rates = zip(*lines[index], strict=True)
            colour = index % LANE_COLOURS + 1
            plotext.plot(seconds, rates, marker="braille", color=colour)
            plotext.text(str(index + 1), min(last, seconds[-1] + last / width), rates[-1], color=colour)
    for seconds_in, k in marks:
        plotext.text(f"▴{k}", min(seconds_in, last), 0, color=(focus - 1) % LANE_COLOURS + 1)
    plotext.ylim(0, top)
    plotext.xlim(0, last)
    plotext.yticks([0, top / 2, top], ["0", f"{top / 2:g}", f"{top:g}"])
    plotext.xticks([0, last / 2, last], ["0", f"{last / 2:g}", f"{last:g} s"])
    return [parse_row(line) for line in plotext.build().splitlines()[:height]]


def parse_row(line: str) -> Row:
    """A line of plotext's with its colours as spans; what has no colour is an axis."""
    spans: list[Span] = []
    style = "muted"
    for index, part in enumerate(_COLOUR.split(line)):
        if index % 2:
            colour = part.removeprefix("38;5;")
            style = lane_style(int(colour) - 1) if colour != part and colour.isdigit() else "muted"
        elif part:
            spans.append((part, style))
    return tuple(spans)
