"""Where the time goes: every lane, every K."""

from __future__ import annotations

from spectui.core.views import RunView
from spectui.ui.paint.rows import Row
from spectui.ui.screens.scrolling import Reader, ReaderScreen
from spectui.ui.widgets.cost_rows import cost_rows


class CostsReader(Reader):
    """The lanes of the view."""

    def __init__(self, view: RunView) -> None:
        super().__init__()
        self.view = view

    def content(self, width: int) -> list[Row]:
        return cost_rows(self.view.lanes, width)


class CostsScreen(ReaderScreen):
    """Moves on with the race, twice a second."""

    def __init__(self, view: RunView) -> None:
        self._costs = CostsReader(view)
        super().__init__("step times", "measured throughput and step time of each K; ┃ is the cost model", self._costs)

    def present(self, view: RunView, slow: bool) -> None:
        """Show what the steps so far say."""
        if not self.is_mounted or not slow:
            return
        self._costs.view = view
        self.reader.redraw()
