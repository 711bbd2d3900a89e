"""Verification steps, what they add up to, and what is known where some are missing.

A *step* is one verification of a request's drafted tokens by the target; *emitted* tokens reached the output, *cut*
tokens were verified but fell behind EOS, a stop string or ``max_tokens``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import add, sub
from typing import Literal, NamedTuple, TypeAlias

Own: TypeAlias = Literal["recovered", "bonus"]
"""The target's own token of a step: ``recovered`` at the first refused draft, ``bonus`` when none was refused."""

CutReason: TypeAlias = Literal["eos", "stop", "length"]
"""What ended a request inside a step: the EOS token, a stop string or stop token, or a length limit."""


class Totals(NamedTuple):
    """What a lane has done: sums over its steps. A trace spells it as a list in this order, without zeros at its end.

    Attributes:
        steps: Verification steps.
        emitted: Tokens that reached the output.
        drafts: Steps that had a draft.
        drafted: Tokens drafted.
        accepted: Tokens of those that the target kept, cut or not.
        cut: Tokens that were verified but fell behind the end of a request.
        silent: Steps that emitted nothing.
    """

    steps: int = 0
    emitted: int = 0
    drafts: int = 0
    drafted: int = 0
    accepted: int = 0
    cut: int = 0
    silent: int = 0

    def after(self, drafted: int, accepted: int, emitted: int, cut: int) -> Totals:
        """With one more step, of so many tokens."""
        return Totals(
            self.steps + 1,
            self.emitted + emitted,
            self.drafts + (drafted > 0),
            self.drafted + drafted,
            self.accepted + accepted,
            self.cut + cut,
            self.silent + (not emitted),
        )

    def plus(self, other: Totals) -> Totals:
        """Both together."""
        return Totals(*map(add, self, other))

    def minus(self, other: Totals) -> Totals:
        """What came after ``other``."""
        return Totals(*map(sub, self, other))


NOTHING = Totals()


@dataclass(frozen=True, slots=True)
class Step:
    """One verification step of one request.

    Attributes:
        lane: The lane's name.
        request: The request, unique within the lane.
        slot: The request's place in its round.
        index: Steps of this request so far, counting from 0.
        k: Drafted tokens that were allowed for this step.
        drafted: Ids that the drafter proposed; empty when there was no draft.
        accepted: How many of ``drafted``, from the left, the target kept: as the engine counts, cut or not.
        emitted: Ids that reached the output.
        cut: Ids that were verified but fell behind the end of the request; never part of ``emitted``.
        own: What the last verified id is, None when it fell to a cut.
        cut_reason: What ended the request in this step, None when it goes on.
        text: The text of ``emitted`` and ``cut``, one piece an id. An id that only begins a character has an empty
            piece, the id that completes it has the whole character.
        drafted_text: The text of ``drafted``, in the same way.
        batch: Requests that shared the engine step.
        wall_ns: Wall time of the engine step, once for the whole batch.
        clock_ns: The lane clock after the engine step: the sum of the lane's own engine steps.
        draft_ns: The part of ``wall_ns`` spent in the drafter; None where it is not measured.
        verify_ns: The part of ``wall_ns`` spent in the target's forward pass; None where it is not measured.
        disturbed: Whether other programs, or a GPU that was slowed down, held the engine step up.
        totals: What the lane has done since it was started, this step included, so that figures stay right whatever
            steps are lost on the way; None in older traces.
        before: Output tokens of the request before this step; None in older traces.
    """

    lane: str
    request: str
    slot: int
    index: int
    k: int
    drafted: tuple[int, ...]
    accepted: int
    emitted: tuple[int, ...]
    cut: tuple[int, ...]
    own: Own | None
    cut_reason: CutReason | None
    text: tuple[str, ...]
    drafted_text: tuple[str, ...]
    batch: int
    wall_ns: int
    clock_ns: int
    draft_ns: int | None = None
    verify_ns: int | None = None
    disturbed: bool = False
    totals: Totals | None = None
    before: int | None = None

    @property
    def own_totals(self) -> Totals:
        """What this step alone comes to."""
        return NOTHING.after(len(self.drafted), self.accepted, len(self.emitted), len(self.cut))


@dataclass(frozen=True, slots=True)
class Reached:
    """Where a lane stood: its clock, and what it had done since it was started."""

    lane: str
    clock_ns: int
    totals: Totals


@dataclass(frozen=True, slots=True)
class Gap:
    """``lost`` events are missing here.

    Where they are the beginning, ``clocks`` are the lane clocks behind them. ``reached`` says of every lane that lost
    steps where it stood behind the last of them; lanes whose steps carry no totals are not among them.
    """

    lost: int
    clocks: tuple[tuple[str, int], ...] = ()
    reached: tuple[Reached, ...] = ()

    @classmethod
    def behind(cls, lost: int, last: Iterable[Step]) -> Gap:
        """The gap of ``lost`` events of which ``last`` are each lane's last step."""
        return cls(lost, reached=tuple(Reached(s.lane, s.clock_ns, s.totals) for s in last if s.totals is not None))


StepEvent: TypeAlias = Step | Gap
