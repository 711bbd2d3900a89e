"""The automatic K over steps that were taken already, of which it sees only what it drafts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectui.core.auto_k import AutoK
from spectui.core.headroom.choosing import Floats

MOST_STEPS = 20_000
"""Steps that are replayed: a fraction of a second. Of a longer trace that many in a row, from its middle."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """Tokens per second, the mean K, and how many steps were replayed."""

    tok_s: float
    mean_k: float
    steps: int


def replay(accepted: NDArray[np.int64], times: Floats, start: int) -> Replayed:
    """Let `AutoK` choose the K of each step.

    Args:
        accepted: By step, how many drafted tokens are accepted if as many are drafted.
        times: Seconds of a step at each K, all of them known.
        start: The K that it begins with.
    """
    first = max(0, (len(accepted) - MOST_STEPS) // 2)
    taken: list[int] = accepted[first : first + MOST_STEPS].tolist()
    costs: list[float] = times.tolist()
    policy = AutoK(len(costs) - 1, start)
    tokens, seconds, ks = 0, 0.0, 0
    for length in taken:
        k = policy.k
        kept = min(length, k)
        tokens += kept + 1
        seconds += costs[k]
        ks += k
        policy.observe(k, kept)
        policy.decide(costs[k] * 1e9)
    return Replayed(tokens / seconds, ks / len(taken), len(taken))
