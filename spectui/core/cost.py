"""What each K should yield: expected tokens of a step over the expected time of a step.

Throughput at K is ``(1 + sum of a_i for i <= K) / t(K)``, the improvement of Leviathan et al. 2023 ("Fast inference
from transformers via speculative decoding", section 3) with the measured acceptance ``a_i`` at each position in place
of one rate for all, and a measured step time in place of a ratio of two models' costs. It is an estimate, and every
screen that shows it says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepTime:
    """Mean time of a step in seconds, in parts. A lane whose parts are not measured has all of it in ``rest``."""

    draft: float
    verify: float
    rest: float

    @property
    def total(self) -> float:
        return self.draft + self.verify + self.rest


@dataclass(frozen=True, slots=True)
class Observed:
    """Steps that were allowed ``k`` drafts: how many, and their mean time."""

    k: int
    steps: int
    time: StepTime


@dataclass(frozen=True, slots=True)
class Line:
    """``base + slope * k``."""

    base: float
    slope: float

    def at(self, k: int) -> float:
        return max(0.0, self.base + self.slope * k)


FIRST_PASS = 0.5
"""Where K = 0 was never measured: the part of the draft line's beginning that is taken for the drafter's first pass,
which vLLM makes at K = 0 too, without an output matrix. Measured on the demo model: a third to two thirds."""


class CostModel:
    """Step time as a function of K: a straight line for each part from K = 1 on, and K = 0 apart.

    At K = 0 vLLM runs the drafter's first pass only, and the target's forward pass has one row, for which engines have
    kernels of their own; so K = 0 is on the line of no part, and is only taken from it when it was never measured.
    """

    def __init__(self, observed: Sequence[Observed]) -> None:
        """Fit to what was measured, each K weighted by its steps.

        Raises:
            ValueError: Nothing was measured.
        """
        if not observed:
            raise ValueError("a cost model needs steps of at least one K")
        drafting = [o for o in observed if o.k]
        self._plain = plain = next((o.time for o in observed if not o.k), None)
        self._draft = _fit(drafting, [o.time.draft for o in drafting], 0.0)
        self._verify = _fit(drafting, [o.time.verify for o in drafting], None if plain is None else plain.verify)
        self._rest = _fit(drafting, [o.time.rest for o in drafting], None if plain is None else plain.rest)

    def time(self, k: int) -> StepTime:
        """Estimated time of a step that may draft ``k`` tokens."""
        if not k:
            return self._plain or StepTime(FIRST_PASS * self._draft.at(0), self._verify.at(0), self._rest.at(0))
        return StepTime(self._draft.at(k), self._verify.at(k), self._rest.at(k))

    def throughput(self, k: int, by_position: Sequence[float]) -> float:
        """Estimated tokens per second of one request; see `tokens_per_step` for ``by_position``."""
        return tokens_per_step(k, by_position) / self.time(k).total

    def best(self, k_max: int, by_position: Sequence[float]) -> int:
        """The K from 0 to ``k_max`` with the highest estimated throughput; of equals the smallest."""
        return max(range(k_max + 1), key=lambda k: (self.throughput(k, by_position), -k))


def _fit(drafting: Sequence[Observed], values: Sequence[float], at_zero: float | None) -> Line:
    """Weighted least squares; with a single K the line goes through ``at_zero``, or is flat where that is unknown."""
    if not drafting:
        return Line(at_zero or 0.0, 0.0)
    weight = sum(o.steps for o in drafting)
    mean_k = sum(o.steps * o.k for o in drafting) / weight
    mean = sum(o.steps * value for o, value in zip(drafting, values, strict=True)) / weight
    spread = sum(o.steps * (o.k - mean_k) ** 2 for o in drafting)
    if spread:
        together = sum(o.steps * (o.k - mean_k) * (v - mean) for o, v in zip(drafting, values, strict=True))
        slope = together / spread
    else:
        slope = 0.0 if at_zero is None else (mean - at_zero) / mean_k
    return Line(mean - slope * mean_k, slope)


def tokens_per_step(k: int, by_position: Sequence[float]) -> float:
    """Expected tokens of a step that drafts ``k``, the target's own included.

    Args:
        k: Drafted tokens.
        by_position: Unconditional acceptance at positions 1, 2, ...; beyond the last, each position is reached as
            often after the one before it as the last known one was.
    """
    known = [min(max(share, 0.0), 1.0) for share in by_position[:k]]
    if not known:
        return 1.0
    onward = known[-1] / known[-2] if len(known) > 1 and known[-2] else known[-1]
    while len(known) < k:
        known.append(known[-1] * min(onward, 1.0))
    return 1.0 + sum(known)


def held_out(observed: Sequence[Observed], by_position: Mapping[int, Sequence[float]]) -> dict[int, float]:
    """What the model says of each K when that K's own steps are left out of its fit.

    Args:
        observed: Steps of several K.
        by_position: Acceptance at each position as it was measured at each K; the largest other K's is used.

    Returns:
        Estimated tokens per second of one request for every K that leaves two others to fit.
    """
    estimates: dict[int, float] = {}
    for one in observed:
        others = [other for other in observed if other.k != one.k]
        if len(others) >= 2:
            acceptance = by_position[max(other.k for other in others)]
            estimates[one.k] = CostModel(others).throughput(one.k, acceptance)
    return estimates


@dataclass(frozen=True, slots=True)
class BatchCost:
    """Step time of one K as a straight line over the requests in flight."""

    line: Line
    tokens: float

    @classmethod
    def of(cls, seconds: Sequence[tuple[int, float]], tokens: float) -> BatchCost:
        """From (requests, seconds of a step) at two concurrencies or more, and the tokens of a request's step."""
        observed = [Observed(requests, 1, StepTime(0.0, 0.0, s)) for requests, s in seconds]
        return cls(_fit(observed, [s for _, s in seconds], None), tokens)

    def throughput(self, requests: int) -> float:
        """Estimated tokens per second of all requests together."""
        return requests * self.tokens / self.line.at(requests)


def crossover(speculating: BatchCost, plain: BatchCost) -> float | None:
    """Requests in flight from which on speculation no longer pays: where both throughputs are equal.

    Solves ``tokens_s / (a_s + b_s n) = tokens_p / (a_p + b_p n)`` for n. None where the lines never meet at n >= 1 with
    speculation ahead before: it pays at every concurrency, or at none.
    """
    slope = speculating.tokens * plain.line.slope - plain.tokens * speculating.line.slope
    gain = speculating.tokens * plain.line.base - plain.tokens * speculating.line.base
    if slope >= 0 or gain <= 0:
        return None
    requests = -gain / slope
    return requests if requests >= 1 else None
