"""Up to how many requests in flight speculation pays: step time as a straight line over the requests.

Both throughputs are ``requests * tokens / (base + slope * requests)``, measured at two or more numbers of requests.

Worked example: K = 3 gives 1.5 tokens per step, and a step takes 12 ms with one request and 24 ms with four, so
``8 + 4 n`` ms; AR takes 10 and 13 ms, so ``9 + n`` ms. They are equally fast where ``1.5 (9 + n) = 8 + 4 n``: at 2.2
requests. Measured at 1 to 4 requests, the lines are valid up to 7.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from spectui.core.cost import Line


@dataclass(frozen=True, slots=True)
class BatchCost:
    """Step time of one K as a straight line over the requests in flight, and the tokens of one request's step."""

    line: Line
    tokens: float

    @classmethod
    def of(cls, seconds: Sequence[tuple[int, float]], tokens: float) -> Self:
        """Fit the line to pairs of (requests, seconds per step), for at least one number of requests."""
        return cls(Line.through([(requests, s, 1) for requests, s in seconds]), tokens)

    @property
    def carried(self) -> tuple[int, int]:
        """The fewest and the most requests that can be estimated: no further outside the measured range than that range
        is wide, and only where the line stays above zero."""
        reach = self.line.high - self.line.low
        least, most = max(1, math.ceil(self.line.low - reach)), math.floor(self.line.high + reach)
        if self.line.slope:
            nothing = -self.line.base / self.line.slope
            if self.line.slope > 0:
                least = max(least, math.floor(nothing) + 1)
            else:
                most = min(most, math.ceil(nothing) - 1)
        return least, most

    def throughput(self, requests: int) -> float | None:
        """Estimated tokens per second of all requests together; None beyond the `carried` range."""
        least, most = self.carried
        time = self.line.at(requests)
        return requests * self.tokens / time if least <= requests <= most and time > 0 else None


@dataclass(frozen=True, slots=True)
class Pays:
    """Which side is faster with ``least`` to ``most`` requests in flight, the range that can be estimated.

    Attributes:
        least: The fewest requests in the range.
        most: The most requests in the range.
        first: Whether speculation is faster at ``least``.
        crossing: The number of requests from which the other side is faster; None if that does not happen up to
            ``most``.
    """

    least: int
    most: int
    first: bool
    crossing: float | None


def pays(speculating: BatchCost, plain: BatchCost) -> Pays | None:
    """Compare the two wherever both can be estimated; None if there is no such range, or it is a single number.

    The crossing solves ``tokens_s / (base_s + slope_s n) = tokens_p / (base_p + slope_p n)`` for n.
    """
    least = max(speculating.carried[0], plain.carried[0])
    most = min(speculating.carried[1], plain.carried[1])
    ends = [(speculating.throughput(n), plain.throughput(n)) for n in (least, most)]
    ahead = [one > other for one, other in ends if one is not None and other is not None]
    if least >= most or len(ahead) < 2:
        return None
    if ahead[0] == ahead[1]:
        return Pays(least, most, ahead[0], None)
    slope = speculating.tokens * plain.line.slope - plain.tokens * speculating.line.slope
    base = plain.tokens * speculating.line.base - speculating.tokens * plain.line.base
    return Pays(least, most, ahead[0], base / slope)
