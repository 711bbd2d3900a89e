"""Acceptance by position for the focused lane: how far into a draft the target follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spectui.core.acceptance import Acceptance
from spectui.core.views import LaneView
from spectui.figures import number_text, share_text
from spectui.ui.paint.bars import Bar, bar_rows
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.cells import safe
from spectui.ui.paint.rows import EMPTY, Row, row_width, spread
from spectui.ui.theme.palette import lane_style
from spectui.ui.widgets.pane_head import drafting_text

PARTIAL = "partial"
"""Marks figures from which steps are missing."""

_HEADINGS = ("acceptance by position", "acceptance by pos.", "acceptance")


class AcceptanceChart(Canvas):
    """Unconditional acceptance at each position, over the last steps or all of them."""

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
        return acceptance_rows(self._lane, width, height, self._number, self._windowed)


def acceptance_rows(lane: LaneView, width: int, height: int, number: int = 1, windowed: bool = True) -> list[Row]:
    """A heading, one bar per position from 0 to 1, and below them the acceptance length and rate."""
    if height < 1:
        return []
    acceptance = lane.window if windowed else lane.acceptance
    span = span_text(acceptance, windowed)
    heading = chart_heading(_HEADINGS, lane, number, acceptance, windowed, width)
    if not acceptance.seen:
        return [heading, ((drafting_text(lane), "muted"),)][:height]
    bars = [
        Bar(str(position), share, share_text(share)) for position, share in enumerate(acceptance.by_position, start=1)
    ]
    footed = height > 3
    rows = bar_rows(bars, lane_style(number - 1), width, height - 1 - footed)
    rows += [EMPTY] * (height - 1 - footed - len(rows))
    return [heading, *rows, _figures(acceptance, span, width)] if footed else [heading, *rows]


def chart_heading(
    whats: Sequence[str], lane: LaneView, number: int, acceptance: Acceptance, windowed: bool, width: int
) -> Row:
    """What is drawn (the first wording that fits), for which lane and, if there is room, over which steps.

    At any width, missing steps are mentioned before the lane's name.
    """
    name = (safe(lane.info.title), lane_style(number - 1, title=True))
    span, style, least = span_text(acceptance, windowed), "muted", 0
    rows: list[Row] = [((what, "strong"), ("  ", "text"), name) for what in whats]
    if acceptance.partial:
        if not windowed:
            span = f"{acceptance.seen:,} of {acceptance.steps:,}"
        span, style, least = f"{span}, {PARTIAL}", "warn", len(PARTIAL) + 2
        rows += [((what, "strong"),) for what in whats]
    left = next((row for row in rows if row_width(row) + least <= width), rows[-1])
    if row_width(left) + 2 + len(span) <= width:
        return spread(left, ((span, style),), width)
    return spread(left, ((PARTIAL, style),), width) if acceptance.partial else left


def span_text(acceptance: Acceptance, windowed: bool) -> str:
    """The number of steps with a draft that count."""
    if not acceptance.steps:
        return ""
    return f"window {acceptance.steps}" if windowed else f"all {acceptance.steps}"


def _figures(acceptance: Acceptance, span: str, width: int) -> Row:
    length = number_text(acceptance.length, form=".2f")
    row: Row = (("length ", "muted"), (length, "text"))
    for name, value in (("   rate ", share_text(acceptance.rate)), ("   ", span)):
        longer = (*row, (name, "muted"), (value, "text" if name.strip() else "muted"))
        row = longer if row_width(longer) <= width else row
    return row
