"""The caption of a talk's scene: what the audience should look at."""

from __future__ import annotations

from typing import Any

from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.cells import safe
from spectui.ui.paint.rows import Row, fit
from spectui.ui.paint.wrapping import shortened

MOST_ROWS = 2
BAR = "▌ "
_PROGRESS_CELLS = 8


class CaptionLine(Canvas):
    """A bold line after a bar, or two lines if one is too short; empty while no talk is running."""

    DEFAULT_CSS = "CaptionLine { display: none; height: 1; margin: 0 1; }"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._text = self._progress = ""

    def show(self, text: str, progress: str, width: int) -> None:
        """Show ``text`` on a screen of ``width`` cells.

        ``progress`` is shown at the right end of the first row.
        """
        if (text, progress) == (self._text, self._progress) and self.cells.width in (0, width - 2):
            return
        self._text, self._progress = text, progress
        self.display = bool(text)
        self.styles.height = max(1, len(caption_rows(text, progress, width - 2)))
        self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        return caption_rows(self._text, self._progress, width)


def caption_rows(text: str, progress: str, width: int) -> list[Row]:
    """The caption in at most `MOST_ROWS` rows."""
    lines = shortened(safe(text), max(1, width - len(BAR) - _PROGRESS_CELLS), MOST_ROWS)
    rows: list[Row] = []
    for number, line in enumerate(lines):
        row: Row = ((BAR, "accent"), (line, "strong"))
        rows.append((*fit(row, width - len(progress)), (progress, "muted")) if number == 0 else row)
    return rows
