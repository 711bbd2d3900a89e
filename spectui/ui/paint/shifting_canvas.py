"""A canvas whose rows move: a row that was drawn elsewhere keeps its strip and what the terminal is sent for it."""

from __future__ import annotations

from spectui.ui.paint.canvas import Canvas


class ShiftingCanvas(Canvas):
    """For text that scrolls and lists that grow at one end."""

    def draw(self) -> bool:
        rows, strips, width = list(self._rows), list(self._strips), self._drawn_width
        changed = super().draw()
        if changed and width == self._drawn_width:
            drawn = dict(zip(rows, strips, strict=True))
            self._strips = [strip or drawn.get(row) for row, strip in zip(self._rows, self._strips, strict=True)]
        return changed
