"""Searches a lane's fastest K on its engine, one engine step at a time, so that whoever drives can listen between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from spectui.core.acceptance import AcceptanceCounter
from spectui.core.cost import CostModel, Observed, StepTime, held_out
from spectui.core.tuner import UNKNOWN, Elimination
from spectui.events import KFigure, Sampling, Step, TuneEnded, TuneTurn, TuneWhy
from spectui.sources.vllm.lane import Lane

PIECE_TOKENS = 64
"""Tokens that each request of a measurement generates."""


@dataclass(slots=True)
class _Sums:
    """What the steps at one K added up to."""

    tokens: int = 0
    time_ns: int = 0
    steps: int = 0
    draft_ns: int = 0
    verify_ns: int = 0
    timed: bool = True
    acceptance: AcceptanceCounter = field(default_factory=AcceptanceCounter)

    def add(self, steps: Sequence[Step], time_ns: int) -> None:
        """Count the requests' shares of one engine step."""
        self.time_ns += time_ns
        self.steps += 1
        self.timed &= all(step.verify_ns is not None for step in steps)
        # Every share carries the whole engine step's time.
        self.draft_ns += max((step.draft_ns or 0 for step in steps), default=0)
        self.verify_ns += max((step.verify_ns or 0 for step in steps), default=0)
        for step in steps:
            self.tokens += len(step.emitted)
            self.acceptance.add(len(step.drafted), step.accepted)

    @property
    def step_time(self) -> StepTime:
        draft, verify = (self.draft_ns, self.verify_ns) if self.timed else (0, 0)
        parts = (draft, verify, self.time_ns - draft - verify)
        return StepTime(*(ns / 1e9 / self.steps for ns in parts))


class Tuning:
    """The search for one idle lane at one concurrency.

    A turn gives the next ``requests`` prompts to every K that is still in the running. Steps of the prompt phase count
    as the others do: they are part of what a user waits for, and the same for every K.

    Attributes:
        lane: The lane that is tuned.
        spent_ns: Time of the engine steps so far.
    """

    def __init__(
        self,
        lane: Lane,
        ks: Sequence[int],
        prompts: Sequence[Sequence[int]],
        *,
        requests: int,
        sampling: Sampling,
        budget_s: float,
        piece_tokens: int = PIECE_TOKENS,
        sweep_turns: int | None = None,
    ) -> None:
        """Prepare the search; the lane keeps its K until the first step.

        Args:
            lane: An idle lane.
            ks: Every K to try, each from 0 to the lane's K_max.
            prompts: Prompts as ids.
            requests: Requests in flight.
            sampling: How to sample; its length is replaced by a fixed one.
            budget_s: Time of engine steps after which no turn begins.
            piece_tokens: Tokens that each request generates in a turn.
            sweep_turns: Measure every K in so many turns, whatever they show, instead of searching.

        Raises:
            ValueError: Nothing to try, or nothing to try it on.
        """
        if not prompts:
            raise ValueError("tuning needs at least one prompt")
        if wrong := [k for k in ks if not 0 <= k <= lane.info.k_max]:
            raise ValueError(f"{lane.info.title} was built for K from 0 to {lane.info.k_max}, not for {wrong[0]}")
        self.lane = lane
        self._prompts = prompts
        self._requests = requests
        self._sampling = replace(sampling, max_tokens=piece_tokens, ignore_eos=True, stop=())
        self._budget_ns = budget_s * 1e9
        self._sums = {k: _Sums() for k in ks}
        self._elimination = Elimination(tuple(ks), keep_all=sweep_turns is not None)
        self._sweep_turns = sweep_turns
        self._k_before = lane.k
        self._queue: list[int] = []
        self._rates: dict[int, float] = {}
        self._piece = _Sums()
        self.spent_ns = 0

    @property
    def best(self) -> int:
        """The fastest K as far as is known; before the first turn the lane's own."""
        return self._elimination.best if self._elimination.turns else self._k_before

    @property
    def ended(self) -> TuneWhy | None:
        """Why the search is over, None while it is not."""
        if self.lane.running or self._queue:
            return None
        if decided := self._elimination.decided:
            return decided
        if self._sweep_turns is not None:
            return "budget" if self._elimination.turns >= self._sweep_turns else None
        return "budget" if self.spent_ns >= self._budget_ns and self._elimination.turns else None

    def step(self) -> TuneTurn | None:
        """Take one engine step; what is known when it ended a turn, else None."""
        if not self.lane.running:
            self._next_piece()
        before = self.lane.clock_ns
        steps = [event for event in self.lane.step() if isinstance(event, Step)]
        time_ns = self.lane.clock_ns - before
        self.spent_ns += time_ns
        k = self._queue[0]
        self._sums[k].add(steps, time_ns)
        self._piece.add(steps, time_ns)
        return None if self.lane.running else self._end_piece(k)

    def _next_piece(self) -> None:
        if not self._queue:
            running = self._elimination.running
            # Back and forth, so that no K always has the same neighbour before it.
            self._queue = list(running if self._elimination.turns % 2 == 0 else reversed(running))
        self.lane.k = self._queue[0]
        self._piece = _Sums()
        first = self._elimination.turns * self._requests
        for slot in range(self._requests):
            ids = self._prompts[(first + slot) % len(self._prompts)]
            self.lane.add(f"tune-{self._elimination.turns}.{self._queue[0]}.{slot}", slot, ids, self._sampling)

    def _end_piece(self, k: int) -> TuneTurn | None:
        self._rates[k] = self._piece.tokens / self._piece.time_ns * 1e9
        self._queue.pop(0)
        if self._queue:
            return None
        self._elimination.add(self._rates)
        self._rates = {}
        return self.turn()

    def turn(self) -> TuneTurn:
        """Where the search stands."""
        return TuneTurn(
            lane=self.lane.info.name,
            requests=self._requests,
            turn=self._elimination.turns,
            running=self._elimination.running,
            best=self.best,
            figures=self.figures(),
            spent_s=self.spent_ns / 1e9,
            budget_s=self._budget_ns / 1e9,
        )

    def end(self, why: TuneWhy, serve: Callable[[dict[int, int]], str] = lambda best: "") -> TuneEnded:
        """Leave the lane idle at the best K; ``serve`` makes a line to paste of the best K at the concurrency.

        Before the end of the first turn nothing is known: the lane gets its K of before, and there is no line.
        """
        self.lane.abort()
        self._queue.clear()
        self.lane.k = self.best
        line = serve({self._requests: self.best}) if self._elimination.turns else ""
        return TuneEnded(self.lane.info.name, why, self.turn(), line)

    def held_out(self) -> dict[int, float]:
        """Throughput of every K as the cost model has it without that K's own steps."""
        measured = {k: sums for k, sums in self._sums.items() if sums.steps}
        observed = [Observed(k, sums.steps, sums.step_time) for k, sums in measured.items()]
        accepted = {k: [share or 0.0 for share in sums.acceptance.read().by_position] for k, sums in measured.items()}
        return {k: estimate * self._requests for k, estimate in held_out(observed, accepted).items()}

    def figures(self) -> tuple[KFigure, ...]:
        """What was measured at each K, and what the cost model says of it."""
        measured = {k: sums for k, sums in self._sums.items() if sums.steps}
        observed = [Observed(k, sums.steps, sums.step_time) for k, sums in measured.items()]
        by_position = self._by_position()
        model = CostModel(observed) if observed else None
        return tuple(self._figure(k, by_position, model) for k in sorted(self._sums))

    def _by_position(self) -> list[float]:
        """Acceptance at each position, from the largest K that was measured so far."""
        for k in sorted(self._sums, reverse=True):
            found = self._sums[k].acceptance.read().by_position
            if found:
                return [share or 0.0 for share in found]
        return []

    def _figure(self, k: int, by_position: Sequence[float], model: CostModel | None) -> KFigure:
        sums = self._sums[k]
        throughput = self._elimination.throughput(k)
        speed_up = self._elimination.ratio(k, 0) if 0 in self._sums else UNKNOWN
        time = sums.step_time if sums.steps else None
        acceptance = sums.acceptance.read()
        return KFigure(
            k=k,
            running=k in self._elimination.running,
            tok_s=throughput.mean,
            low=throughput.low,
            high=throughput.high,
            speed_up=speed_up.mean,
            length=acceptance.length,
            by_position=acceptance.by_position,
            draft_s=time.draft if time and sums.timed else None,
            verify_s=time.verify if time and sums.timed else None,
            step_s=time.total if time else None,
            estimate_tok_s=model.throughput(k, by_position) * self._requests if model else None,
        )
