"""The screen with the output of the engine and its libraries."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType

from spectui.core.views import RunView
from spectui.ui.paint.cells import safe
from spectui.ui.paint.rows import Row
from spectui.ui.paint.wrapping import wrap
from spectui.ui.screens.scrolling import Reader, ReaderScreen

if TYPE_CHECKING:
    from spectui.ui.log_tail import LogTail

ROWS = 10_000
"""How many wrapped rows the panel keeps."""

_LOUD = {"ERROR": "bad", "CRITICAL": "bad", "WARNING": "warn"}


class LogReader(Reader):
    """Shows wrapped log lines; their text is never treated as markup."""

    def __init__(self, lines: deque[str]) -> None:
        super().__init__(follow=True)
        self._lines = lines
        self._wrapped: deque[Row] = deque(maxlen=ROWS)
        self._width = -1

    def content(self, width: int) -> list[Row]:
        if width != self._width:
            self._width = width
            self._wrapped.clear()
            self.add(list(self._lines))
        return list(self._wrapped) or [(("Nothing has been logged yet.", "muted"),)]

    def add(self, lines: list[str]) -> None:
        """Wrap ``lines`` and append them."""
        for line in lines:
            text = safe(line.rstrip("\r\n"))
            style = log_style(text)
            if cell_len(text) <= self._width:
                self._wrapped.append(((text, style),))
            else:
                self._wrapped.extend(((part, style),) for part in wrap(text, self._width))


def log_style(line: str) -> str:
    """Return the style of a line, according to the level word near its beginning."""
    return next((style for word, style in _LOUD.items() if word in line[:40]), "muted")


class LogScreen(ReaderScreen):
    """Follows the log while its end is visible."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("l", "leave", show=False)]

    def __init__(self, tail: LogTail, kept: deque[str]) -> None:
        self._tail = tail
        self._kept = kept
        self._log = LogReader(kept)
        super().__init__("engine log", "everything that the engine and its libraries print", self._log)
        self.add_class("clocked")

    def present(self, view: RunView, slow: bool) -> None:
        """Check for new lines, at most twice a second."""
        if not slow or not self.is_mounted:
            return
        lines = self._tail.poll()
        if lines:
            self._kept.extend(lines)
            self._log.add(lines)
        self.reader.redraw()
