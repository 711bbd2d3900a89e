"""Handles Ctrl-Z: the race pauses before the process stops, and continues after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from textual.driver import Driver

from spectui.core.views import RunView
from spectui.protocol import commands as cmd
from spectui.protocol.source import Source

LOOK_S = 0.01
PATIENCE_S = 1.0
"""How long the process waits for an engine to finish its step before it stops anyway."""


class Suspension:
    """Lets an app be stopped by the shell's job control.

    Args:
        source: The source to pause meanwhile.
        view: Returns the current view of the run.
        back: Called when the screen has to be redrawn.
    """

    def __init__(self, source: Source, view: Callable[[], RunView], back: Callable[[], None]) -> None:
        self._source = source
        self._view = view
        self._back = back
        self._driver: Driver | None = None
        self._stopping = self._resumes = False

    def serve(self, driver: Driver | None) -> bool:
        """Use the driver of a real terminal; no other can be suspended. Returns whether it is one."""
        from spectui.ui.paint.terminal_driver import TerminalDriver

        if isinstance(driver, TerminalDriver):
            self._driver = driver
            driver.on_stop = self.begin
            driver.on_return = self._returned
        return self._driver is not None

    @property
    def possible(self) -> bool:
        """Whether there is a terminal to return to the shell."""
        return self._driver is not None and self._driver.can_suspend

    def begin(self, group: bool = False) -> None:
        """Stop as soon as the engine has finished its step; ``group`` stops the whole foreground job."""
        if self._stopping or not self.possible:
            return
        self._stopping = True
        view = self._view()
        # Servers that run elsewhere cannot be paused.
        paused = view.paused or cmd.Pause not in self._source.accepts
        self._resumes = view.round is not None and not paused
        if self._resumes:
            self._source.send(cmd.Pause())
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S

        def look() -> None:
            running = self._source.slot.busy or (self._resumes and not self._view().paused)
            if running and loop.time() < until:
                loop.call_later(LOOK_S, look)
            elif self._driver is not None:
                self._driver.stand_still(group=group)  # type: ignore[attr-defined]

        look()

    def _returned(self) -> None:
        self._stopping = False
        playhead = self._view().playhead
        # Resuming a replay that has reached its end would start it again.
        if self._resumes and not (playhead is not None and playhead.ended):
            self._source.send(cmd.Resume())
        self._resumes = False
        self._back()
