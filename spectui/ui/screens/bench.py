"""The screen of a benchmark of the lanes on show: a table that fills, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType

from spectui.core.views import RunView
from spectui.protocol.events import BenchEnded, BenchTurn
from spectui.ui.paint.rows import EMPTY, Row
from spectui.ui.screens.lines import hints
from spectui.ui.screens.scrolling import Reader, ReaderScreen
from spectui.ui.theme.palette import lane_style
from spectui.ui.widgets.bench_rows import bench_rows
from spectui.ui.widgets.bench_table import Face


class BenchReader(Reader):
    """Shows the benchmark of a view."""

    def __init__(self, view: RunView | None = None) -> None:
        super().__init__()
        self.view = view

    @property
    def bench(self) -> BenchTurn | BenchEnded | None:
        return self.view.bench if self.view else None

    def content(self, width: int) -> list[Row]:
        view, bench = self.view, self.bench
        if view is None or bench is None:
            return [(("nothing has been measured at this place", "muted"),)]
        faces = {lane.info.name: Face(lane_style(place), lane.unlike) for place, lane in enumerate(view.lanes)}
        # Whether a replay stands still says nothing of the benchmark that was recorded.
        return bench_rows(bench, faces, width, stale=view.paused and view.playhead is None)


class BenchScreen(ReaderScreen):
    """Esc or the key that began it stops a running benchmark; if none is running, it closes the screen.

    Args:
        view: The run when the benchmark began.
        stop: Stops the benchmark and keeps what is finished; None where the source cannot.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("B", "leave", show=False),
        Binding("y", "copy", show=False),
    ]

    def __init__(self, view: RunView, stop: Callable[[], None] | None) -> None:
        self._rows = BenchReader(view)
        super().__init__("benchmark", "the lanes on show, on every category of the prompts", self._rows)
        self._stop = stop
        self._copied = False
        self._leave.show(self._hints())

    @property
    def _ended(self) -> BenchEnded | None:
        bench = self._rows.bench
        return bench if isinstance(bench, BenchEnded) else None

    def present(self, view: RunView, slow: bool) -> None:
        """Show how far the benchmark is."""
        if not self.is_mounted:
            return
        if view.bench is not self._rows.bench or view.paused != (self._rows.view or view).paused or slow:
            self._rows.view = view
            self.reader.redraw()
            self._leave.show(self._hints())

    @property
    def _stops(self) -> Callable[[], None] | None:
        """What stops the benchmark, if one is running that can be stopped."""
        view = self._rows.view
        alive = view is not None and view.fault is None and isinstance(view.bench, BenchTurn)
        return self._stop if alive else None

    def _hints(self) -> Row:
        scrolling = ("Up Down PgUp PgDn", "scroll")
        if self._stops is not None:
            return hints(("Esc", "stop and keep what is finished"), scrolling)
        said: Row = (("copied", "good"), ("   ", "text")) if self._copied else EMPTY
        copying = (("y", "copy the command"),) if self._ended is not None and self._ended.command else ()
        return said + hints(*copying, ("Esc", "back to the race"), scrolling)

    def action_leave(self) -> None:
        if (stop := self._stops) is not None:
            stop()
        else:
            self.dismiss()

    def action_copy(self) -> None:
        """Copy the command to the terminal's clipboard."""
        if self._ended is not None and self._ended.command:
            self.app.copy_to_clipboard(self._ended.command)
            self._copied = True
            self._leave.show(self._hints())
