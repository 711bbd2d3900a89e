"""Which canvases the next frame draws, and how it paints them.

A frame is drawn in the short slot that the engine leaves between two steps, so it must be cheap: the changed lines go
straight to their place on the terminal. Textual's compositor, which asks every widget on those lines again, serves
where lines can be covered or are about to move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from textual.geometry import Region
from textual.screen import Screen

from spectui.ui.paint.textual_private import places, send, stands

if TYPE_CHECKING:
    from spectui.ui.paint.canvas import Canvas


class NextFrame:
    """The canvases whose content changed since they were drawn.

    Args:
        ask: Asks for a frame; not called for what changes while one is drawn.
    """

    def __init__(self, ask: Callable[[], None]) -> None:
        self._ask = ask
        self._changed: dict[Canvas, None] = {}
        self._drawing = False

    def add(self, canvas: Canvas) -> None:
        """Draw ``canvas`` anew, once, however often it is added."""
        self._changed[canvas] = None
        if not self._drawing:
            self._ask()

    def draw(self, screen: Screen[Any], show: Callable[[], None]) -> None:
        """Draw a frame of ``screen``: what ``show`` changes, and what changed before. Other screens' canvases wait."""
        self._drawing = True
        try:
            show()
        finally:
            self._drawing = False
        changed, self._changed = self._changed, {}
        here = []
        for canvas in changed:
            if canvas.is_attached and canvas.screen is not screen:
                self._changed[canvas] = None
            elif canvas.is_attached and canvas.draw():
                here.append(canvas)
        paint(screen, here)


def paint(screen: Screen[Any], canvases: Iterable[Canvas]) -> None:
    """Put the changed lines of ``canvases`` on the terminal now, inside the engine's slot.

    Textual would do the same up to 16 ms later, in the middle of an engine step, and at several times the cost. Under
    another screen, or while the layout is about to change, that later way serves.
    """
    app, direct, lying = screen.app, stands(screen), places(screen)
    output: list[str] = []
    for canvas in canvases:
        changed = canvas.take_changed()
        if not direct:
            canvas.refresh(*(Region(0, y, canvas.size.width, 1) for y in changed))
        elif canvas in lying:
            region, clip = lying[canvas]
            output += _lines(app.console, canvas, region, region.intersection(clip), changed)
    if output:
        # Canvases may come in any order; what is drawn must be the same bytes each time.
        output.sort()
        x, y = app.cursor_position
        output.append(f"\x1b[{y + 1};{x + 1}H")
        send(app, "".join(output))


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
