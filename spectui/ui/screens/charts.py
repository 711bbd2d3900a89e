"""The charts: acceptance by position, accepted per step, throughput; below the panes, or beside a single pane."""

from __future__ import annotations

from typing import Literal

from textual.app import ComposeResult
from textual.containers import Horizontal

from spectui.core.views import LaneView
from spectui.ui.widgets.acceptance_chart import AcceptanceChart
from spectui.ui.widgets.histogram_chart import HistogramChart
from spectui.ui.widgets.throughput_chart import ThroughputChart


class Charts(Horizontal):
    """Draws the charts that fit."""

    def __init__(self) -> None:
        super().__init__()
        self._acceptance = AcceptanceChart()
        self._histogram = HistogramChart()
        self._throughput = ThroughputChart()

    def compose(self) -> ComposeResult:
        yield self._acceptance
        yield self._histogram
        yield self._throughput

    def fit_to(self, where: Literal["below", "beside", "none"], count: int, rows: int) -> None:
        """Show the first ``count`` charts, each of ``rows`` rows below the panes, or as high as the pane beside it."""
        beside = where == "beside"
        self.display = where != "none"
        for place, chart in enumerate((self._acceptance, self._histogram, self._throughput)):
            chart.display = place < count
            chart.styles.height = None if beside else rows
            # Text of panes and charts uses the same columns: one cell at the edges, two in between.
            last = place == count - 1
            chart.styles.margin = (0, 1 if beside or last else 2, int(beside), 1)

    def show(self, lanes: tuple[LaneView, ...], focus: int, windowed: bool) -> None:
        """Show the lane at ``focus``, and the throughput of all lanes."""
        if not self.display or focus >= len(lanes):
            return
        lane, number = lanes[focus], focus + 1
        if self._acceptance.display:
            self._acceptance.show(lane, number, windowed)
        if self._histogram.display:
            self._histogram.show(lane, number, windowed)
        if self._throughput.display:
            self._throughput.show(lanes, number)
