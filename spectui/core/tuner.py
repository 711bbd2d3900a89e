"""Finds the fastest K with as few measurements as prompts and noise allow: successive elimination on shared prompts.

Every turn gives the same prompts to each K that is still in the running. The K are ranked by total tokens over total
time and compared on the prompts that both ran, so that neither the choice of prompts nor a drift of the machine
matters. A K is dropped when its interval against the leader lies below it (Even-Dar et al. 2006, "Action elimination
and stopping conditions", with Student's t in place of a bound that knows the noise). No verdict is given before every
category was seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from spectui.core.disturbance import DOUBTFUL
from spectui.core.paired import DROPPED, SHOWN, UNKNOWN, Arm, Estimate, Interval, PromptSet, Visit
from spectui.protocol.events import KFigure, TuneTurn, TuneWhy

PLAIN = -1
"""Stands for AR, which is measured beside every K as the baseline of the speed-ups."""

HOPELESS_PROMPTS = 3
HOPELESS = 0.75
"""A K that is slower than this share of the leader on each of its first `HOPELESS_PROMPTS` prompts is dropped."""

SAME = 1.01
"""Two K whose throughputs certainly differ by less than this factor count as equally fast."""

Why = Literal["separated", "outrun", "same", "alone"]
ENDED: Mapping[TuneWhy, str] = {
    "separated": "the others are slower",
    "outrun": "the others were far slower on every prompt they ran",
    "same": "those left are equally fast",
    "alone": "there was only one K",
    "budget": "the best so far when time ran out",
    "cancelled": "the best so far when stopped",
}
"""Why the search ended with this K, in words for the user."""


def verdict(why: TuneWhy, turn: TuneTurn) -> tuple[str, str]:
    """The result of a search that ended with ``turn``, and how certain it is, in words for the user."""
    best = turn.best
    if not turn.turn:
        return f"stopped before anything was measured: K stays {best}", ""
    figure = next((figure for figure in turn.figures if figure.k == best), None)
    gain = "" if figure is None else _gain(figure)
    doubt = ""
    if len(turn.running) > 1 and why in ("budget", "cancelled"):
        doubt = f"; K = {_several(turn.running)} cannot be told apart so far"
    if turn.disturbed >= DOUBTFUL:
        doubt += f"; {disturbed_part(turn)}: search again when the machine is quiet"
    if turn.ar_wins:
        return "do not speculate: AR is faster", f"; the best K is {best}{gain}; {ENDED[why]}{doubt}"
    return f"best K = {best}", f"{gain}; {ENDED[why]}{doubt}"


def disturbed_part(turn: TuneTurn) -> str:
    """How much of a search was disturbed by other programs, in words for the user."""
    return f"{turn.disturbed * 100:.0f} % of the measurement was disturbed"


def _gain(figure: KFigure) -> str:
    if figure.over_ar is not None:
        sure = figure.over_ar_low is not None and figure.over_ar_high is not None
        interval = f" ({figure.over_ar_low:.2f} to {figure.over_ar_high:.2f})" if sure else ""
        return f", {figure.over_ar:.2f} times AR{interval}"
    if figure.speed_up is not None and figure.k:
        return f", {figure.speed_up:.2f} times K = 0 (no AR lane to compare with)"
    return ""


def _several(ks: Sequence[int]) -> str:
    """A list of K in words; consecutive ones become a range."""
    if len(ks) > 2 and ks[-1] - ks[0] == len(ks) - 1:
        return f"{ks[0]} to {ks[-1]}"
    return ", ".join(map(str, ks[:-1])) + f" and {ks[-1]}"


Generation = tuple[float, float, float]
"""Completion tokens, seconds and steps of one prompt."""


class Search:
    """The search, which is fed turn by turn.

    Attributes:
        arms: Every K, ascending.
        running: The K that are still measured.
        turns: Number of turns so far.
    """

    def __init__(self, arms: Sequence[int], prompts: PromptSet, *, keep_all: bool = False) -> None:
        """Search among ``arms``; with ``keep_all`` no K is ever dropped and nothing is decided early.

        Raises:
            ValueError: ``arms`` or ``prompts`` is empty.
        """
        if not arms:
            raise ValueError("no K to choose from")
        if not len(prompts):
            raise ValueError("no prompts to measure on")
        self.arms = tuple(sorted(set(arms)))
        self.running = self.arms
        self.turns = 0
        self._prompts = prompts
        self._keep_all = keep_all
        self._drawn = 0
        self._outrun = False
        self._measured: dict[int, Arm] = {k: Arm() for k in (PLAIN, *self.arms)}

    def draw(self, count: int) -> tuple[int, ...]:
        """The numbers of the next prompts; starts over when all have been drawn."""
        order = self._prompts.order
        drawn = tuple(order[(self._drawn + place) % len(order)] for place in range(count))
        self._drawn += count
        return drawn

    def add(self, k: int, generations: Iterable[tuple[int, Generation]]) -> None:
        """Add what the prompts of a turn, by number, gave at ``k``, or at `PLAIN`."""
        for prompt, (tokens, seconds, steps) in generations:
            if tokens and seconds and steps:
                self._measured[k].add(prompt, Visit(self.turns, tokens, seconds, steps))

    def end_turn(self) -> None:
        """Drop every K that has lost."""
        self.turns += 1
        leader = self.best
        if leader is not None and not self._keep_all:
            self.running = tuple(k for k in self.running if k == leader or not self._lost(k, leader))

    @property
    def best(self) -> int | None:
        """The K with the highest throughput among those in the running, the smallest if several are equal; None before
        the first turn."""
        rates = {k: Estimate(self._prompts, self._measured[k]).log_rate for k in self.running}
        known = {k: rate for k, rate in rates.items() if rate is not None}
        return max(known, key=lambda k: (known[k], -k)) if known and self.turns else None

    @property
    def decided(self) -> Why | None:
        """Why no further turn is needed; None while one is."""
        leader = self.best
        if self._keep_all or leader is None:
            return None
        if not Estimate(self._prompts, self._measured[leader]).certain:
            return None
        if self.running == (leader,):
            return "alone" if len(self.arms) == 1 else self._ahead
        rivals = [self.ratio(k, leader) for k in self.running if k != leader]
        same = all(d.low is not None and d.high is not None and d.low > 1 / SAME and d.high < SAME for d in rivals)
        return "same" if same else None

    @property
    def out_of_time(self) -> TuneWhy:
        """Why a search ended whose time is up."""
        leader = self.best
        alone = leader is not None and self.running == (leader,) and len(self.arms) > 1
        covered = leader is not None and Estimate(self._prompts, self._measured[leader]).covers
        return self._ahead if alone and covered and not self._keep_all else "budget"

    @property
    def _ahead(self) -> Literal["separated", "outrun"]:
        """How the leader beat the others: only intervals justify the claim that they differ."""
        return "outrun" if self._outrun else "separated"

    @property
    def doubtful(self) -> tuple[int, ...]:
        """The K that cannot be told apart from the best one, which is included; empty if the best one stands alone."""
        return self.running if len(self.running) > 1 else ()

    def throughput(self, k: int) -> Interval:
        """Tokens per second of the whole prompt set at ``k``, with its 95 % interval.

        A dropped K ran other prompts than the rest, so its own figure cannot be compared with theirs. Instead it gets
        the leader's figure times its ratio to the leader on the prompts that both ran (a ratio estimate, Cochran 1977,
        section 6.2), without an interval: with the leader at 32 tok/s and a ratio of 0.4 that is 12.8.
        """
        leader = self.best
        if leader is None or k == PLAIN or k in self.running:
            return Estimate(self._prompts, self._measured[k]).interval(SHOWN)
        whole, ratio = self.throughput(leader).mean, self.ratio(k, leader).mean
        return Interval(None if whole is None or ratio is None else whole * ratio, None, None)

    def ratio(self, k: int, other: int) -> Interval:
        """Throughput at ``k`` divided by that at ``other``, on the prompts that both ran."""
        estimate = Estimate(self._prompts, self._measured[k], self._measured[other])
        return estimate.interval(SHOWN) if self._measured[other].by_prompt else UNKNOWN

    def _lost(self, k: int, leader: int) -> bool:
        estimate = Estimate(self._prompts, self._measured[k], self._measured[leader])
        high = (estimate.interval(DROPPED) if estimate.certain else estimate.cautious()).high
        if high is not None and high < 1:
            return True
        hopeless = estimate.count >= HOPELESS_PROMPTS and max(estimate.each) < math.log(HOPELESS)
        self._outrun |= hopeless
        return hopeless
