"""The best K for each group of steps: the highest ratio of all their tokens to all their time.

With one group this is the best fixed K, with a group per category the best K of each, and with a group per accepted
length what an oracle could do that knows how far each draft will be accepted: no adaptive K can be faster on the same
steps. The ratio of two sums is maximised exactly (Dinkelbach 1967, "On nonlinear fractional programming"): at a rate r
each group takes the K with the highest ``tokens - r * time``; the rate that this gives is the next r, until it stays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def tokens_of(accepted: NDArray[np.int64], k_max: int) -> Floats:
    """Tokens of steps at each K from 0 to ``k_max``: the first ``accepted`` drafted tokens as far as K, and one more.

    Returns:
        A row per step, a column per K.
    """
    kept = np.minimum(accepted[:, None], np.arange(k_max + 1)[None, :])
    tokens: Floats = kept.astype(np.float64) + 1.0
    return tokens


def grouped(accepted: NDArray[np.int64], group: NDArray[np.int64], groups: int, k_max: int) -> tuple[Floats, Floats]:
    """The tokens of each group of steps at each K, and the number of its steps.

    Args:
        accepted: By step, how many drafted tokens are accepted if as many are drafted.
        group: By step, its group, from 0.
        groups: The number of groups.
        k_max: The largest K, which no ``accepted`` exceeds.
    """
    counts = np.zeros((groups, k_max + 1))
    np.add.at(counts, (group, accepted), 1.0)
    return counts @ tokens_of(np.arange(k_max + 1), k_max), counts.sum(axis=1)


def best_choices(tokens: Floats, steps: Floats, times: Floats) -> tuple[float, NDArray[np.int64]]:
    """The K of each group that together give the most tokens per second, and that rate.

    Args:
        tokens: By group and K, the tokens of all its steps.
        steps: By group, the number of its steps.
        times: By K, seconds of a step; infinite where it is not known. At least one is.
    """
    cost = steps[:, None] * times[None, :]
    places = np.arange(len(steps))
    known = np.isfinite(times)
    rate = 0.0
    while True:
        # A K without a known time is never chosen; 0 * inf would be nan.
        worth = np.where(known, tokens - rate * np.where(known, cost, 0.0), -np.inf)
        chosen = np.argmax(worth, axis=1)
        found = float(tokens[places, chosen].sum() / cost[places, chosen].sum())
        if found <= rate * (1 + 1e-12):
            return max(found, rate), chosen
        rate = found
