"""The base of our widgets: rows in, only the changed lines out.

A frame is drawn in the short slot that the engine leaves between two steps, so it must be cheap: a canvas compares its
new rows with the ones on the terminal, and `paint` sends the lines that differ straight to their place. Textual's
compositor, which asks every widget of the screen again, serves where lines can be covered or are about to move. A
canvas has neither border nor padding, and never causes a layout.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from spectui.ui.paint.rows import EMPTY, Row, fit


class Canvas(Widget):
    """A widget drawn from rows. Subclasses answer `rows`; whoever changes what they draw from calls `redraw`."""

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

    def redraw(self) -> bool:
        """Draw the rows anew and note the lines that changed; True when there is something to paint."""
        # The public size property works the borders out anew, at a cost that counts for ten widgets a frame.
        width, height = self._size
        if not (width and height) or not self.is_mounted:
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

    def repaint(self) -> None:
        """What is shown changed by a key: into the app's next frame with it, or at once where the app has no frames."""
        if not self.is_mounted:
            return
        into_next_frame = getattr(self.app, "into_next_frame", None)
        if into_next_frame is not None:
            into_next_frame(self)
        elif self.redraw():
            paint(self.screen, {self})

    def restyle(self) -> None:
        """Forget drawn strips: the theme changed."""
        self._drawn_width = -1
        self.redraw()
        self.refresh()

    def on_resize(self) -> None:
        if self._size != (self._drawn_width, len(self._rows)):
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
        width, height = self._size
        if self._drawn_width != width or len(self._rows) != height:
            self.redraw()
        if y >= len(self._rows):
            return Strip.blank(width, self.palette["text"])
        strip = self._strips[y]
        if strip is None:
            palette = self.palette
            fallback = palette["text"]
            segments = [Segment(text, palette.get(style, fallback)) for text, style in fit(self._rows[y], width)]
            strip = self._strips[y] = Strip(segments, width)
        return strip


def paint(screen: Screen[Any], canvases: Iterable[Widget]) -> None:
    """Put the changed lines of ``canvases`` on the terminal now, inside the engine's slot.

    Textual would do the same up to 16 ms later, in the middle of an engine step, and at several times the cost. Under
    another screen, or while the layout is about to change, that later way serves.
    """
    app = screen.app
    driver = app._driver
    places = screen._compositor.visible_widgets
    direct = screen is app.screen and not screen._layout_required and not app._batch_count and driver is not None
    output: list[str] = []
    for canvas in canvases:
        assert isinstance(canvas, Canvas)
        changed = canvas.take_changed()
        if not direct:
            canvas.refresh(*(Region(0, y, canvas.size.width, 1) for y in changed))
        elif canvas in places:
            region, clip = places[canvas]
            output += _lines(app.console, canvas, region, region.intersection(clip), changed)
    if driver is None or not output or app.is_headless:
        return
    # Canvases may come in any order; what is drawn must be the same bytes each time.
    output.sort()
    x, y = app.cursor_position
    output.append(f"\x1b[{y + 1};{x + 1}H")
    app._begin_update()
    driver.write("".join(output))
    app._end_update()
    driver.flush()


def _lines(console: Console, canvas: Canvas, region: Region, visible: Region, changed: list[int]) -> list[str]:
    """Terminal sequences that draw the ``changed`` lines as far as they are ``visible``."""
    sequences: list[str] = []
    for y in changed:
        if visible.y <= region.y + y < visible.bottom:
            strip = canvas.render_line(y)
            if visible.width != region.width:
                strip = strip.crop(visible.x - region.x, visible.right - region.x)
            sequences.append(f"\x1b[{region.y + y + 1};{visible.x + 1}H{strip.render(console)}")
    return sequences
