"""Searches for a lane's fastest K on its engine, one engine step at a time, so that the caller can handle commands
in between."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from spectui.core.cost import held_out
from spectui.core.k_figures import k_figures
from spectui.core.k_sums import KSums
from spectui.core.paired import UNKNOWN, PromptSet
from spectui.core.tuner import PLAIN, Search
from spectui.protocol.events import KFigure, Sampling, TuneEnded, TuneTurn, TuneWhy
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.prompting import Fitting
from spectui.sources.vllm.steady import Numbered, Piece

PIECE_TOKENS = 32
"""Tokens that each request of a measurement generates."""

MOST_TRIES = 3
"""Most attempts at a measurement until no other program disturbs it."""

BUSY_TRIES = 6
"""If this many measurements in a row were disturbed, the machine is always busy and nothing is repeated."""


class Tuning:
    """The search for one idle lane at one concurrency.

    A turn gives the same prompts to AR, if an AR lane is available, and to every K that is still in the running, always
    with ``requests`` in flight (`Piece`). Steps of the prompt phase count like the others: they are part of what a user
    waits for, and the same for every K.

    A measurement that other programs disturbed is repeated a few times, unless the machine is always busy.

    Attributes:
        lane: The lane that is tuned.
        spent_ns: Time of the engine steps so far, AR's included.
    """

    def __init__(
        self,
        lane: Lane,
        ks: Sequence[int],
        prompts: Sequence[Fitting],
        *,
        requests: int,
        sampling: Sampling,
        budget_s: float,
        plain: Lane | None = None,
        piece_tokens: int = PIECE_TOKENS,
        sweep_turns: int | None = None,
    ) -> None:
        """Prepare the search; the lane keeps its K until the first step.

        Args:
            lane: An idle lane.
            ks: Every K to try, each from 0 to the lane's K_max.
            prompts: The prompts to generate from.
            requests: Requests in flight.
            sampling: How to sample; its length is replaced by a fixed one.
            budget_s: Time of engine steps after which no new turn begins.
            plain: An idle AR lane on the same target, None if there is none.
            piece_tokens: Tokens that each request generates in a turn.
            sweep_turns: Measure every K in this many turns, whatever they show, instead of searching.

        Raises:
            ValueError: There is no K to try, or no prompt to try it on.
        """
        if wrong := [k for k in ks if not 0 <= k <= lane.info.k_max]:
            raise ValueError(f"{lane.info.title} was built for K from 0 to {lane.info.k_max}, not for {wrong[0]}")
        self.lane = lane
        self._plain = plain
        self._prompts = prompts
        self._requests = requests
        self._sampling = sampling
        self._piece_tokens = piece_tokens
        self._budget_ns = budget_s * 1e9
        self._sums = {k: KSums() for k in (PLAIN, *ks)}
        self._search = Search(tuple(ks), PromptSet([one.category for one in prompts]), keep_all=sweep_turns is not None)
        self._sweep_turns = sweep_turns
        self._k_before, self._choice_before = lane.k, lane.choice
        self._before = [(one, one.clock_ns, one.totals) for one in (lane, plain) if one is not None]
        self._dice = random.Random(0)
        self._queue: list[int] = []
        self._drawn: list[Numbered] = []
        self._piece: Piece | None = None
        self._piece_sums = KSums()
        self._tries = 0
        self._lately: deque[bool] = deque(maxlen=BUSY_TRIES)
        self._counted_ns = self._disturbed_ns = 0
        self.spent_ns = 0

    @property
    def best(self) -> int:
        """The fastest K so far; before the first turn the lane's own K."""
        best = self._search.best
        return self._k_before if best is None else best

    @property
    def ended(self) -> TuneWhy | None:
        """Why the search is over; None while it is not."""
        if self._queue or not self._search.turns:
            return None
        if self._sweep_turns is not None:
            return "budget" if self._search.turns >= self._sweep_turns else None
        if decided := self._search.decided:
            return decided
        return self._search.out_of_time if self.spent_ns >= self._budget_ns else None

    @property
    def stepped(self) -> Lane:
        """The lane whose engine currently takes the steps."""
        return self._plain if self._plain is not None and self._queue[:1] == [PLAIN] else self.lane

    def step(self) -> TuneTurn | None:
        """Take one engine step; returns the results so far if it ended a turn, else None."""
        if not self._queue:
            self._begin_turn()
        k, lane = self._queue[0], self.stepped
        if self._piece is None:
            if k != PLAIN:
                lane.k = k
            self._piece = Piece(lane, self._drawn, sampling=self._sampling, tokens=self._piece_tokens)
            self._piece_sums = KSums()
        before = lane.clock_ns
        steps, time_ns = self._piece.step()
        self.spent_ns += lane.clock_ns - before
        for place, step in enumerate(steps):
            self._piece_sums.add(step, None if place else time_ns)
        return self._end_piece(k, self._piece) if self._piece.over else None

    def _begin_turn(self) -> None:
        numbers = self._search.draw(self._requests)
        self._drawn = [(number, self._prompts[number].ids) for number in numbers]
        self._queue = [*(() if self._plain is None else (PLAIN,)), *self._search.running]
        # In random order, so that a drift over some seconds affects no K more than another.
        self._dice.shuffle(self._queue)

    def _end_piece(self, k: int, piece: Piece) -> TuneTurn | None:
        self._piece = None
        self._tries += 1
        self._lately.append(piece.disturbed)
        always_busy = len(self._lately) == BUSY_TRIES and all(self._lately)
        if piece.disturbed and self._tries < MOST_TRIES and not always_busy:
            return None
        self._tries = 0
        self._counted_ns += piece.time_ns
        self._disturbed_ns += piece.time_ns if piece.disturbed else 0
        self._search.add(k, piece.generations())
        self._sums[k].include(self._piece_sums)
        self._queue.pop(0)
        if self._queue:
            return None
        self._search.end_turn()
        return self.turn()

    def turn(self) -> TuneTurn:
        """The current state of the search."""
        return TuneTurn(
            lane=self.lane.info.name,
            requests=self._requests,
            turn=self._search.turns,
            running=self._search.running,
            best=self.best,
            figures=self.figures(),
            spent_s=self.spent_ns / 1e9,
            budget_s=self._budget_ns / 1e9,
            ar_tok_s=self._search.throughput(PLAIN).mean,
            disturbed=self._disturbed_ns / max(1, self._counted_ns),
        )

    def end(self, why: TuneWhy, serve: Callable[[dict[int, int]], str] = lambda best: "") -> TuneEnded:
        """End the search and leave the lane idle at the best K; ``serve`` turns the best K at this concurrency into a
        line to paste.

        If AR is faster than that K, the line is one without speculation. If no turn has ended, nothing is known: the
        lane gets its previous K back, and there is no line.
        """
        for lane in (self.lane, self._plain):
            if lane is not None:
                lane.abort()
        self._queue.clear()
        self._piece = None
        self._forget_steps()
        self.lane.choice = self.best if self._search.turns else self._choice_before
        turn = self.turn()
        line = serve({self._requests: 0 if turn.ar_wins else self.best}) if self._search.turns else ""
        return TuneEnded(self.lane.info.name, why, turn, line)

    def give_up(self) -> None:
        """Leave the lanes as they were before, including the tuned lane's K."""
        self._forget_steps()
        self.lane.choice = self._choice_before

    def _forget_steps(self) -> None:
        """Remove the search's steps from the lanes' clocks and totals: they do not belong to the race."""
        for lane, clock_ns, totals in self._before:
            lane.clock_ns, lane.totals = clock_ns, totals

    def held_out(self) -> dict[int, float]:
        """Throughput of every K as the cost model estimates it without that K's own steps."""
        measured = [(k, sums) for k, sums in self._drafting.items() if sums.steps]
        found = held_out([sums.observed(k) for k, sums in measured], [sums.drafts(k) for k, sums in measured])
        return {k: estimate * self._requests for k, estimate in found.items()}

    def figures(self) -> tuple[KFigure, ...]:
        """What was measured at each K, and what the cost model estimates for it."""
        return tuple(map(self._compared, k_figures(self._search.arms, self._drafting, self._requests)))

    @property
    def _drafting(self) -> dict[int, KSums]:
        """What was measured at every K, without AR."""
        return {k: sums for k, sums in self._sums.items() if k != PLAIN}

    def _compared(self, figure: KFigure) -> KFigure:
        """The figure with what the comparison on the same prompts says of its K."""
        throughput = self._search.throughput(figure.k)
        over_zero = self._search.ratio(figure.k, 0) if 0 in self._sums else UNKNOWN
        over_ar = self._search.ratio(figure.k, PLAIN)
        return replace(
            figure,
            running=figure.k in self._search.running,
            tok_s=throughput.mean,
            low=throughput.low,
            high=throughput.high,
            speed_up=over_zero.mean,
            over_ar=over_ar.mean,
            over_ar_low=over_ar.low,
            over_ar_high=over_ar.high,
        )
