"""Searches for the fastest K of a server on the requests that it is answering anyway.

K is changed in turn: in every turn each K that is still in the running is held for `BLOCK_STEPS` engine steps, in
random order; the first steps after a change are left out, because they still verify drafts of the K before. The
server's own steps say what each K gives (`spectui.core.attached.k_search`).

A K that the search tries is lent to it: the server takes it back by itself if it hears nothing for `LEASE_S`. However
the search ends without a result, K becomes what it was before. Knows no socket and no clock: `Attached` hands in what
the server says and the time, and sends what `Tuning.due` gives.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from spectui.core.attached.guard import LatencyGuard
from spectui.core.attached.k_search import TrafficSearch, tried
from spectui.core.attached.tried_k import TriedK
from spectui.protocol.events import Event, KChanged, Notice, TuneEnded, TuneTurn, TuneWhy
from spectui.protocol.limits import TUNE_BUDGET_S
from spectui.wire.messages import EngineStep, Row

BLOCK_STEPS = 24
"""Engine steps of a block that count."""

LEFT_OUT = 2
"""Engine steps at a new K that do not count."""

LEASE_S = 10.0
RENEW_S = 3.0
"""How often the server is told that a K is still wanted."""

WAIT_S = 5.0
"""After so long without a step the user is told what the search waits for."""

LATE_STEPS = 200
LATE_S = 5.0
"""After so many engine steps at another K, and so long, the server is taken not to follow."""


@dataclass(frozen=True, slots=True)
class TuneRules:
    """What the user has set for searches.

    Attributes:
        guard_ms: The most milliseconds per output token; None for no limit.
        within_s: The search ends after so long, however little traffic there was; None for no limit.
    """

    guard_ms: float | None = None
    within_s: float | None = None


class Tuning:
    """The search on one endpoint. Every method returns what is to be told of it.

    Attributes:
        lane: The endpoint's lane.
        k: K that the server is to have.
        ended: How the search ended; None while it goes on.
        spent_ns: Time of the server's engine steps so far.
    """

    def __init__(
        self,
        lane: str,
        *,
        k: int,
        k_max: int,
        now_ns: int,
        budget_s: float = TUNE_BUDGET_S,
        rules: TuneRules | None = None,
        serve: Callable[[int], str] = lambda k: "",
        seed: int | None = None,
    ) -> None:
        """Prepare.

        Args:
            lane: The endpoint's lane.
            k: The server's K, which it gets back if nothing is found.
            k_max: The largest K that it can draft.
            now_ns: The time, on any clock.
            budget_s: Time of engine steps after which no new turn begins.
            rules: What the user has set.
            serve: Makes the command that serves the model with a K.
            seed: Where the order of the blocks begins; None for a random one.
        """
        self.lane = lane
        self.k = self._before = k
        self.ended: TuneEnded | None = None
        self.spent_ns = 0
        self._rules = rules or TuneRules()
        self._guard = None if self._rules.guard_ms is None else LatencyGuard(self._rules.guard_ms)
        self._budget_ns = budget_s * 1e9
        self._serve = serve
        self._dice = random.Random(seed)
        self._search = TrafficSearch(tried(k_max, k))
        self._seen = {one: TriedK() for one in self._search.arms}
        self._blocks: list[int] = []
        self._left = 0
        self._settling = LEFT_OUT
        self._late = self._late_ns = 0
        self._requests = self._steps = 0
        self._began_ns = self._stepped_ns = now_ns
        self._waiting = False
        self._asked: list[int] = []
        self._sent: int | None = None
        self._sent_ns = 0
        self._final = False

    def begin(self) -> list[Event]:
        """Take the first block."""
        self._next_block()
        return [self.turn()]

    def due(self, now_ns: int) -> tuple[int, float | None] | None:
        """The K that the server is to be asked for now, and for how many seconds it is lent, None for good; None if
        there is nothing to ask. What is returned counts as sent."""
        if self._final:
            return None
        over = self.ended is not None
        if not over and self._sent == self.k and now_ns - self._sent_ns < RENEW_S * 1e9:
            return None
        self._final = over
        self._sent, self._sent_ns = self.k, now_ns
        if self._asked[-1:] != [self.k]:
            self._asked.append(self.k)
        return self.k, None if over else LEASE_S

    def step(self, step: EngineStep, now_ns: int) -> list[Event]:
        """Take in an engine step of the server."""
        if self.ended is not None or not step.rows:
            return []
        self._stepped_ns, self._waiting = now_ns, False
        self.spent_ns += step.wall_ns
        if self._guard is not None:
            self._guard.add(step.wall_ns, [row.emitted for row in step.rows if row.index])
            if self._guard.crossed:
                reached, limit = self._guard.reached_ms, self._guard.limit_ms
                return self._give_up(
                    f"at K = {step.k} one token in twenty took {reached:.1f} ms or more, and the limit is {limit:g} ms"
                )
        if step.k != self.k:
            self._late_ns = self._late_ns if self._late else now_ns
            self._late += 1
            self._settling = LEFT_OUT
            late = self._late > LATE_STEPS and now_ns - self._late_ns > LATE_S * 1e9
            return self._give_up("the server does not follow changes of K") if late else []
        self._late = 0
        if self._settling:
            self._settling -= 1
            return []
        self._count(step)
        self._left -= 1
        return [] if self._left else self._end_block()

    def _count(self, step: EngineStep) -> None:
        rows = step.rows
        begins = any(not row.index for row in rows)
        self._search.add(step.k, len(rows), begins, sum(row.emitted for row in rows), step.wall_ns)
        self._seen[step.k].add(
            step.wall_ns,
            step.draft_ns,
            step.verify_ns,
            [(row.index, _drafted(row), row.accepted) for row in rows],
        )
        self._requests += len(rows)
        self._steps += 1

    def _end_block(self) -> list[Event]:
        if self._blocks:
            self._next_block()
            return []
        self._search.end_turn()
        why: TuneWhy | None = self._search.decided
        if why is None and self.spent_ns >= self._budget_ns:
            why = self._search.out_of_time
        if why is not None:
            return self._end(why)
        self._next_block()
        return [self.turn()]

    def _next_block(self) -> None:
        if not self._blocks:
            self._blocks = list(self._search.running)
            # In random order, so that a drift over some seconds affects no K more than another.
            self._dice.shuffle(self._blocks)
        k = self._blocks.pop()
        self._settling = LEFT_OUT if k != self.k or not self._steps else 0
        self.k, self._left = k, BLOCK_STEPS

    def tick(self, now_ns: int) -> list[Event]:
        """Look at the time, a few times a second at least."""
        if self.ended is not None:
            return []
        within = self._rules.within_s
        if within is not None and now_ns - self._began_ns >= within * 1e9:
            if self._search.turns:
                return self._end(self._search.out_of_time)
            return self._give_up(f"there was too little traffic in {within:g} s to try every K once")
        if not self._waiting and now_ns - self._stepped_ns >= WAIT_S * 1e9:
            self._waiting = True
            return [Notice("the search for K waits for traffic: it measures on the server's own requests", self.lane)]
        return []

    def changed(self, k: int) -> list[Event]:
        """The server says that its K is now ``k``."""
        if k in self._asked:
            del self._asked[: self._asked.index(k)]
            return []
        if self.ended is not None:
            return []
        if k == self._before:
            return self._lose(f"the server took its K back: K is {k} as before the search", k)
        return self._lose(f"K was set to {k} meanwhile, and so it stays", k)

    def refused(self, why: str) -> list[Event]:
        """The server did not follow a change of K."""
        return [] if self.ended is not None else self._give_up(why)

    def lost(self, why: str) -> list[Event]:
        """Nothing reaches the server any more."""
        if self.ended is not None:
            # If the last K did not get there, the one before comes back by itself.
            self._final = True
            return []
        return self._lose(
            f"{why}; a server that is still there goes back to K = {self._before} by itself", self._before
        )

    def stop(self) -> list[Event]:
        """The user stops the search."""
        return [] if self.ended is not None else self._give_up("the search was stopped")

    def unsettle(self) -> None:
        """The server has not taken the K that was found: the search has not ended yet."""
        self.ended, self._final = None, False

    def turn(self) -> TuneTurn:
        """The current state of the search."""
        best = self._search.best
        return TuneTurn(
            lane=self.lane,
            requests=max(1, round(self._requests / max(1, self._steps))),
            turn=self._search.turns,
            running=self._search.running,
            best=self._before if best is None else best,
            figures=tuple(
                seen.figure(
                    k,
                    running=k in self._search.running,
                    throughput=self._search.throughput(k),
                    over_zero=self._search.ratio(k, 0).mean if self._search.turns else None,
                )
                for k, seen in self._seen.items()
            ),
            spent_s=self.spent_ns / 1e9,
            budget_s=self._budget_ns / 1e9,
        )

    def _end(self, why: TuneWhy) -> list[Event]:
        """The best K stays."""
        turn = self.turn()
        self.k = turn.best
        self.ended = TuneEnded(self.lane, why, turn, self._serve(turn.best))
        return [KChanged(self.lane, self.k, "tuned"), self.ended, Notice(self._compared(turn.best), self.lane)]

    def _compared(self, best: int) -> str:
        if best == self._before:
            return f"K stays {best}: no other was found to be faster on this traffic"
        found = self._search.ratio(best, self._before)
        much = "" if found.mean is None else f": {found.mean:.2f} times the throughput"
        sure = "" if found.low is None else f" ({found.low:.2f} to {found.high:.2f})"
        return f"K is {best} instead of {self._before}{much}{sure}"

    def _give_up(self, why: str) -> list[Event]:
        """The K from before comes back."""
        self.k = self._before
        return self._broken_off(f"{why}: K is {self._before} again, as before the search")

    def _lose(self, why: str, k: int) -> list[Event]:
        """K is no longer this search's to change."""
        self.k, self._final = k, True
        return self._broken_off(why)

    def _broken_off(self, sentence: str) -> list[Event]:
        self.ended = TuneEnded(self.lane, "cancelled", self.turn(), fault=sentence)
        return [self.ended, Notice(f"the search for K has ended: {sentence}", self.lane, level="warning")]


def _drafted(row: Row) -> int:
    return row.drafted if isinstance(row.drafted, int) else len(row.drafted)
