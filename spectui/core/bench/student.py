"""Student's t distribution, and variances that few repetitions give, made steadier by those of other cells.

Three repetitions say little about their own noise, but dozens of cells with three each say much about the noise of all.
Smyth 2004, "Linear models and empirical Bayes methods for assessing differential expression", sections 4 and 6.2: each
variance is drawn towards what is usual, as strongly as the variances of all cells agree with one another. Since single
cells of a benchmark are noisier for reasons of their own, what is usual never counts for more than `MOST_FREEDOM`, and
never makes a variance smaller than it was measured.

Worked example: of twenty variances of 2 degrees of freedom that scatter no more than chance makes them, with a mean of
1, one of 0.1 becomes (4 x 1 + 2 x 0.1) / 6 = 0.7 with 6 degrees of freedom.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

LEAST_VARIANCES = 3
"""Fewer cells than this say nothing about what is usual."""

MOST_FREEDOM = 4.0
"""Simulated benchmarks, in which some cells are five times as noisy as the others, have few enough false alarms with
this; with more they have twice as many as they should."""


def two_sided(t: float, freedom: float) -> float:
    """The probability that a t of so many degrees of freedom is at least this far from 0."""
    return _incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5)


@lru_cache(maxsize=1024)
def reach(freedom: float, level: float = 0.05) -> float:
    """The t that is exceeded, in either direction, with probability ``level``."""
    low, high = 0.0, 2.0
    while two_sided(high, freedom) > level:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided(middle, freedom) > level else (low, middle)
    return high


@dataclass(frozen=True, slots=True)
class Usual:
    """What variances are usually like.

    Attributes:
        variance: Their common value.
        freedom: The degrees of freedom that it is worth; 0 if nothing is known.
        most: Degrees of freedom of all variances together: no estimate is worth more.
    """

    variance: float
    freedom: float
    most: float

    def steadied(self, variance: float, freedom: float) -> float:
        """A variance of so many degrees of freedom, drawn up towards the common value."""
        if not self.freedom:
            return variance
        return max(variance, (self.freedom * self.variance + freedom * variance) / (self.freedom + freedom))

    def worth(self, freedom: float) -> float:
        """The degrees of freedom of such a variance, or of a sum of several that have ``freedom`` together."""
        return min(freedom + self.freedom, self.most)


def usual(variances: Sequence[tuple[float, float]]) -> Usual:
    """Find out what is usual, from variances with their degrees of freedom."""
    most = sum(freedom for _, freedom in variances)
    known = [(variance, freedom) for variance, freedom in variances if variance > 0]
    if len(known) < LEAST_VARIANCES:
        return Usual(0.0, 0.0, most)
    # A chance agreement of repetitions down to the last digit would outweigh everything on a logarithmic scale.
    least = 1e-5 * statistics.median(variance for variance, _ in known)
    logs = [
        math.log(max(variance, least)) - _digamma(freedom / 2) + math.log(freedom / 2) for variance, freedom in known
    ]
    beyond_chance = statistics.variance(logs) - statistics.fmean(_trigamma(freedom / 2) for _, freedom in known)
    if beyond_chance <= 0:
        return Usual(sum(v * freedom for v, freedom in known) / sum(f for _, f in known), MOST_FREEDOM, most)
    freedom = 2 * _trigamma_inverse(beyond_chance)
    variance = math.exp(statistics.fmean(logs) + _digamma(freedom / 2) - math.log(freedom / 2))
    return Usual(variance, min(freedom, MOST_FREEDOM), most)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (DLMF 8.17.22, Lentz's method)."""
    if x <= 0 or x >= 1:
        return min(1.0, max(0.0, x))
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    total = d
    for m in range(1, 500):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d, c = 1 / (1 + term * d), 1 + term / c
            total *= c * d
        if abs(c * d - 1) < 1e-12:
            break
    return front * total / a


def _digamma(x: float) -> float:
    """The derivative of the logarithm of the gamma function (Abramowitz and Stegun, 6.3.5 and 6.3.18)."""
    shift = 0.0
    while x < 8:
        shift -= 1 / x
        x += 1
    return shift + math.log(x) - 1 / (2 * x) - 1 / (12 * x**2) + 1 / (120 * x**4) - 1 / (252 * x**6)


def _trigamma(x: float) -> float:
    """Its second derivative (Abramowitz and Stegun, 6.4.6 and 6.4.12)."""
    shift = 0.0
    while x < 8:
        shift += 1 / x**2
        x += 1
    return shift + 1 / x + 1 / (2 * x**2) + 1 / (6 * x**3) - 1 / (30 * x**5) + 1 / (42 * x**7)


def _trigamma_inverse(y: float) -> float:
    """Where `_trigamma` is ``y``, by halving: it falls all the way."""
    low, high = 1e-6, 1e7
    for _ in range(100):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _trigamma(middle) > y else (low, middle)
    return high
