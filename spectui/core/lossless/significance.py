"""Two tests of samples against the target's probabilities, each with its power.

**Tokens.** Pearson's chi-square of what was sampled after each context. The strata of different contexts are added up.
It finds any difference, but needs many samples.

**Drafts.** A drafter that names its most likely token instead of drawing one has all its probability on that token, so
rejection sampling accepts it with min(1, p / 1) = p, the target's own probability (Leviathan et al. 2023, algorithm 1;
``NO_DRAFT_PROBS`` in ``vllm/v1/sample/rejection_sampler.py``). What was accepted beyond that, weighted and summed over
all drafts, is normal with mean 0: one degree of freedom, aimed at a sampler that accepts too often or too seldom.

Both allow for rounding: the target's probabilities in a batch differ from those that it names when asked. That
difference is random, and the same each time that a context comes up; so it adds to the variance of the second statistic
as the square of each context's drafts, and is a noncentrality of the first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spectui.core.chi_square import chi_square_quantile, chi_square_tail, normal_quantile, normal_tail
from spectui.core.lossless.chances import Chances
from spectui.core.lossless.tally import LEAST_SAMPLES, Context, Tally

FAULT = 0.02
"""The fault that power is stated for: each draft is accepted with a probability that is 0.02 too high, at most 1."""

LEAST_EXPECTED = 10.0
"""Expected samples of a cell. The usual 5 makes the far tail of many added strata too heavy."""

SOFTENED = 0.05
"""Added to the variance of a draft's acceptance before weighting by its inverse, lest a few rare events decide."""

SOUGHT_POWER = 0.9


@dataclass(frozen=True, slots=True)
class TokenTest:
    """Chi-square of the sampled tokens.

    Attributes:
        statistic: Pearson's, over all strata.
        freedom: Degrees of freedom.
        allowance: The noncentrality that rounding explains.
        strata: Contexts.
        samples: Sampled tokens in them.
        outside: Sampled tokens that top-k or top-p excludes.
        p: Probability of such a statistic or a larger one, if the lane samples from the target's probabilities.
        power: Probability of finding `FAULT`; None where nothing was drafted.
    """

    statistic: float
    freedom: int
    allowance: float
    strata: int
    samples: int
    outside: int
    p: float
    power: float | None = None


@dataclass(frozen=True, slots=True)
class DraftTest:
    """Accepted drafts beside the target's probabilities of them.

    Attributes:
        accepted: Accepted drafts.
        expected: How many were to be expected.
        drafts: Drafts verified.
        contexts: Different places that they were verified at.
        z: The weighted excess in standard deviations, rounding included.
        p: Probability of an excess or a lack as large as that, if acceptance is as it must be.
        power: Probability of finding `FAULT`.
        needed: The share of the samples, above 1 or below, with which that probability is `SOUGHT_POWER`; None if
            rounding hides the fault from any number of them.
    """

    accepted: int
    expected: float
    drafts: int
    contexts: int
    z: float
    p: float
    power: float
    needed: float | None


def judge_tokens(tally: Tally, known: Mapping[Context, Chances], rounding: float, level: float) -> TokenTest | None:
    """Test the sampled tokens; None if no context was met often enough.

    Args:
        tally: The samples.
        known: The probabilities after the contexts that were asked about.
        rounding: Variance of the log-odds of a token that rounding brings about.
        level: The probability of a false alarm that a verdict may have, for the power.
    """
    statistic = allowance = shift = 0.0
    freedom = strata = samples = outside = 0
    for context, tokens in tally.tokens.items():
        count = tokens.total()
        if (here := known.get(context)) is None or count < LEAST_SAMPLES:
            continue
        if here.limited:
            outside += sum(seen for token, seen in tokens.items() if token not in here.known)
        cells = _cells(tokens, here, count)
        if len(cells) < 2:
            continue
        statistic += math.fsum((seen - expected) ** 2 / expected for seen, expected in cells)
        freedom += len(cells) - 1
        strata += 1
        samples += count
        spread = 1 - math.fsum((expected / count) ** 2 for _, expected in cells)
        allowance += count * (rounding + here.unsure**2) * spread
        shift += _shift(tally, context, here, count)
    if not freedom and not outside:
        return None
    power = None
    if tally.drafts and freedom:
        found = chi_square_quantile(level, freedom, allowance)
        power = chi_square_tail(found, freedom, allowance + shift)
    p = 0.0 if outside else chi_square_tail(statistic, freedom, allowance)
    return TokenTest(statistic, freedom, allowance, strata, samples, outside, p, power)


def _cells(tokens: Mapping[int, int], here: Chances, count: int) -> list[tuple[float, float]]:
    """(seen, expected) of each token that is likely enough, and of all others together."""
    cells = []
    for token, probability in sorted(here.known.items(), key=lambda item: -item[1]):
        if count * probability >= LEAST_EXPECTED:
            cells.append((float(tokens.get(token, 0)), count * probability))
    others = count - math.fsum(seen for seen, _ in cells), count - math.fsum(expected for _, expected in cells)
    while cells and others[1] < LEAST_EXPECTED and (others[1] > 1e-9 * count or others[0] > 0):
        seen, expected = cells.pop()
        others = others[0] + seen, others[1] + expected
    return [*cells, others] if others[1] >= LEAST_EXPECTED else cells


def _shift(tally: Tally, context: Context, here: Chances, count: int) -> float:
    """The noncentrality that `FAULT` brings about after a context."""
    shift = 0.0
    for token, p in here.known.items():
        if (verified := tally.drafts.get((context, token), (0, 0))[1]) and p < 1:
            shift += (min(FAULT, 1 - p) * min(1.0, verified / count)) ** 2 * count / (p * (1 - p))
    return shift


def judge_drafts(tally: Tally, known: Mapping[Context, Chances], rounding: float, level: float) -> DraftTest | None:
    """Test the acceptance of drafts; None if none was verified at a place that was asked about.

    The arguments are those of `judge_tokens`. Drafts that are not among the tokens whose probability is known are left
    out, whether they were accepted or not.
    """
    accepted = drafts = 0
    contexts: set[Context] = set()
    expected = excess = variance = faulty = shift = fixed = 0.0
    for (context, token), (kept, verified) in tally.drafts.items():
        here = known.get(context)
        p = None if here is None else here.known.get(token)
        if here is None or p is None:
            continue
        own = p * (1 - p)
        weight = 1 / (own + SOFTENED)
        more = min(FAULT, 1 - p)
        accepted += kept
        drafts += verified
        contexts.add(context)
        expected += verified * p
        excess += weight * (kept - verified * p)
        variance += weight**2 * verified * own
        faulty += weight**2 * verified * (p + more) * (1 - p - more)
        shift += weight * verified * more
        fixed += (weight * verified * own) ** 2 * (rounding + here.unsure**2)
    if variance + fixed <= 0:
        return None
    z = excess / math.sqrt(variance + fixed)
    limit = normal_quantile(level / 2)

    def power(share: float) -> float:
        """The power with so many times the samples."""
        alarm = limit * math.sqrt(share * variance + share**2 * fixed)
        deviation = math.sqrt(share * faulty + share**2 * fixed)
        return normal_tail((alarm - share * shift) / max(deviation, 1e-12))

    return DraftTest(accepted, expected, drafts, len(contexts), z, 2 * normal_tail(abs(z)), power(1.0), _needed(power))


def _needed(power: Callable[[float], float]) -> float | None:
    low, high = 1e-4, 1e4
    if power(high) < SOUGHT_POWER:
        return None
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if power(middle) < SOUGHT_POWER else (low, middle)
    return high
