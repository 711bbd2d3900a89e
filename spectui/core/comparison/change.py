"""How much a figure changed from one trace to the other, and how sure that is.

A figure is a value of sums over answers, such as all accepted tokens by all drafted ones. Both traces have the answers
to the same prompts, so leaving one conversation out of both at once shows how much the change hangs on it: the
jackknife (Miller 1974, "The jackknife - a review"; Cochran 1977, "Sampling Techniques", section 6.16). Answers of one
conversation, and repeated ones, are alike, and are left out together. Differences between
prompts cancel; the noise is how much the change varies from prompt to prompt.

Conversations of which few say much about a figure are worth fewer: Kish 1965, "Survey Sampling", section 11.7, takes
(sum of weights)^2 / (sum of squared weights) of them. Student's t has one degree of freedom less.

Worked example: of three prompts, 60, 50 and 40 of 100 drafted tokens each were accepted in A and 50, 45 and 40 in B:
0.50 and 0.45. Without the first, second or third prompt the change is -0.025, -0.05 or -0.075, so its standard error is
sqrt(2/3 x (0.025^2 + 0 + 0.025^2)) = 0.0289, and with 2 degrees of freedom its interval is -0.05 +- 4.303 x 0.0289.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from spectui.core.bench.student import reach, two_sided
from spectui.core.comparison.measures import Measure, Sums

LEAST_CONVERSATIONS = 3.0
"""Conversations, by what they are worth, below which there is no interval."""

LEAST_WEIGHT = 30.0
"""Steps, drafted or judged tokens in either trace below which there is no interval."""

Pair: TypeAlias = tuple[Sums, Sums]
"""The sums of an answer in A, and of the one to the same prompt in B."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The change of one figure.

    Attributes:
        a: The figure in A.
        b: The figure in B.
        change: The ratio b / a, or the difference b - a.
        low: The lower end of its 95 % interval; None if there is too little to tell.
        high: The upper end.
        p: The probability of such a change, or a larger one, by chance; None like the interval.
    """

    a: float
    b: float
    change: float
    low: float | None = None
    high: float | None = None
    p: float | None = None


def effect(
    measure: Measure, pairs: Mapping[Hashable, Sequence[Pair]], *, relative: bool | None = None
) -> Effect | None:
    """The change of a figure over all pairs of answers, given by conversation; None if either trace lacks the figure.

    ``relative`` asks for the ratio, or the difference, whatever the measure prefers.
    """
    relative = measure.relative if relative is None else relative
    groups = [(_total([a for a, _ in own]), _total([b for _, b in own])) for own in pairs.values() if own]
    if not groups:
        return None
    all_a, all_b = _total([a for a, _ in groups]), _total([b for _, b in groups])
    a, b = measure.value(all_a), measure.value(all_b)
    moved = _moved(a, b, relative)
    if a is None or b is None or moved is None:
        return None
    said = math.exp(moved) if relative else moved
    worth = min(_worth([sums[-1] for sums in side]) for side in zip(*groups, strict=True))
    # Times weigh by their steps or seconds; only counts can be too few to tell a share.
    scarce = not measure.timed and min(all_a[-1], all_b[-1]) < LEAST_WEIGHT
    if worth < LEAST_CONVERSATIONS - 1e-9 or scarce:
        return Effect(a, b, said)
    without = [
        _moved(measure.value(_less(all_a, own_a)), measure.value(_less(all_b, own_b)), relative)
        for own_a, own_b in groups
    ]
    known = [one for one in without if one is not None]
    if len(known) < len(without):
        return Effect(a, b, said)
    mean = math.fsum(known) / len(known)
    error = math.sqrt((len(known) - 1) / len(known) * math.fsum((one - mean) ** 2 for one in known))
    if error < 1e-12:
        same = abs(moved) < 1e-9
        return Effect(a, b, said, said, said, 1.0 if same else 0.0)
    apart = reach(worth - 1) * error
    ends = (moved - apart, moved + apart)
    low, high = map(math.exp, ends) if relative else ends
    return Effect(a, b, said, low, high, two_sided(moved / error, worth - 1))


def _moved(a: float | None, b: float | None, relative: bool) -> float | None:
    if a is None or b is None:
        return None
    if not relative:
        return b - a
    return math.log(b / a) if a > 0 and b > 0 else None


def _total(every: Sequence[Sums]) -> Sums:
    return tuple(map(math.fsum, zip(*every, strict=True)))


def _less(total: Sums, part: Sums) -> Sums:
    return tuple(all_of - own for all_of, own in zip(total, part, strict=True))


def _worth(weights: Sequence[float]) -> float:
    """How many equal ones the weights are worth."""
    squares = math.fsum(weight * weight for weight in weights)
    return math.fsum(weights) ** 2 / squares if squares > 0 else 0.0
