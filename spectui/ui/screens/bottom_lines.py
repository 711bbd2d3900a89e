"""The lines between charts and message: memory and bandwidth, and the timeline of a replay."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical

from spectui.core.views import RunView
from spectui.ui.widgets.telemetry_strip import TelemetryStrip
from spectui.ui.widgets.timeline_bar import TimelineBar


class BottomLines(Vertical):
    """Shows those lines that are needed and fit."""

    DEFAULT_CSS = "BottomLines { height: auto; }"

    def __init__(self) -> None:
        super().__init__()
        self._telemetry = TelemetryStrip()
        self._timeline = TimelineBar()

    def compose(self) -> ComposeResult:
        yield self._telemetry
        yield self._timeline

    def fit_to(self, telemetry: bool, replay: bool) -> None:
        """Assign rows to the lines; the timeline of a replay is always shown."""
        self._telemetry.display = telemetry
        self._timeline.display = replay
        self.display = telemetry or replay

    def show(self, view: RunView, slow: bool) -> None:
        """Show ``view``; slowly changing parts are updated only if ``slow``."""
        if slow and self._telemetry.display:
            self._telemetry.show(view)
        if self._timeline.display:
            self._timeline.show(view)
