"""Finds the fastest K of a server on its own traffic: successive elimination, as in `spectui.core.tuner`, but with
turns of engine steps in place of prompts.

In every turn each K that is still in the running is held for a block of engine steps. After a turn a K is dropped if
its interval against the fastest one lies below it. The comparison is that of `spectui.core.attached.mixed_load`.
"""

from __future__ import annotations

from collections.abc import Sequence

from spectui.core.attached.mixed_load import Arm, load_of, ratio
from spectui.core.paired import UNKNOWN, Interval
from spectui.core.tuner import SAME, Why
from spectui.protocol.tuning import TuneWhy

DECIDES = 3.0
"""Normal quantile of the intervals that decide: 99.7 %, because there is a decision after every turn, about every K."""

MOST_EVERY = 8
"""Up to this K_max every K is tried; beyond it steps of about a third."""


def tried(k_max: int, *always: int) -> tuple[int, ...]:
    """The K to try on a server that can draft ``k_max``; those of ``always`` are among them."""
    ks = {k for k in (*range(5), 6, 8, 11, 15, 20, 27, 36, 48) if k < k_max}
    ks = set(range(k_max)) if k_max <= MOST_EVERY else ks
    return tuple(sorted({*ks, k_max, *(k for k in always if 0 <= k <= k_max)}))


class TrafficSearch:
    """The search, which is fed engine step by engine step.

    Attributes:
        arms: Every K, ascending.
        running: The K that are still measured.
        turns: Number of turns so far.
    """

    def __init__(self, arms: Sequence[int], *, keep_all: bool = False) -> None:
        """Search among ``arms``; with ``keep_all`` no K is ever dropped and nothing is decided early.

        Raises:
            ValueError: There is no K to choose from.
        """
        if not arms:
            raise ValueError("no K to choose from")
        self.arms = tuple(sorted(set(arms)))
        self.running = self.arms
        self.turns = 0
        self._keep_all = keep_all
        self._measured = {k: Arm() for k in self.arms}

    def add(self, k: int, requests: int, begins: bool, tokens: int, ns: int) -> None:
        """Count an engine step of this turn.

        Args:
            k: One of ``arms``.
            requests: Requests in it.
            begins: Whether one of them begins, so that the step also read its prompt.
            tokens: Tokens that it emitted.
            ns: Its wall time.
        """
        self._measured[k].add(self.turns, load_of(requests, begins), tokens, ns)

    def end_turn(self) -> None:
        """Drop every K that has lost."""
        self.turns += 1
        leader = self.best
        if leader is not None and not self._keep_all:
            self.running = tuple(k for k in self.running if k == leader or not self._lost(k, leader))

    @property
    def best(self) -> int | None:
        """The fastest K in the running; None before the first turn. It beats each other one, or loses to none by more
        than to the others: ratios at different loads need not agree on an order."""
        if not self.turns:
            return None
        leader = self.running[0]
        for k in self.running[1:]:
            mean = self.ratio(k, leader).mean
            leader = k if mean is not None and mean > 1 else leader
        return leader

    @property
    def decided(self) -> Why | None:
        """Why no further turn is needed; None while one is."""
        leader = self.best
        if self._keep_all or leader is None:
            return None
        if self.running == (leader,):
            return "alone" if len(self.arms) == 1 else "separated"
        rivals = [self.ratio(k, leader) for k in self.running if k != leader]
        same = all(d.low is not None and d.high is not None and d.low > 1 / SAME and d.high < SAME for d in rivals)
        return "same" if same else None

    @property
    def out_of_time(self) -> TuneWhy:
        """Why a search ended whose time is up."""
        return self.decided or "budget"

    def ratio(self, k: int, other: int, z: float | None = None) -> Interval:
        """Throughput at ``k`` divided by that at ``other``, at the same loads, with its 95 % interval."""
        if k not in self._measured or other not in self._measured:
            return UNKNOWN
        one, two = self._measured[k], self._measured[other]
        return ratio(one, two) if z is None else ratio(one, two, z)

    def throughput(self, k: int) -> Interval:
        """Tokens per second at ``k``, with a 95 % interval.

        For the fastest K that is what it gave; for any other, that figure times its ratio to the fastest. The interval
        is that of this ratio, for the fastest K against the second: what load there was is the same for all.
        """
        leader = self.best
        whole = None if leader is None else self._measured[leader].tok_s
        if leader is None or whole is None:
            return UNKNOWN
        if k != leader:
            return _times(whole, self.ratio(k, leader))
        others = {other: self.ratio(other, leader).mean or 0.0 for other in self.running if other != leader}
        second = max(others, key=lambda other: others[other], default=None)
        if second is None or not others[second]:
            return Interval(whole, None, None)
        return _times(whole * others[second], self.ratio(leader, second))

    def _lost(self, k: int, leader: int) -> bool:
        high = self.ratio(k, leader, DECIDES).high
        return high is not None and high < 1


def _times(whole: float, found: Interval) -> Interval:
    mean, low, high = (None if end is None else whole * end for end in (found.mean, found.low, found.high))
    return Interval(mean, low, high)
