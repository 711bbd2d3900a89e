"""A clock for stages that may be stopped in the middle (SIGSTOP while somebody measures)."""

from __future__ import annotations

import time
from collections.abc import Callable

_LONGEST_TICK = 10.0


class Pace:
    """Seconds of work: a pause between two ticks counts for ten seconds at most."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._last = now()
        self.seconds = 0.0

    def tick(self) -> float:
        now = self._now()
        self.seconds += min(now - self._last, _LONGEST_TICK)
        self._last = now
        return self.seconds
