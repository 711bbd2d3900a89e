"""One row under a lane's text: its worst sign of trouble, or why it cannot be compared with AR."""

from __future__ import annotations

from typing import Any

from spectui.core.views import LaneView
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.cells import clip
from spectui.ui.paint.rows import EMPTY, Row, row_width
from spectui.ui.widgets.pane_head import UNLIKE

HINT = "   s: why"
"""The key that shows the figures and the likely causes."""


class TroubleLine(Canvas):
    """Blank as long as all is well."""

    DEFAULT_CSS = "TroubleLine { height: 1; }"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._lane: LaneView | None = None

    def show(self, lane: LaneView) -> None:
        """Show what is wrong with ``lane``."""
        before, self._lane = self._lane, lane
        if before is None or (before.troubles, before.unlike) != (lane.troubles, lane.unlike):
            self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        return [] if self._lane is None else [trouble_row(self._lane, width)]


def trouble_row(lane: LaneView, width: int) -> Row:
    """The row; blank if all is well. What is normal for a method is said only if there is nothing else to say."""
    if lane.failed is not None:
        return EMPTY
    worst = lane.troubles[0] if lane.troubles else None
    if worst is not None and not worst.normal:
        mark, text, style = (f"{worst.mark} ", "bad"), worst.seen, "warn"
    elif lane.unlike:
        mark, text, style = (f"{UNLIKE} ", "warn"), _shortened(lane.unlike, width - 2), "warn"
    elif worst is not None:
        mark, text, style = (f"{worst.mark} ", "muted"), worst.seen, "muted"
    else:
        return EMPTY
    row: Row = (mark, (clip(text, max(0, width - 2)), style))
    return (*row, (HINT, "muted")) if row_width(row) + len(HINT) <= width else row


def _shortened(unlike: str, width: int) -> str:
    """As much of the sentence as fits: all of it, or its first and most far-reaching part."""
    first = unlike.partition(": ")[0].partition("; ")[0]
    return unlike if len(unlike) <= width else first
