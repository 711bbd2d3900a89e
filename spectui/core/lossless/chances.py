"""The target's own probabilities of the next token as the sampler draws from them: after temperature, top-k and top-p.

An engine names the most likely tokens only, with their log-probabilities before all of that. At temperature 1 they are
what is drawn from, and whatever else there is has the rest. At a lower one, the rest weighs little and its bounds are
known. Where they are too wide, or where rounding may decide whether a token is within top-k or top-p, the probabilities
are not known well enough to test anybody by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Likeliest = Sequence[tuple[int, float]]
"""Tokens with their log-probabilities, the likeliest first."""

MOST_UNSURE = 0.01
"""The largest relative error of a probability that is used."""

LEAST_DISTANCE = 0.5
"""Nats by which the last token within top-k must lead the first one outside."""

LEAST_MASS = 0.02
"""Probability by which the tokens within top-p must exceed it, and fail to reach it without the last of them."""


@dataclass(frozen=True, slots=True)
class Chances:
    """What the next token is drawn from.

    Attributes:
        known: The probability of each token that is known.
        rest: The probability of all others together.
        unsure: Relative error of the known ones at most.
        limited: Whether top-k or top-p excludes all others.
    """

    known: Mapping[int, float]
    rest: float
    unsure: float = 0.0
    limited: bool = False


def chances(likeliest: Likeliest, temperature: float, top_p: float = 1.0, top_k: int = 0) -> Chances | None:
    """Return the probabilities; None if they cannot be known from ``likeliest``.

    vLLM divides by the temperature first, then keeps the ``top_k`` likeliest tokens, then the smallest set of them
    whose probability reaches ``top_p`` (``apply_top_k_top_p`` in ``vllm/v1/sample/ops/topk_topp_sampler.py``).

    Worked example: log-probabilities of ln 0.6, ln 0.3 and ln 0.1 at temperature 0.5 weigh 0.36, 0.09 and 0.01; the
    probabilities are 0.783, 0.196 and 0.022. With a top-p of 0.9 the first two remain, with 0.8 and 0.2.
    """
    kept = list(likeliest)
    if not kept or temperature <= 0:
        return None
    left = max(0.0, 1.0 - math.fsum(math.exp(logprob) for _, logprob in kept))
    last, limited = kept[-1][1], False
    if 0 < top_k <= len(kept):
        if top_k < len(kept) and kept[top_k - 1][1] - kept[top_k][1] < LEAST_DISTANCE:
            return None
        kept, left, limited = kept[:top_k], 0.0, True
    weights = [math.exp(logprob / temperature) for _, logprob in kept]
    tail = left * math.exp(last * (1 / temperature - 1))
    if temperature > 1 and left > MOST_UNSURE * MOST_UNSURE:
        # Tokens beyond the known ones weigh more than that, nobody knows how much.
        return None
    low, high = (tail, tail) if temperature == 1 else (0.0, tail)
    total = math.fsum(weights) + (low + high) / 2
    unsure = (high - low) / 2 / total
    if unsure > MOST_UNSURE:
        return None
    shares = [weight / total for weight in weights]
    if top_p < 1:
        count = _nucleus(shares, top_p, unsure)
        if count is None:
            return None
        kept, mass = kept[:count], math.fsum(shares[:count])
        shares, unsure, limited = [share / mass for share in shares[:count]], 0.0, True
    known = {token: share for (token, _), share in zip(kept, shares, strict=True)}
    return Chances(known, 0.0 if limited else max(0.0, 1.0 - math.fsum(shares)), unsure, limited)


def _nucleus(shares: Sequence[float], top_p: float, unsure: float) -> int | None:
    """How many of the likeliest tokens are within ``top_p``; None if rounding may decide, or if more than are known."""
    mass = 0.0
    for count, share in enumerate(shares, 1):
        before, mass = mass, mass + share
        if mass >= top_p:
            safe = min(mass - top_p, top_p - before if count > 1 else 1.0) >= LEAST_MASS + unsure
            return count if safe else None
    return None
