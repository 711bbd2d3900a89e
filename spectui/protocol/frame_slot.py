"""Lets the screen draw frames between engine steps, never during one.

Engine and screen share one interpreter lock and a few cores: a screen that draws at any time slows down the very steps
that it shows. So the screen *requests* a frame, and the engine thread *offers* a short slot between two steps and waits
for a bounded time until the frame is drawn. No lane clock runs meanwhile. If no frame is waiting, an offer costs one
attribute read; a stuck screen costs the engine at most ``bound_s`` per offer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class FrameSlot:
    """Synchronises one engine thread and one screen thread."""

    def __init__(self, bound_s: float = 0.05) -> None:
        self._bound_s = bound_s
        self._wanted: Callable[[], None] | None = None
        self._drawn = threading.Event()
        self._drawn.set()
        self._stepping = False
        self.overruns = 0
        """Slots that the engine ended because the frame took longer than the bound."""

    def stepping(self, active: bool) -> None:
        """Engine side: say whether steps are running. While none are, frames need no slot."""
        self._stepping = active
        if not active:
            self.offer()

    def offer(self) -> None:
        """Engine side, between two steps: let a waiting frame be drawn."""
        wanted = self._wanted
        if wanted is None:
            return
        self._wanted = None
        self._drawn.clear()
        wanted()
        if not self._drawn.wait(self._bound_s):
            self.overruns += 1

    def stand_aside(self) -> None:
        """For any other thread that needs the interpreter: wait while a granted frame is drawn."""
        self._drawn.wait(self._bound_s)

    @property
    def busy(self) -> bool:
        """Screen side: whether steps are running, so that there is always something new to draw."""
        return self._stepping

    def request(self, grant: Callable[[], None]) -> bool:
        """Screen side: request that ``grant`` be called on the engine thread between two steps.

        ``grant`` must only notify the screen (``call_soon_threadsafe``), which then draws and calls `drawn`.
        Returns False if no engine is stepping: then draw at once, without calling `drawn`. In rare cases a grant still
        follows, from an engine that stopped at this very moment; it draws a frame with nothing new and calls `drawn`.
        """
        if not self._stepping:
            return False
        self._wanted = grant
        if not self._stepping:
            # The engine may have made its last offer between the two lines above and would never see this request.
            self._wanted = None
            return False
        return True

    def drawn(self) -> None:
        """Screen side: report that the frame of the granted slot is on the terminal."""
        self._drawn.set()
