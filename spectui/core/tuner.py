"""Finds the fastest K with as few measurements as the noise allows: successive elimination on paired turns.

Every turn measures each K that is still in the running once, on the same prompts, so that two K are compared by the
logarithm of their ratio within a turn and neither the prompt nor a drift of the machine counts. A K leaves when its
interval against the leader lies below it (Even-Dar et al. 2006, "Action elimination and stopping conditions", with
Student's t in place of a bound that knows the noise).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from spectui.events import TuneWhy

LEAST_TURNS = 3
HOPELESS_TURNS = 2
HOPELESS = math.log(0.8)
"""A K that is slower than the leader by a fifth in each of the first turns gets no more."""
SAME = math.log(1.01)
"""K whose throughputs surely differ by less than a hundredth are the same for anybody."""

SHOWN = 0.95
"""Share of the intervals that are reported."""
DROPPED = 0.99
"""Share of the intervals that a K is dropped by: it is looked at after every turn, so a doubtful look must not do."""

Why = Literal["separated", "same", "alone"]
ENDED: Mapping[TuneWhy, str] = {
    "separated": "its interval lies above the others'",
    "same": "those left are equally fast",
    "alone": "there was one K only",
    "budget": "the time was up; it is the best so far",
    "cancelled": "stopped; it is the best so far",
}
"""For people: why the search ended with this K."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its interval, of 95 % where nothing else is said; without one after a single turn."""

    mean: float | None
    low: float | None
    high: float | None


UNKNOWN = Interval(None, None, None)
"""Of what was not measured."""


class Elimination:
    """The search, fed turn by turn.

    Attributes:
        arms: Every K, ascending.
        running: The K that are still measured.
        turns: Turns so far.
    """

    def __init__(self, arms: Sequence[int], *, keep_all: bool = False) -> None:
        """Search among ``arms``; with ``keep_all`` none of them is ever dropped and nothing is decided early.

        Raises:
            ValueError: There is none.
        """
        if not arms:
            raise ValueError("there is no K to choose from")
        self.arms = tuple(sorted(set(arms)))
        self.running = self.arms
        self.turns = 0
        self._keep_all = keep_all
        self._logs: dict[int, list[float]] = {k: [] for k in self.arms}

    def add(self, rates: Mapping[int, float]) -> None:
        """Take one turn's tokens per second of every K in `running`, and drop those that have lost."""
        for k in self.running:
            self._logs[k].append(math.log(rates[k]))
        self.turns += 1
        leader = self.best
        if self._keep_all:
            return
        self.running = tuple(k for k in self.running if k == leader or not self._lost(k, leader))

    @property
    def best(self) -> int:
        """The K with the highest mean throughput of those in the running; of equals the smallest."""
        if not self.turns:
            return self.arms[0]
        return max(self.running, key=lambda k: (statistics.fmean(self._logs[k]), -k))

    @property
    def decided(self) -> Why | None:
        """Why no further turn is needed; None while one is."""
        if self._keep_all:
            return None
        if len(self.arms) == 1:
            return "alone"
        if self.running == (self.best,) and self.turns:
            return "separated"
        if self.turns < LEAST_TURNS:
            return None
        leader = self.best
        rivals = (self._difference(k, leader) for k in self.running if k != leader)
        same = all(d.low is not None and d.high is not None and d.low > -SAME and d.high < SAME for d in rivals)
        return "same" if same else None

    def throughput(self, k: int) -> Interval:
        """Tokens per second of ``k`` with its 95 % interval."""
        return _exponential(interval(self._logs[k]))

    def ratio(self, k: int, other: int) -> Interval:
        """Throughput of ``k`` over that of ``other`` in the turns that measured both."""
        return _exponential(self._difference(k, other))

    def _lost(self, k: int, leader: int) -> bool:
        differences = self._paired(k, leader)
        if len(differences) >= HOPELESS_TURNS and max(differences) < HOPELESS:
            return True
        difference = interval(differences, DROPPED)
        return len(differences) >= LEAST_TURNS and difference.high is not None and difference.high < 0

    def _paired(self, k: int, other: int) -> list[float]:
        return [one - two for one, two in zip(self._logs[k], self._logs[other], strict=False)]

    def _difference(self, k: int, other: int) -> Interval:
        return interval(self._paired(k, other))


def interval(values: Sequence[float], share: float = SHOWN) -> Interval:
    """Mean and its interval by Student's t."""
    if not values:
        return UNKNOWN
    mean = statistics.fmean(values)
    if len(values) < 2:
        return Interval(mean, None, None)
    reach = student_t(len(values) - 1, share) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - reach, mean + reach)


def student_t(freedom: int, share: float = SHOWN) -> float:
    """The quantile of Student's t distribution between whose negative and itself ``share`` of it lies."""
    table, z = _T[share]
    if freedom <= len(table):
        return table[freedom - 1]
    # The first terms of the Cornish-Fisher expansion round the normal quantile: right to 0.002 from here on.
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


_T: dict[float, tuple[tuple[float, ...], float]] = {
    SHOWN: ((12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228), 1.959964),
    DROPPED: ((63.657, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169), 2.575829),
}


def _exponential(of: Interval) -> Interval:
    return Interval(*(None if figure is None else math.exp(figure) for figure in (of.mean, of.low, of.high)))
