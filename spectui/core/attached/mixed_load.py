"""Compares the throughput of two K on a server's own traffic, whose load changes all the time.

A step with many requests in flight gives more tokens per second than one with few, and one that also reads a prompt
gives fewer, whatever K is. So engine steps are sorted by their load: how many requests are in them, and whether one
begins. K take turns in random order, and two K are compared load by load, over the turns that both took:

``ratio = (sum of w c_other) / (sum of w c_one)``

with ``c`` the seconds per token at a load. ``w`` weighs a load by the tokens that both gave there, ``n m / (n + m)``
(Mantel and Haenszel 1959), so that a load which only one of them met has no say: a busy minute favours no K. Emitted
tokens count, over the wall time of the engine steps.

The interval is that of a ratio of totals (Cochran 1977, "Sampling Techniques", section 6.13), with the turns as the
independent parts: what slows a whole turn down affects both K alike and cancels.

Worked example: with one request K = 2 gave 100 tokens in 2 s, K = 0 100 in 4 s; with four requests K = 2 gave 300
tokens in 3 s, K = 0 100 in 1 s. Totals say 80 tok/s against 40, twice the throughput; but K = 2 met the busy load more
often. The weights are 50 and 75: (50 x 0.04 + 75 x 0.01) / (50 x 0.02 + 75 x 0.01) = 1.57.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeAlias

from spectui.core.paired import SHOWN, UNKNOWN, Interval, student_t

_EDGES = (1, 2, 3, 4, *chain.from_iterable((3 * 2**n, 4 * 2**n) for n in range(1, 12)))
"""The most requests of each group of loads: single numbers up to 4, then half octaves."""

LEAST_TURNS = 6
"""Turns before there is an interval: made-up servers show that those of fewer turns promise too much."""

LEAST_MET = 2
"""A load that a K met in fewer turns says nothing about its own noise."""

Load: TypeAlias = tuple[int, bool]
"""A group of numbers of requests, and whether one of them begins."""


def load_of(requests: int, begins: bool) -> Load:
    """The load of an engine step with so many requests."""
    return bisect_left(_EDGES, requests), begins


@dataclass(slots=True)
class _Sums:
    tokens: int = 0
    ns: int = 0
    turns: int = 1


@dataclass(slots=True)
class Arm:
    """What was measured at one K, by turn and load."""

    by_turn: dict[int, dict[Load, _Sums]] = field(default_factory=dict)

    def add(self, turn: int, load: Load, tokens: int, ns: int) -> None:
        """Count an engine step."""
        sums = self.by_turn.setdefault(turn, {}).setdefault(load, _Sums())
        sums.tokens += tokens
        sums.ns += ns

    @property
    def tok_s(self) -> float | None:
        """Tokens over time, at whatever load there was; None if nothing was measured."""
        every = [sums for loads in self.by_turn.values() for sums in loads.values()]
        ns = sum(sums.ns for sums in every)
        return sum(sums.tokens for sums in every) / ns * 1e9 if ns else None


def ratio(one: Arm, other: Arm, z: float = SHOWN) -> Interval:
    """Throughput of ``one`` divided by that of ``other`` at the same loads, with its interval between the quantiles of
    ``z``.

    The ends are None for fewer than `LEAST_TURNS`; all of it is None where the two met no load in common.
    """
    shared = [turn for turn in one.by_turn if turn in other.by_turn]
    mine, others = _totals(one, shared), _totals(other, shared)
    least = LEAST_MET if len(shared) >= LEAST_TURNS else 1
    weights = {
        load: mine[load].tokens * others[load].tokens / (mine[load].tokens + others[load].tokens)
        for load in mine
        if load in others and min(mine[load].tokens, others[load].tokens) > 0
        if min(mine[load].turns, others[load].turns) >= least and min(mine[load].ns, others[load].ns) > 0
    }
    if not weights:
        return UNKNOWN
    log_ratio, off = 0.0, dict.fromkeys(shared, 0.0)
    for arm, totals, sign in ((one, mine, -1.0), (other, others, 1.0)):
        # Seconds that the weighted tokens take, of each load and together.
        costs = {load: weight * totals[load].ns / totals[load].tokens for load, weight in weights.items()}
        whole = sum(costs.values())
        log_ratio += sign * math.log(whole)
        for turn in shared:
            for load, sums in arm.by_turn[turn].items():
                if load in costs:
                    total = totals[load]
                    # A few turns scatter less around their own mean than around the true one.
                    few = math.sqrt(total.turns / (total.turns - 1)) if total.turns > 1 else 1.0
                    off[turn] += sign * few * costs[load] / whole * (sums.ns / total.ns - sums.tokens / total.tokens)
    count = len(shared)
    if count < LEAST_TURNS:
        return Interval(math.exp(log_ratio), None, None)
    reach = student_t(count - 1, z) * math.sqrt(sum(part * part for part in off.values()))
    return Interval(math.exp(log_ratio), math.exp(log_ratio - reach), math.exp(log_ratio + reach))


def _totals(arm: Arm, turns: Iterable[int]) -> dict[Load, _Sums]:
    totals: dict[Load, _Sums] = {}
    for turn in turns:
        for load, sums in arm.by_turn[turn].items():
            total = totals.setdefault(load, _Sums(turns=0))
            total.tokens += sums.tokens
            total.ns += sums.ns
            total.turns += 1
    return totals
