"""One sentence about a lane for an audience, in place of the ledger."""

from __future__ import annotations

from typing import Any

from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.cells import safe
from spectui.ui.paint.rows import Row
from spectui.ui.paint.wrapping import shortened


class LaneSentence(Canvas):
    """Takes as many rows as it is given."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._text = ""

    def show(self, text: str) -> None:
        """Show ``text``."""
        if text != self._text:
            self._text = text
            self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        return [((line, "strong"),) for line in shortened(safe(self._text), width, height)]
