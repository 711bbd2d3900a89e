"""Charts the throughput of all lanes over lane time, with the figure of a meter that counts stream chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from spectui.core.views import LaneView
from spectui.figures import three_digits
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.cells import safe
from spectui.ui.paint.plot import LEAST_ROWS, Axis, Curve, Label, Plot, Points, nice_ceiling, plot_rows
from spectui.ui.paint.rows import EMPTY, Row, fit, row_width
from spectui.ui.theme.palette import lane_style

STRETCH_S = 0.5
"""The least lane time in seconds that a point averages, since the burst of one step is not a change of speed."""

_Marks: TypeAlias = tuple[tuple[float, int], ...]


class ThroughputChart(Canvas):
    """Draws the lines of all lanes, and the lesson of the focused one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._lanes: tuple[LaneView, ...] = ()
        self._focus = 1

    def show(self, lanes: Sequence[LaneView], focus: int) -> None:
        """Show ``lanes``, with the ``focus``-th (from 1) in front."""
        self._lanes, self._focus = tuple(lanes), focus
        self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        return throughput_rows(self._lanes, width, height, self._focus)


def throughput_rows(lanes: Sequence[LaneView], width: int, height: int, focus: int = 1) -> list[Row]:
    """Return a heading with the lanes' colours, the lines, and, if there is room, the focused lane's lesson."""
    if height < 1:
        return []
    rows = [_heading(lanes, width)]
    lesson = lesson_row(lanes[focus - 1], width) if height > LEAST_ROWS + 2 and 0 < focus <= len(lanes) else EMPTY
    room = height - 1 - bool(lesson)
    lines = [coarser(lane.series, max(2, width // 2)) for lane in lanes]
    if any(lines) and room >= LEAST_ROWS:
        marks = lanes[focus - 1].k_changes if 0 < focus <= len(lanes) else ()
        rows += plot_rows(throughput_plot(lines, focus, width, marks), width, room)
    rows += [EMPTY] * (1 + room - len(rows))
    return [*rows, lesson] if lesson else rows


def _heading(lanes: Sequence[LaneView], width: int) -> Row:
    """Return the heading; if the names do not fit, it shows the lanes' numbers, as the panes and the lines do."""
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
    """Compare what a client that counts stream chunks as tokens reports with the truth; empty before the first step.

    The wording gets shorter with the width; the two figures are always shown.
    """
    if lane.naive_tok_s is None or lane.tok_s is None:
        return EMPTY
    naive, true = three_digits(lane.naive_tok_s), three_digits(lane.tok_s)
    for before, between, unit in (
        ("a meter that counts stream chunks says ", " tok/s; the truth is ", " tok/s"),
        ("stream chunks ", "/s, tokens ", "/s"),
        ("chunks ", ", tokens ", ""),
    ):
        row: Row = ((before, "muted"), (naive, "warn"), (between, "muted"), (true, "strong"), (unit, "muted"))
        if row_width(row) <= width:
            return row
    return fit(row, width)


def coarser(series: Points, most: int) -> Points:
    """Return means over equal stretches of at least `STRETCH_S`, at most ``most``; an unfinished stretch is omitted."""
    if len(series) < 2:
        return ()
    group = max(1, round(STRETCH_S / (series[1][0] - series[0][0])))
    while len(series) > most * group:
        group *= 2
    stretches = (series[start : start + group] for start in range(0, len(series) - group + 1, group))
    return tuple(((part[0][0] + part[-1][0]) / 2, sum(rate for _, rate in part) / group) for part in stretches)


def throughput_plot(lines: Sequence[Points], focus: int, width: int, marks: _Marks = ()) -> Plot:
    """Draw the lines on axes from 0 to round figures, each ending in its lane's number; the focused one is in front.

    ``marks`` are the times at which the focused lane's K changed: each is an arrow on the axis, with the new K.
    """
    top = nice_ceiling(max(rate for line in lines for _, rate in line), 10)
    last = nice_ceiling(max(line[-1][0] for line in lines if line), 5)
    curves, labels = list[Curve](), list[Label]()
    for index in sorted(range(len(lines)), key=lambda index: index == focus - 1):
        if lines[index]:
            seconds, rate = lines[index][-1]
            curves.append(Curve(lines[index], lane_style(index)))
            labels.append(Label(str(index + 1), min(last, seconds + last / width), rate, lane_style(index)))
    labels += [Label(f"▴{k}", seconds, 0, lane_style(focus - 1)) for seconds, k in marks]
    seconds_axis = Axis(0, last, ((0, "0"), (last / 2, f"{last / 2:g}"), (last, f"{last:g} s")))
    rate_axis = Axis(0, top, ((0, "0"), (top / 2, f"{top / 2:g}"), (top, f"{top:g}")))
    return Plot(tuple(curves), tuple(labels), seconds_axis, rate_axis)
