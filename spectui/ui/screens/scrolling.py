"""A screen of rows to read under a title, such as help and the engine's log."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from spectui.core.views import RunView
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.rows import Row
from spectui.ui.screens.lines import MessageLine, hints

WHEEL_LINES = 3


class Reader(Canvas):
    """Shows more rows than fit the screen. Follows the end if asked to, until the user scrolls up."""

    DEFAULT_CSS = "Reader { margin: 0 2; }"

    def __init__(self, follow: bool = False) -> None:
        super().__init__()
        self._top = 0
        self._following = follow
        self._may_follow = follow

    def content(self, width: int) -> list[Row]:
        """Return all rows."""
        raise NotImplementedError

    def rows(self, width: int, height: int) -> list[Row]:
        content = self.content(width)
        end = max(0, len(content) - height)
        self._top = end if self._following else min(self._top, end)
        return content[self._top : self._top + height]

    def scroll_rows(self, rows: int) -> None:
        """Scroll down by ``rows``, or up if negative; at the end it follows the end again."""
        end = max(0, len(self.content(self.size.width)) - self.size.height)
        self._top = max(0, min(end, self._top + rows))
        self._following = self._may_follow and self._top == end
        self.redraw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_rows(-WHEEL_LINES)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_rows(WHEEL_LINES)


class ReaderScreen(Screen[None]):
    """A title, a `Reader`, and the keys to leave."""

    DEFAULT_CSS = """
    ReaderScreen { background: $background; layout: vertical; overflow: hidden; }
    ReaderScreen > #title { margin: 0 1 1 1; }
    ReaderScreen > #leave { margin: 1 1 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Back", show=False),
        *(Binding(key, f"scroll_text({rows})", show=False) for key, rows in (("up,k", -1), ("down,j", 1))),
        *(Binding(key, f"page({pages})", show=False) for key, pages in (("pageup,b", -1), ("pagedown,space", 1))),
        Binding("home,g", "scroll_text(-1000000)", show=False),
        Binding("end,G", "scroll_text(1000000)", show=False),
        Binding("tab,shift+tab", "stay", show=False),
    ]

    def __init__(self, title: str, note: str, reader: Reader) -> None:
        super().__init__()
        self._title = MessageLine()
        self._title.id = "title"
        self._leave = MessageLine()
        self._leave.id = "leave"
        self._title.show(((title, "title"), (f"   {note}", "muted")))
        self._leave.show(hints(("Esc", "back"), ("Up Down PgUp PgDn", "scroll")))
        self.reader = reader

    def compose(self) -> ComposeResult:
        yield self._title
        yield self.reader
        yield self._leave

    def present(self, view: RunView, slow: bool) -> None:
        """Do nothing: this screen does not depend on the run."""

    def action_leave(self) -> None:
        self.dismiss()

    def action_stay(self) -> None:
        """Do nothing, since there is nothing to move between."""

    def action_scroll_text(self, rows: int) -> None:
        self.reader.scroll_rows(rows)

    def action_page(self, pages: int) -> None:
        self.reader.scroll_rows(pages * max(1, self.reader.size.height - 1))
