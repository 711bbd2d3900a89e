"""Tails of the normal and of the chi-square distribution, for tests of significance and for their power.

The regularised incomplete gamma function is computed by its series below a + 1 and by its continued fraction above
(Press et al., "Numerical Recipes", 3rd edition, section 6.2), to about 14 digits.
"""

from __future__ import annotations

import math

_TINY, _EXACT, _MOST = 1e-300, 1e-15, 10_000


def normal_tail(z: float) -> float:
    """Probability that a standard normal variable is above ``z``."""
    return math.erfc(z / math.sqrt(2)) / 2


def normal_quantile(tail: float) -> float:
    """The z above which a standard normal variable lies with probability ``tail``, between 1e-300 and 1 - 1e-15.

    Raises:
        ValueError: ``tail`` is not between 0 and 1.
    """
    if not 0 < tail < 1:
        raise ValueError(f"a probability between 0 and 1 is needed, not {tail}")
    low, high = -40.0, 40.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if normal_tail(middle) > tail else (low, middle)
    return (low + high) / 2


def upper_gamma(a: float, x: float) -> float:
    """The regularised upper incomplete gamma function Q(a, x), for a > 0.

    Worked example: Q(1, x) is exp(-x), so Q(1, 2) = 0.1353.
    """
    if x <= 0:
        return 1.0
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    return 1.0 - scale * _series(a, x) if x < a + 1 else scale * _fraction(a, x)


def _series(a: float, x: float) -> float:
    term = total = 1.0 / a
    for n in range(1, _MOST):
        term *= x / (a + n)
        total += term
        if term < total * _EXACT:
            break
    return total


def _fraction(a: float, x: float) -> float:
    """Lentz's method."""
    b = x + 1.0 - a
    c, d = 1.0 / _TINY, 1.0 / b
    h = d
    for n in range(1, _MOST):
        numerator = -n * (n - a)
        b += 2.0
        d = 1.0 / _away(numerator * d + b)
        c = _away(b + numerator / c)
        h *= c * d
        if abs(c * d - 1.0) < _EXACT:
            break
    return h


def _away(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def chi_square_tail(statistic: float, freedom: float, noncentrality: float = 0.0) -> float:
    """Probability that a chi-square variable is above ``statistic``.

    With ``noncentrality`` it is the sum of squares of normal variables whose means are not 0: a Poisson mixture of
    chi-square variables with 2 more degrees of freedom each (Johnson, Kotz and Balakrishnan 1995, "Continuous
    Univariate Distributions 2", chapter 29).

    Worked example: 3.841 is exceeded with one degree of freedom in 5 % of cases, and with a noncentrality of 9 in 85 %.
    """
    half, x = freedom / 2, statistic / 2
    if noncentrality <= 0:
        return upper_gamma(half, x)
    mean = noncentrality / 2
    # Beyond 10 standard deviations on either side the Poisson weights add up to less than 1e-15.
    spread = 10 * math.sqrt(mean) + 40
    first = max(0, int(mean - spread))
    tail, total = upper_gamma(half + first, x), 0.0
    for n in range(first, int(mean + spread)):
        total += math.exp(n * math.log(mean) - mean - math.lgamma(n + 1)) * tail
        # Q(a + 1, x) is Q(a, x) and one term of its series more.
        tail += math.exp((half + n) * math.log(x) - x - math.lgamma(half + n + 1)) if x > 0 else 0.0
    return min(1.0, total)


def chi_square_quantile(tail: float, freedom: float, noncentrality: float = 0.0) -> float:
    """The statistic that is exceeded with probability ``tail``, to 1e-9 of itself."""
    low, high = 0.0, freedom + noncentrality + 10.0
    while chi_square_tail(high, freedom, noncentrality) > tail:
        high *= 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        if chi_square_tail(middle, freedom, noncentrality) > tail:
            low = middle
        else:
            high = middle
    return (low + high) / 2
