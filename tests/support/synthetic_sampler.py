"""A made-up target with a drafter that names one token, and how often rejection sampling makes which tokens of them.

Whole counts are drawn at once (multinomial and binomial), so that thousands of samples take milliseconds.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from spectui.core.lossless.chances import Chances
from spectui.core.lossless.significance import judge_drafts, judge_tokens
from spectui.core.lossless.tally import LEAST_DRAFTS, LEAST_SAMPLES, POSITIONS, Context, Tally
from spectui.core.lossless.distribution import LaneDistribution, level

VOCABULARY = 10
PROMPTS = 4
K = 2


@cache
def target(context: Context) -> tuple[NDArray[np.float64], int]:
    """The probabilities after a context, and the drafter's token, which is often but not always the likeliest one."""
    dice = np.random.default_rng((7, *context))
    logits = dice.normal(size=VOCABULARY) * 2.5
    odds = np.exp(logits - logits.max())
    return odds / odds.sum(), int(np.argmax(logits + dice.normal(size=VOCABULARY)))


@cache
def rounded(context: Context, rounding: float, refused: int | None = None) -> NDArray[np.float64]:
    """The probabilities in a batch, where rounding has shifted each log-probability; without a refused draft."""
    odds = target(context)[0] * np.exp(np.random.default_rng((8, *context)).normal(size=VOCABULARY) * rounding)
    if refused is not None:
        odds[refused] = 0.0
    return np.asarray(odds / odds.sum())


class Sampler:
    """Draws answers as a lane does: with ``k`` drafts, each accepted with a probability that is ``fault`` too high."""

    def __init__(self, dice: np.random.Generator, k: int = K, fault: float = 0.0, rounding: float = 0.0) -> None:
        self._dice, self._k, self._fault, self._rounding = dice, k, fault, rounding

    def tally(self, samples: int) -> Tally:
        tally = Tally()
        for prompt in range(PROMPTS):
            # The first token follows from the prompt alone.
            self._own(tally, (prompt,), samples // PROMPTS, None)
        return tally

    def _go_on(self, tally: Tally, context: Context, count: int) -> None:
        if len(context) <= POSITIONS and count:
            if self._k:
                self._verify(tally, context, count, self._k)
            else:
                self._own(tally, context, count, None)

    def _verify(self, tally: Tally, context: Context, count: int, drafts: int) -> None:
        if not drafts:
            self._own(tally, context, count, None)
        elif count:
            token = target(context)[1]
            accepted = int(self._dice.binomial(count, min(1.0, rounded(context, self._rounding)[token] + self._fault)))
            seen = tally.drafts[context, token]
            tally.drafts[context, token] = [seen[0] + accepted, seen[1] + count]
            if len(context) <= POSITIONS:
                tally.tokens[context][token] += accepted
            self._verify(tally, (*context, token), accepted, drafts - 1)
            self._own(tally, context, count - accepted, token)

    def _own(self, tally: Tally, context: Context, count: int, refused: int | None) -> None:
        """The target's own tokens: of all, or of all but a refused one."""
        if not count or len(context) > POSITIONS:
            return
        for token, seen in enumerate(self._dice.multinomial(count, rounded(context, self._rounding, refused)).tolist()):
            if seen:
                tally.tokens[context][token] += seen
                self._go_on(tally, (*context, token), seen)


def judged(tally: Tally, *, lanes: int = 3, rounding: float = 1e-4) -> LaneDistribution:
    """What the tests say about a lane with these samples; ``rounding`` is the variance that they allow for."""
    drafted = bool(tally.drafts)
    contexts = tally.contexts(LEAST_SAMPLES if drafted else LEAST_DRAFTS)
    known = {context: Chances(dict(enumerate(target(context)[0].tolist())), 0.0) for context in contexts}
    if not drafted:
        tally.pretend(known)
    tokens, drafts = (judge(tally, known, rounding, level(lanes)) for judge in (judge_tokens, judge_drafts))
    samples = sum(seen.total() for context, seen in tally.tokens.items() if len(context) == 1)
    title = "MTP" if drafted else "AR"
    return LaneDistribution(title.lower(), title, not drafted, samples, level(lanes), rounding, tokens, drafts)  # type: ignore[arg-type]
