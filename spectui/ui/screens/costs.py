"""The screen of step times, for every lane and every K."""

from __future__ import annotations

from spectui.core.views import RunView
from spectui.ui.paint.rows import Row
from spectui.ui.screens.scrolling import Reader, ReaderScreen
from spectui.ui.widgets.cost_rows import cost_rows


class CostsReader(Reader):
    """Shows the lanes of a view."""

    def __init__(self, view: RunView) -> None:
        super().__init__()
        self.view = view

    def content(self, width: int) -> list[Row]:
        return cost_rows(self.view.lanes, width, served=self.view.attached is not None)


class CostsScreen(ReaderScreen):
    """Follows the race, updated twice a second."""

    def __init__(self, view: RunView) -> None:
        self._costs = CostsReader(view)
        super().__init__("step times", "measured throughput and step time of each K; ┃ is the cost model", self._costs)

    def present(self, view: RunView, slow: bool) -> None:
        """Show the figures of the steps so far."""
        if not self.is_mounted or not slow:
            return
        self._costs.view = view
        self.reader.redraw()
