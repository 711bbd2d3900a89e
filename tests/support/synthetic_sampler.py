"""A made-up target with a drafter that names one token, and how often rejection sampling makes which tokens of them.

What comes next depends on the last two tokens only, so that whole counts can be drawn at once (multinomial and
binomial), and thousands of samples take milliseconds.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
from numpy.typing import NDArray

from spectui.core.lossless.chances import Chances
from spectui.core.lossless.distribution import LaneDistribution, level
from spectui.core.lossless.significance import judge_drafts, judge_tokens
from spectui.core.lossless.tally import LEAST_SAMPLES, POSITIONS, Context, Tally

VOCABULARY = 10
PROMPTS = 4
K = 2


@cache
def target(context: Context) -> tuple[NDArray[np.float64], int]:
    """The probabilities after a context, and the drafter's token, which is often but not always the likeliest one."""
    dice = np.random.default_rng((7, *context))
    logits = dice.normal(size=VOCABULARY) * 3.5
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

    def tally(self, samples: int, length: int = POSITIONS) -> Tally:
        """Draw so many answers of so many tokens; contexts are told apart by their last two entries."""
        tally = Tally()
        # How many answers have come to a context, by how many tokens they have left.
        reached = [Counter[Context]() for _ in range(length + 1)]
        reached[length].update({(prompt,): samples // PROMPTS for prompt in range(PROMPTS)})
        for left in range(length, 0, -1):
            for context, count in reached[left].items():
                self._step(tally, reached, context, count, left)
        return tally

    def _step(self, tally: Tally, reached: list[Counter[Context]], context: Context, count: int, left: int) -> None:
        # The first token follows from the prompt alone.
        for _ in range(self._k if len(context) > 1 else 0):
            token = target(context)[1]
            p = rounded(context, self._rounding)[token] + self._fault
            accepted = int(self._dice.binomial(count, min(1.0, p)))
            seen = tally.drafts[context, token]
            tally.drafts[context, token] = [seen[0] + accepted, seen[1] + count]
            self._own(tally, reached, context, count - accepted, left, token)
            if left > 0:
                tally.tokens[context][token] += accepted
            context, count, left = (*context, token)[-2:], accepted, left - 1
        self._own(tally, reached, context, count, left, None)

    def _own(
        self,
        tally: Tally,
        reached: list[Counter[Context]],
        context: Context,
        count: int,
        left: int,
        refused: int | None,
    ) -> None:
        """The target's own tokens: of all, or of all but a refused one."""
        if count and left > 0:
            chances = rounded(context, self._rounding, refused)
            for token, seen in enumerate(self._dice.multinomial(count, chances).tolist()):
                if seen:
                    tally.tokens[context][token] += seen
                    reached[left - 1][(*context, token)[-2:]] += seen


def judged(tally: Tally, *, lanes: int = 3, rounding: float = 1e-4) -> LaneDistribution:
    """What the tests say about a lane with these samples; ``rounding`` is the variance that they allow for."""
    drafted = bool(tally.drafts)
    contexts = tally.contexts(LEAST_SAMPLES if drafted else 1)
    known = {context: Chances(dict(enumerate(target(context)[0].tolist())), 0.0) for context in contexts}
    if not drafted:
        tally.pretend(known)
    tokens, drafts = (judge(tally, known, rounding, level(lanes)) for judge in (judge_tokens, judge_drafts))
    samples = sum(seen.total() for context, seen in tally.tokens.items() if len(context) == 1)
    title = "MTP" if drafted else "AR"
    return LaneDistribution(title.lower(), title, not drafted, samples, level(lanes), rounding, tokens, drafts)  # type: ignore[arg-type]
