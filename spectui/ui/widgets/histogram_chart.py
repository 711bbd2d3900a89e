"""How many drafted tokens each step of the focused lane had accepted: the distribution behind the mean."""

from __future__ import annotations

from typing import Any

from spectui.core.views import LaneView
from spectui.ui.paint.bars import Bar, bar_rows
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.rows import Row
from spectui.ui.theme.palette import lane_style
from spectui.ui.widgets.acceptance_chart import chart_heading
from spectui.ui.widgets.pane_head import drafting_text


class HistogramChart(Canvas):
    """Share of the steps by number of accepted tokens, over the last steps or all of them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._lane: LaneView | None = None
        self._number = 1
        self._windowed = True

    def show(self, lane: LaneView, number: int, windowed: bool = True) -> None:
        """Show ``lane``, the ``number``-th counting from 1."""
        self._lane, self._number, self._windowed = lane, number, windowed
        self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        if self._lane is None:
            return []
        return histogram_rows(self._lane, width, height, self._number, self._windowed)


def histogram_rows(lane: LaneView, width: int, height: int, number: int = 1, windowed: bool = True) -> list[Row]:
    """A heading, and one bar from 0 to 100 % for each number of accepted tokens."""
    if height < 1:
        return []
    acceptance = lane.window if windowed else lane.acceptance
    heading = chart_heading(("accepted per step", "accepted"), lane, number, acceptance, windowed, width)
    if not acceptance.seen:
        return [heading, ((drafting_text(lane), "muted"),)][:height]
    shares = [count / acceptance.seen for count in acceptance.histogram]
    bars = [Bar(str(accepted), share, f"{share:.0%}".replace("%", " %")) for accepted, share in enumerate(shares)]
    return [heading, *bar_rows(bars, lane_style(number - 1), width, height - 1)]
