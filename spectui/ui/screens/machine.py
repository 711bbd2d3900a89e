"""The screen of memory and bandwidth in detail."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from spectui.core.views import RunView
from spectui.ui.paint.rows import Row
from spectui.ui.screens.scrolling import Reader, ReaderScreen
from spectui.ui.widgets.machine_rows import machine_rows


class MachineReader(Reader):
    """Shows the telemetry of a view."""

    def __init__(self, view: RunView) -> None:
        super().__init__()
        self.view = view

    def content(self, width: int) -> list[Row]:
        return machine_rows(self.view, width)


class MachineScreen(ReaderScreen):
    """Follows every sample; the key that opened it also closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("g", "leave", show=False)]

    def __init__(self, view: RunView) -> None:
        self._machine = MachineReader(view)
        self._shown = -1
        super().__init__("memory and bandwidth", view.machine, self._machine)

    def present(self, view: RunView, slow: bool) -> None:
        """Show the newest sample."""
        samples = view.telemetry.samples if view.telemetry is not None else 0
        if not self.is_mounted or (samples == self._shown and not slow):
            return
        self._shown = samples
        self._machine.view = view
        self.reader.redraw()
