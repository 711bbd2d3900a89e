"""What a lane's steps cost at each K and each number of requests in flight, added up during the run."""

from __future__ import annotations

from collections import Counter

from spectui.core.batch_cost import BatchCost, Pays, pays
from spectui.core.k_figures import k_figures
from spectui.core.k_sums import KSums
from spectui.protocol.events import AnyStep, KFigure


class StepCosts:
    """The step costs of one lane. A request's first step is left out: it processes the prompt and verifies nothing."""

    def __init__(self) -> None:
        self._sums: dict[tuple[int, int], KSums] = {}
        self._last_ns = -1

    def add(self, step: AnyStep) -> None:
        """Count one request's share of an engine step; the time counts once for all shares."""
        if not step.index:
            return
        first, self._last_ns = step.clock_ns != self._last_ns, step.clock_ns
        self._sums.setdefault((step.k, step.batch), KSums()).add(step, step.wall_ns if first else None)

    def figures(self, k_max: int, batch: int) -> tuple[KFigure, ...]:
        """Measured and estimated figures for every K up to ``k_max`` with ``batch`` requests in flight."""
        return k_figures(range(k_max + 1), {k: sums for (k, of), sums in self._sums.items() if of == batch}, batch)

    @property
    def usual_batch(self) -> int:
        """The number of requests in flight at which most engine steps were taken; 1 if none was."""
        steps: Counter[int] = Counter()
        for (_, batch), sums in self._sums.items():
            steps[batch] += sums.steps
        return max(steps, key=steps.__getitem__, default=1)

    def batch_cost(self, k: int) -> BatchCost | None:
        """Step time as a function of the requests in flight at ``k``; None if fewer than two concurrencies were
        measured."""
        found = {batch: sums for (of, batch), sums in self._sums.items() if of == k and sums.steps}
        if len(found) < 2:
            return None
        tokens = sum(sums.tokens for sums in found.values()) / sum(sums.requests for sums in found.values())
        return BatchCost.of([(batch, sums.time.total) for batch, sums in found.items()], tokens)


def pays_at(drafting: StepCosts, k: int, plain: StepCosts) -> tuple[bool, Pays | None]:
    """Estimate at how many requests in flight a lane at ``k`` is faster than a plain one.

    Returns:
        Whether both lanes were measured at two or more numbers of requests, and the comparison, or None where the two
        measurements overlap too little.
    """
    speculating, ordinary = drafting.batch_cost(k), plain.batch_cost(0)
    if speculating is None or ordinary is None:
        return False, None
    return True, pays(speculating, ordinary)
