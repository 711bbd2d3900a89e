"""The base of our widgets: rows in, only the changed lines out.

A canvas whose content changed registers itself for the next frame (`spectui.ui.paint.next_frame`). There its new rows
are compared with the ones on the terminal, and the lines that differ are painted. A canvas has neither border nor
padding, and never causes a layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip

from spectui.ui.paint.rows import EMPTY, Row, fit
from spectui.ui.paint.textual_private import LineWidget


class Canvas(LineWidget):
    """A widget drawn from rows. Subclasses answer `rows` and call `redraw` when what they draw from changes."""

    DEFAULT_CSS = "Canvas { height: 1fr; width: 1fr; }"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._rows: list[Row] = []
        self._strips: list[Strip | None] = []
        self._drawn_width = -1
        self._changed: set[int] = set()

    def rows(self, width: int, height: int) -> list[Row]:
        """At most ``height`` rows for ``width`` cells; missing ones are blank."""
        raise NotImplementedError

    @property
    def palette(self) -> Mapping[str, Style]:
        """Style of each style name in the current theme."""
        return self.app.palette  # type: ignore[attr-defined, no-any-return]

    def redraw(self) -> None:
        """What is shown changed: draw it in the next frame, or in the one that is being drawn."""
        if self.is_mounted:
            self.app.next_frame.add(self)  # type: ignore[attr-defined]

    def draw(self) -> bool:
        """Draw the rows anew and note the lines that changed; True when there is something to paint."""
        width, height = self.cells
        if not (width and height):
            return False
        rows = self.rows(width, height)[:height]
        rows += [EMPTY] * (height - len(rows))
        if width != self._drawn_width or height != len(self._rows):
            self._rows, self._strips, self._drawn_width = rows, [None] * height, width
            self._changed = set(range(height))
            return True
        changed = [y for y, (old, new) in enumerate(zip(self._rows, rows, strict=True)) if old != new]
        for y in changed:
            self._rows[y] = rows[y]
            self._strips[y] = None
        self._changed.update(changed)
        return bool(changed)

    def restyle(self) -> None:
        """Forget drawn strips: the theme changed."""
        self._drawn_width = -1
        self.refresh()

    def on_resize(self) -> None:
        if self.cells != (self._drawn_width, len(self._rows)):
            self.restyle()

    def take_changed(self) -> list[int]:
        """The lines that changed since the last call, from the top."""
        changed = sorted(self._changed)
        self._changed.clear()
        return changed

    def render_lines(self, crop: Region) -> list[Strip]:
        """Textual's line API, without its style cache: a canvas has no border, padding or opacity."""
        return [self.render_line(y).crop(crop.x, crop.right) for y in range(crop.y, crop.bottom)]

    def render_line(self, y: int) -> Strip:
        width, height = self.cells
        if self._drawn_width != width or len(self._rows) != height:
            self.draw()
        if y >= len(self._rows):
            return Strip.blank(width, self.palette["text"])
        strip = self._strips[y]
        if strip is None:
            palette = self.palette
            fallback = palette["text"]
            segments = [Segment(text, palette.get(style, fallback)) for text, style in fit(self._rows[y], width)]
            strip = self._strips[y] = Strip(segments, width)
        return strip
