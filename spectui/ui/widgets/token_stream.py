"""The text of one request as it grows, with every token in the style of its role."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from textual import events

from spectui.core.heat import HeatView
from spectui.core.tokens import Role, Token, TokenLog
from spectui.core.views import StreamView
from spectui.ui.paint.rows import Row, Span, fit
from spectui.ui.paint.shifting_canvas import ShiftingCanvas
from spectui.ui.paint.wrapping import wrapped
from spectui.ui.widgets.acted_text import acted_log
from spectui.ui.widgets.heat_text import HeatText
from spectui.ui.widgets.stream_layout import Rejected, StreamLayout

RELAYOUT_TOKENS = 20_000
"""Most tokens that are laid out in one go, when the width changes or much text arrives; earlier ones are not shown."""

WHEEL_LINES = 3
_EARLIER: Row = (("earlier text is not shown", "muted"),)


class TokenStream(ShiftingCanvas):
    """Follows the end of the text until the user scrolls; `end` resumes following."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._view: StreamView | None = None
        self._message: tuple[Span, ...] = ()
        self._lines: StreamLayout | None = None
        self._row_cache: dict[int, Row] = {}
        self._top: int | None = None
        self._rejected: Rejected = "first"
        self._heat = False
        self._heat_text: HeatText | None = None
        self._acted: tuple[int, tuple[Token, ...]] | None = None

    def show(self, view: StreamView | None, message: tuple[Span, ...] = ()) -> None:
        """Show a request, or the paragraphs of ``message`` in its place.

        A different log object means a different request: the text starts again and is followed again.
        """
        if view is None or self._view is None or view.log is not self._view.log:
            self._forget()
            self._top = None
        self._view = view
        self._message = message
        self.redraw()

    def act(self, before: int, tokens: tuple[Token, ...] | None) -> None:
        """Show the first ``before`` tokens of the request followed by ``tokens``; None shows it as it is."""
        self._acted = None if tokens is None else (before, tokens)
        self.redraw()

    @property
    def rejected(self) -> Rejected:
        """Which drafted tokens that the target rejected are shown."""
        return self._rejected

    @rejected.setter
    def rejected(self, rejected: Rejected) -> None:
        if rejected != self._rejected:
            self._rejected = rejected
            self._top = None
            self._forget()
            self.redraw()

    @property
    def heat(self) -> bool:
        """Whether the output alone is shown, each token by how many tokens its step emitted."""
        return self._heat

    @heat.setter
    def heat(self, heat: bool) -> None:
        if heat != self._heat:
            self._heat = heat
            self._top = None
            self._forget()
            self.redraw()

    @property
    def following(self) -> bool:
        """Whether the end of the text is kept in sight."""
        return self._top is None

    def scroll_lines(self, lines: int) -> None:
        """Move down by ``lines`` (up if negative); reaching the end resumes following."""
        end = max(0, self._total() - self.size.height)
        top = (end if self._top is None else self._top) + lines
        self._top = None if top >= end else max(0, top)
        self.redraw()

    def page(self, pages: int) -> None:
        """Move down by ``pages`` screens (up if negative), keeping one line in sight."""
        self.scroll_lines(pages * max(1, self.size.height - 1))

    def home(self) -> None:
        """Go to the first line that is kept."""
        self.scroll_lines(-self._total())

    def end(self) -> None:
        """Go to the end and follow it."""
        self._top = None
        self.redraw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_lines(-WHEEL_LINES)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_lines(WHEEL_LINES)

    def rows(self, width: int, height: int) -> list[Row]:
        if self._message or self._view is None:
            return wrapped(self._message, width)[:height]
        if self._acted is not None:
            before, tokens = self._acted
            log = acted_log(self._view.log, before, tokens, width * height, self._rejected == "none")
            return stream_rows(log, width, "all", self._signs)[-height:]
        self._lay_out(width)
        total = self._total()
        end = max(0, total - height)
        if self._top is not None and self._top >= end:
            self._top = None
        top = end if self._top is None else self._top
        rows = [self._row(line) for line in range(top, min(total, top + height))]
        below = total - top - len(rows)
        if below:
            rows[-1] = _with_sign(rows[-1], f" ↓ {below} more ", width)
        if len(self._row_cache) > 4 * height:
            self._row_cache = {line: row for line, row in self._row_cache.items() if top <= line < top + height}
        return rows

    def _lay_out(self, width: int) -> None:
        view = self._view
        assert view is not None
        if self._heat and view.heat is not None:
            self._lay_out_heat(view, view.heat, width)
            return
        signs = self._signs
        layout = self._lines
        # A stream that was hidden for long, or goes back in a replay, is laid out again from its last tokens.
        near = layout is not None and 0 <= view.length - layout.length <= RELAYOUT_TOKENS
        if layout is None or not near or (layout.width, layout.signs) != (width, signs):
            first = max(0, view.length - RELAYOUT_TOKENS)
            layout = self._lines = StreamLayout(view.log, first, width, self._rejected, signs)
            self._row_cache.clear()
        layout.extend(view.length)

    def _lay_out_heat(self, view: StreamView, heat: HeatView, width: int) -> None:
        text = self._heat_text
        if text is None or not text.leads_to(view, width, RELAYOUT_TOKENS):
            text = self._heat_text = HeatText(view, heat, width, RELAYOUT_TOKENS)
            self._row_cache.clear()
        if text.extend(view, heat):
            self._row_cache.clear()
        self._lines = text.layout

    @property
    def _signs(self) -> Set[Role]:
        return getattr(self.palette, "signs", frozenset())

    def _total(self) -> int:
        """Number of lines, including the one about earlier text."""
        layout = self._lines
        return 0 if layout is None else len(layout) + (layout.first > 0)

    def _row(self, line: int) -> Row:
        layout = self._lines
        assert layout is not None
        if layout.first:
            if line == 0:
                return _EARLIER
            line -= 1
        if line == len(layout) - 1:
            return layout.row(line)
        row = self._row_cache.get(line)
        if row is None:
            row = self._row_cache[line] = layout.row(line)
        return row

    def _forget(self) -> None:
        self._lines = self._heat_text = None
        self._row_cache.clear()


def _with_sign(row: Row, sign: str, width: int) -> Row:
    return (*fit(row, max(0, width - len(sign))), (sign, "muted"))


def stream_rows(log: TokenLog, width: int, rejected: Rejected = "first", signs: Set[Role] = frozenset()) -> list[Row]:
    """The whole of ``log`` as rows: what the widget shows, without a screen."""
    layout = StreamLayout(log, 0, width, rejected, signs)
    layout.extend(len(log))
    return [layout.row(line) for line in range(len(layout))]
