"""What the colours of the heat mean, in one row under the text."""

from __future__ import annotations

from itertools import product
from typing import Any

from spectui.core.heat import LEVELS
from spectui.core.views import StreamView
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.rows import Row, row_width, spread
from spectui.ui.theme.palette import HEAT_STYLES

_NAMES = ("tokens per step", "per step")
"""What the scale counts, the longest that fits."""


class HeatLegend(Canvas):
    """Shows the scale, and of how many answers the heat is the mean."""

    DEFAULT_CSS = "HeatLegend { height: 1; display: none; }"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._answers: int | None = None

    def show(self, view: StreamView | None) -> None:
        """Explain the heat of a request; nothing is shown before it starts."""
        answers = None if view is None or view.heat is None else view.heat.answers
        if answers != self._answers:
            self._answers = answers
            self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        return [] if self._answers is None else [legend_row(self._answers, width)]


def legend_row(answers: int, width: int) -> Row:
    """The scale in ``width`` cells."""
    scale: Row = tuple(
        (f" {tokens}{'+' if tokens == LEVELS else ''} ", style) for tokens, style in enumerate(HEAT_STYLES, 1)
    )
    named: Row = (scale[0], ("(hard)", "muted"), *scale[1:], ("(easy)", "muted"))
    told = (f"mean of {answers} answers", f"{answers} answers") if answers > 1 else ("",)
    for ends, more, name in product((named, scale), told, _NAMES):
        row: Row = ((f"{name} ", "muted"), *ends)
        if row_width(row) + len(more) + 2 * bool(more) <= width:
            return spread(row, ((more, "muted"),), width) if more else row
    return scale
