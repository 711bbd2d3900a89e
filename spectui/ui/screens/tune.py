"""The screen of a search for the focused lane's best K: measurements, remaining time, and the command to paste."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType

from spectui.core.views import RunView
from spectui.protocol.events import TuneEnded, TuneTurn
from spectui.ui.paint.rows import EMPTY, Row
from spectui.ui.screens.lines import hints
from spectui.ui.screens.scrolling import Reader, ReaderScreen
from spectui.ui.theme.palette import lane_style
from spectui.ui.widgets.tune_rows import tune_rows


class TuneReader(Reader):
    """Shows the search of a view."""

    def __init__(self) -> None:
        super().__init__()
        self.view: RunView | None = None

    @property
    def tuning(self) -> TuneTurn | TuneEnded | None:
        return self.view.tuning if self.view else None

    def content(self, width: int) -> list[Row]:
        view, tuning = self.view, self.tuning
        if view is None or tuning is None:
            return []
        lane = tuning.lane
        place = next((n for n, one in enumerate(view.lanes) if one.info.name == lane), 0)
        title = view.lanes[place].info.title if view.lanes else lane
        unlike = view.lanes[place].unlike if view.lanes else ""
        return tune_rows(title, lane_style(place), tuning, width, stale=view.paused, unlike=unlike)


class TuneScreen(ReaderScreen):
    """Esc stops a running search; if none is running, it closes the screen.

    Args:
        view: The run when the search began.
        stop: Stops the search and keeps the best K so far; None where the source cannot.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "leave", show=False),
        Binding("y", "copy", show=False),
    ]

    def __init__(self, view: RunView, stop: Callable[[], None] | None) -> None:
        self._rows = TuneReader()
        self._rows.view = view
        what = "the fastest K of a lane, measured turn by turn on the same prompts"
        if view.attached is not None:
            what = "the fastest K, measured turn by turn on the server's own requests"
        super().__init__("tuning", what, self._rows)
        self._stop = stop
        self._back = "back to the race" if view.attached is None else "back to the requests"
        self._stops = "stop and keep the best K so far" if view.attached is None else "stop; K becomes what it was"
        self._copied = False

    @property
    def _ended(self) -> TuneEnded | None:
        tuning = self._rows.tuning
        return tuning if isinstance(tuning, TuneEnded) else None

    def present(self, view: RunView, slow: bool) -> None:
        """Show the results of a turn."""
        if not self.is_mounted:
            return
        self._rows.view = view
        self.reader.redraw()
        self._leave.show(self._hints())

    def _hints(self) -> Row:
        if self._ended is None:
            return hints(("Esc", self._back if self._stop is None else self._stops))
        said: Row = (("copied", "good"), ("   ", "text")) if self._copied else EMPTY
        copies = () if self._ended.fault else (("y", "copy the command"),)
        return said + hints(*copies, ("Esc", self._back))

    def action_leave(self) -> None:
        running = self._ended is None and self._rows.view is not None and self._rows.view.fault is None
        if running and self._stop is not None:
            self._stop()
        else:
            self.dismiss()

    def action_copy(self) -> None:
        """Copy the command to the terminal's clipboard."""
        if self._ended is not None and self._ended.serve:
            self.app.copy_to_clipboard(self._ended.serve)
            self._copied = True
            self._leave.show(self._hints())
