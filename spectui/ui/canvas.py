"""The base of our widgets: rows in, only the changed lines out.

A frame is drawn in the short slot that the engine leaves between two steps, so it must be cheap: a canvas compares its
new rows with the ones on the terminal, marks only the lines that differ, and keeps the strips of the others. It has
neither border nor padding, and never causes a layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from spectui.ui.rows import EMPTY, Row, fit


class Canvas(Widget):
    """A widget drawn from rows. Subclasses answer `rows`; whoever changes what they draw from calls `redraw`."""

    DEFAULT_CSS = "Canvas { height: 1fr; width: 1fr; }"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._rows: list[Row] = []
        self._strips: list[Strip | None] = []
        self._drawn_width = -1

    def rows(self, width: int, height: int) -> list[Row]:
        """At most ``height`` rows for ``width`` cells; missing ones are blank."""
        raise NotImplementedError

    @property
    def palette(self) -> Mapping[str, Style]:
        """Style of each style name in the current theme."""
        return self.app.palette  # type: ignore[attr-defined, no-any-return]

    def redraw(self) -> bool:
        """Draw the rows anew and mark the lines that changed; True when there is something to paint."""
        width, height = self.size
        if not (width and height) or not self.is_mounted:
            return False
        rows = self.rows(width, height)[:height]
        rows += [EMPTY] * (height - len(rows))
        if width != self._drawn_width or height != len(self._rows):
            self._rows, self._strips, self._drawn_width = rows, [None] * height, width
            self._set_dirty()
            return True
        changed = [y for y, (old, new) in enumerate(zip(self._rows, rows, strict=True)) if old != new]
        for y in changed:
            self._rows[y] = rows[y]
            self._strips[y] = None
        if changed:
            self._set_dirty(*(Region(0, y, width, 1) for y in changed))
        return bool(changed)

    def restyle(self) -> None:
        """Forget drawn strips: the theme or the size changed."""
        self._drawn_width = -1
        self.redraw()
        self.refresh()

    def on_resize(self) -> None:
        self.restyle()

    def render_lines(self, crop: Region) -> list[Strip]:
        """Textual's line API, without its style cache: a canvas has no border, padding or opacity."""
        return [self.render_line(y).crop(crop.x, crop.right) for y in range(crop.y, crop.bottom)]

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if self._drawn_width != width or y >= len(self._rows):
            return Strip.blank(width, self.palette["text"])
        strip = self._strips[y]
        if strip is None:
            palette = self.palette
            fallback = palette["text"]
            segments = [Segment(text, palette.get(style, fallback)) for text, style in fit(self._rows[y], width)]
            strip = self._strips[y] = Strip(segments, width)
        return strip


def paint(screen: Screen[Any], canvases: set[Widget]) -> None:
    """Put the marked lines of ``canvases`` on the terminal now, inside the engine's slot.

    Textual would do the same up to 16 ms later, in the middle of an engine step. Under another screen the ordinary,
    later way serves: nobody sees the canvases there.
    """
    if not canvases:
        return
    if screen is screen.app.screen and not screen._layout_required:
        screen._compositor.update_widgets(canvases)
        screen._compositor_refresh()
    else:
        for canvas in canvases:
            canvas.refresh()
