"""What to work on: the drafter, K or the cost of a step, by what each would give from where the lane is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spectui.core.headroom.costs import Costs

LEAST_GAIN = 1.02
"""What gains less is not worth a sentence."""


def work_on(
    accepted: NDArray[np.int64], k: int, costs: Costs, *, fixed: tuple[float, int] | None
) -> tuple[str | None, str]:
    """What gains most at ``k``, and a sentence with the figures.

    Three changes are compared, each alone: half as many refusals at every position, half of what a step takes longer
    than AR's, and the best fixed K.

    Args:
        accepted: By step, how many drafted tokens were accepted, at most as many as the largest K.
        k: The K that others are compared with.
        costs: The time of a step at each K.
        fixed: Tokens per second at the best fixed K, and that K; None if it is not known.
    """
    time = float(costs.times[k])
    rate = _tokens(accepted, k, 1.0) / time
    gains: dict[str, float] = {"drafter": _tokens(accepted, k, 0.5) / time / rate}
    told = {"drafter": "half as many refusals"}
    plain = costs.plain if costs.plain is not None else float(costs.times[0])
    if np.isfinite(plain) and time > plain:
        gains["cost"] = time / ((time + plain) / 2)
        whose = "at K=0" if costs.plain is None else "AR's"
        told["cost"] = f"half of what a step takes longer than {whose}"
    settled = ""
    if fixed is not None and fixed[1] == k:
        settled = f"; K={k} is the best of those estimated"
    elif fixed is not None:
        gains["k"] = fixed[0] / rate
        told["k"] = f"K={fixed[1]}"
    order = sorted(gains, key=lambda key: -gains[key])
    first, *rest = ((told[key], f"{100 * (gains[key] - 1):.0f} %") for key in order)
    figures = ", ".join([f"{first[0]} would make the lane {first[1]} faster than it was", *map(" by ".join, rest)])
    said = f"{figures} (est.){settled}."
    best = order[0]
    if gains[best] < LEAST_GAIN:
        return None, f"Nothing stands out to work on: {said}"
    what = {"drafter": "the drafter", "cost": "the cost of a step", "k": "K"}[best]
    return best, f"Work on {what}: {said}"


def _tokens(accepted: NDArray[np.int64], k: int, refused: float) -> float:
    """Mean tokens of a step at ``k`` if every position's share of refusals were multiplied by ``refused``."""
    reached = tokens = 1.0
    for place in range(1, k + 1):
        judged = int((accepted >= place - 1).sum())
        kept = int((accepted >= place).sum())
        reached *= 1 - refused * (1 - kept / judged) if judged else 0.0
        tokens += reached
    return tokens
