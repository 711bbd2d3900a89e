"""The search for a lane's best K: its progress and its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

TuneWhy: TypeAlias = Literal["separated", "outrun", "same", "alone", "budget", "cancelled"]
"""Why a search for the best K ended: its interval lies above the others'; the others were far slower on each prompt
that they ran; those left are equally fast; there was only one K; the time was up; the user stopped it."""


@dataclass(frozen=True, slots=True)
class KFigure:
    """What a search for the best K knows about one K. A figure is None if it was not measured, or not yet.

    Attributes:
        k: Drafted tokens that were allowed.
        running: Whether it can still be the best.
        tok_s: Throughput of all requests together.
        low: Lower end of its 95 % interval.
        high: Upper end of that interval.
        speed_up: Throughput divided by that of K = 0 on the same prompts; K = 0 is not AR, since vLLM runs the
            drafter's first pass then too.
        length: Acceptance length.
        by_position: Unconditional acceptance at each position.
        draft_s: Mean time that a step spends in the drafter.
        verify_s: Mean time that a step spends in the target's forward pass.
        step_s: Mean duration of a step.
        estimate_tok_s: Throughput estimated by the cost model.
        over_ar: Throughput divided by AR's on the same prompts: the speed-up.
        over_ar_low: Lower end of its 95 % interval.
        over_ar_high: Upper end of that interval.
        no_estimate: Why the cost model gives no estimate; empty if it does or was not asked.
        accepted_at: K at which the acceptance behind the estimate was measured; it may depend on K.
        drafting: Share of the steps after a request's first one that had a draft.
    """

    k: int
    running: bool
    tok_s: float | None
    low: float | None
    high: float | None
    speed_up: float | None
    length: float | None
    by_position: tuple[float | None, ...]
    draft_s: float | None
    verify_s: float | None
    step_s: float | None
    estimate_tok_s: float | None
    over_ar: float | None = None
    over_ar_low: float | None = None
    over_ar_high: float | None = None
    no_estimate: str = ""
    accepted_at: int | None = None
    drafting: float | None = None


@dataclass(frozen=True, slots=True)
class TuneTurn:
    """The state of the search for a lane's best K after ``turn`` turns with ``requests`` in flight.

    ``ar_tok_s`` is AR's throughput on the same prompts, None if there was no AR lane; ``disturbed`` is the share of the
    time measured so far that other programs held up and that was not replaced by a second try.
    """

    lane: str
    requests: int
    turn: int
    running: tuple[int, ...]
    best: int
    figures: tuple[KFigure, ...]
    spent_s: float
    budget_s: float
    ar_tok_s: float | None = None
    disturbed: float = 0.0

    @property
    def ar_wins(self) -> bool:
        """Whether AR is faster than the best K, according to the measurements so far."""
        best = next((figure for figure in self.figures if figure.k == self.best), None)
        return best is not None and best.over_ar is not None and best.over_ar < 1


@dataclass(frozen=True, slots=True)
class TuneEnded:
    """The search is over. The lane drafts at the best K, and ``serve`` is the command that serves the model that way.

    If it was stopped before its first turn, nothing is known: the lane keeps its previous K, and ``serve`` is empty.
    ``fault`` says in a sentence why the search of an attached server was broken off, and what K is there; it is not
    that of the search then.
    """

    lane: str
    why: TuneWhy
    last: TuneTurn
    serve: str = ""
    fault: str = ""


TuneEvent: TypeAlias = TuneTurn | TuneEnded
