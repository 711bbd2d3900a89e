"""How fast a lane is at one K and one number of requests, and how certain the ratio of two such speeds is.

The logarithm of tokens / time is nearly linear in the two means, which gives its variance over steps (Cochran 1977,
"Sampling Techniques", section 6.13). Steps are taken for independent.

Worked example: AR takes 100 steps of 1 token and 25 ms, a lane 100 steps of 2 tokens and 60 ms, none of which vary: the
lane runs at (2 / 60) / (1 / 25) = 0.83 times AR's speed, and the interval has no width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from spectui.core.paired import DROPPED, UNKNOWN, Interval


@dataclass(slots=True)
class Pace:
    """Sums over engine steps.

    Attributes:
        steps: Engine steps.
        tokens: Tokens that they emitted, of all requests.
        ns: Their time in nanoseconds.
        draft_ns: The part of it in the drafter.
        verify_ns: The part of it in the target's forward pass.
        timed: Whether these parts are known of every step.
    """

    steps: int = 0
    tokens: int = 0
    ns: int = 0
    draft_ns: int = 0
    verify_ns: int = 0
    timed: bool = True
    _tokens_squared: float = 0.0
    _ns_squared: float = 0.0
    _product: float = 0.0

    def add(self, tokens: int, ns: int, draft_ns: int | None, verify_ns: int | None) -> None:
        """Count an engine step; ``draft_ns`` is None without a draft, ``verify_ns`` if parts are not measured."""
        self.steps += 1
        self.tokens += tokens
        self.ns += ns
        self.draft_ns += draft_ns or 0
        self.verify_ns += verify_ns or 0
        self.timed &= verify_ns is not None
        self._tokens_squared += tokens * tokens
        self._ns_squared += float(ns) * ns
        self._product += float(tokens) * ns

    @property
    def step_ms(self) -> float:
        """Mean time of an engine step, in milliseconds."""
        return self.ns / self.steps / 1e6

    def ratio(self, other: Pace) -> Interval:
        """Tokens per second divided by those of ``other``, with a 99 % interval, since decisions look often."""
        if not (self.tokens and other.tokens and self.ns and other.ns):
            return UNKNOWN
        log = math.log(self.tokens / self.ns) - math.log(other.tokens / other.ns)
        width = DROPPED * math.sqrt(self._variance() + other._variance())
        return Interval(math.exp(log), math.exp(log - width), math.exp(log + width))

    def _variance(self) -> float:
        """The variance of the logarithm of tokens / time."""
        n = self.steps
        relative = (
            n * self._tokens_squared / self.tokens**2
            + n * self._ns_squared / self.ns**2
            - 2 * n * self._product / (self.tokens * self.ns)
        )
        # Both ones in the formula of the two variances cancel with the two of the covariance.
        return max(0.0, relative) / n
