"""What a lane's steps cost at each K and each number of requests in flight, summed up as the run goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spectui.core.cost import BatchCost, CostModel, Observed, StepTime, crossover
from spectui.events import KFigure, Step


@dataclass(slots=True)
class _Sums:
    steps: int = 0
    requests: int = 0
    tokens: int = 0
    time_ns: int = 0
    draft_ns: int = 0
    verify_ns: int = 0
    timed: bool = True

    @property
    def time(self) -> StepTime:
        draft, verify = (self.draft_ns, self.verify_ns) if self.timed else (0, 0)
        parts = (draft, verify, self.time_ns - draft - verify)
        return StepTime(*(ns / 1e9 / self.steps for ns in parts))

    @property
    def tok_s(self) -> float:
        return self.tokens / self.time_ns * 1e9


class StepCosts:
    """Of one lane. A request's first step is left out: it is its prompt's, not a verification."""

    def __init__(self) -> None:
        self._sums: dict[tuple[int, int], _Sums] = {}
        self._last_ns = -1

    def add(self, step: Step) -> None:
        """Count one request's share of an engine step; the time counts once for all shares."""
        if not step.index:
            return
        sums = self._sums.setdefault((step.k, step.batch), _Sums())
        sums.requests += 1
        sums.tokens += len(step.emitted)
        if step.clock_ns == self._last_ns:
            return
        self._last_ns = step.clock_ns
        sums.steps += 1
        sums.time_ns += step.wall_ns
        sums.timed &= step.verify_ns is not None
        sums.draft_ns += step.draft_ns or 0
        sums.verify_ns += step.verify_ns or 0

    def figures(self, k_max: int, by_position: Sequence[float | None], batch: int) -> tuple[KFigure, ...]:
        """Measured and estimated figures of every K with ``batch`` requests in flight.

        Args:
            k_max: The largest K to speak of.
            by_position: Unconditional acceptance at each position, for the estimate.
            batch: Requests in flight.
        """
        measured = {k: sums for (k, of), sums in self._sums.items() if of == batch and sums.steps}
        observed = [Observed(k, sums.steps, sums.time) for k, sums in measured.items()]
        model = CostModel(observed) if observed else None
        shares = [share or 0.0 for share in by_position]
        return tuple(self._figure(k, measured.get(k), model, shares, batch) for k in range(k_max + 1))

    def _figure(
        self, k: int, sums: _Sums | None, model: CostModel | None, shares: Sequence[float], batch: int
    ) -> KFigure:
        time = sums.time if sums else None
        return KFigure(
            k=k,
            running=True,
            tok_s=sums.tok_s if sums else None,
            low=None,
            high=None,
            speed_up=None,
            length=sums.tokens / sums.requests if sums and k else None,
            by_position=tuple(shares[:k]),
            draft_s=time.draft if time and sums and sums.timed else None,
            verify_s=time.verify if time and sums and sums.timed else None,
            step_s=time.total if time else None,
            estimate_tok_s=model.throughput(k, shares) * batch if model and (shares or not k) else None,
        )

    def batch_cost(self, k: int) -> BatchCost | None:
        """Step time over the requests in flight at ``k``; None with fewer than two concurrencies measured."""
        found = {batch: sums for (of, batch), sums in self._sums.items() if of == k and sums.steps}
        if len(found) < 2:
            return None
        tokens = sum(sums.tokens for sums in found.values()) / sum(sums.requests for sums in found.values())
        return BatchCost.of([(batch, sums.time.total) for batch, sums in found.items()], tokens)


def pays_up_to(drafting: StepCosts, k: int, plain: StepCosts) -> tuple[bool, float | None]:
    """Up to how many requests in flight a lane at ``k`` is estimated to be ahead of a plain one.

    Returns:
        Whether there is enough to say so, and the crossover, None where the two never meet.
    """
    speculating, ordinary = drafting.batch_cost(k), plain.batch_cost(0)
    if speculating is None or ordinary is None:
        return False, None
    return True, crossover(speculating, ordinary)
