"""Lists all lanes on one line, for screens on which not every lane has a pane."""

from __future__ import annotations

from textual import events
from textual.message import Message

from spectui.core.views import LaneView
from spectui.figures import ratio_text, three_digits
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.cells import safe
from spectui.ui.paint.rows import Row, row_width
from spectui.ui.theme.palette import lane_style
from spectui.ui.widgets.pane_head import UNLIKE, speedup_marks

GAP = "   "


class LaneStrip(Canvas):
    """Shows number, name, tok/s and speed-up of every lane; a click focuses a lane."""

    DEFAULT_CSS = "LaneStrip { height: 1; }"

    class Chosen(Message):
        """The user clicked the lane at ``index``."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self) -> None:
        super().__init__()
        self._lanes: tuple[LaneView, ...] = ()
        self._focus = 0

    def show(self, lanes: tuple[LaneView, ...], focus: int) -> None:
        """Show ``lanes``, with a mark on the one at ``focus``."""
        self._lanes, self._focus = lanes, focus
        self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        return [tuple(span for _, item in self._fitting(width) for span in (*item, (GAP, "text")))]

    def _fitting(self, width: int) -> list[tuple[int, Row]]:
        """Return (lane, spans) for the lanes that fit; those before the focus are dropped first."""
        items = [(index, lane_item(lane, index, index == self._focus)) for index, lane in enumerate(self._lanes)]
        while len(items) > 1 and sum(row_width(item) + len(GAP) for _, item in items) - len(GAP) > width:
            items.pop(0 if items[0][0] < self._focus else -1)
        return items

    def on_click(self, event: events.Click) -> None:
        x = 0
        for index, item in self._fitting(self.size.width):
            x += row_width(item) + len(GAP)
            if event.x < x:
                self.post_message(self.Chosen(index))
                return


def lane_item(lane: LaneView, index: int, focused: bool) -> Row:
    """Format one lane in a few words."""
    name = lane_style(index, title=True) if focused else "muted"
    item: Row = ((f"{index + 1} {safe(lane.info.title)}", name),)
    if lane.stage.stage == "failed":
        return (*item, (" failed", "bad"))
    if lane.stage.stage != "ready":
        return (*item, (f" {lane.stage.stage}", "muted"))
    speedup = ratio_text(lane.speedup) + (UNLIKE if lane.unlike else "")
    style = "warn" if speedup_marks(lane) else "muted"
    return (*item, (f" {three_digits(lane.tok_s)}", "text" if focused else "muted"), (f" {speedup}", style))
