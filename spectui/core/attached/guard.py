"""Watches the time per output token of a server's requests, so that a search for K does not slow its users down."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

WINDOW_STEPS = 50
"""Engine steps that are looked at."""

LEAST_STEPS = 20
"""Engine steps before it says anything: one slow step is not yet a slow server."""

SHARE = 0.95
"""The percentile that must stay below the limit."""


class LatencyGuard:
    """A limit on the time per output token: in each engine step, its wall time over the tokens that a request got.

    What counts is the 95th percentile over the requests of the last `WINDOW_STEPS` engine steps. A request's first
    step is left out: it reads the prompt.
    """

    def __init__(self, limit_ms: float) -> None:
        self.limit_ms = limit_ms
        self._steps: deque[list[float]] = deque(maxlen=WINDOW_STEPS)

    def add(self, wall_ns: int, emitted: Sequence[int]) -> None:
        """Count an engine step; ``emitted`` are the tokens of each request in it that had begun before."""
        if each := [wall_ns / 1e6 / tokens for tokens in emitted if tokens]:
            self._steps.append(each)

    @property
    def reached_ms(self) -> float | None:
        """The percentile, in milliseconds; None as long as too little is known."""
        if len(self._steps) < LEAST_STEPS:
            return None
        every = sorted(ms for step in self._steps for ms in step)
        return every[math.ceil(SHARE * len(every)) - 1]

    @property
    def crossed(self) -> bool:
        """Whether the limit is exceeded."""
        reached = self.reached_ms
        return reached is not None and reached > self.limit_ms
