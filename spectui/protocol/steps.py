"""Verification steps, their totals, and what is known if some are missing.

A *step* is one verification of a request's drafted tokens by the target; *emitted* tokens reached the output, *cut*
tokens were verified but came after EOS, a stop string or the ``max_tokens`` limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import add, sub
from typing import Literal, NamedTuple, Protocol, TypeAlias

Own: TypeAlias = Literal["recovered", "bonus"]
"""The target's own token in a step: ``recovered`` at the first rejected draft, ``bonus`` if none was rejected."""

CutReason: TypeAlias = Literal["eos", "stop", "length"]
"""What ended a request inside a step: the EOS token, a stop string or stop token, or a length limit."""


def id_text(token: int) -> str:
    """What stands for the text of a token as long as the vocabulary is not known."""
    return f"⟨{token}⟩"


def own_token(drafted: int, accepted: int, sampled: int, emitted: int) -> Own | None:
    """The kind of the last of ``sampled`` verified tokens; None if there is none, or it was cut off."""
    if not sampled or emitted < sampled:
        return None
    return "recovered" if accepted < drafted else "bonus"


class Totals(NamedTuple):
    """Sums over a lane's steps. A trace writes them as a list in this order, without trailing zeros.

    Attributes:
        steps: Verification steps.
        emitted: Tokens that reached the output.
        drafts: Steps that had a draft.
        drafted: Tokens drafted.
        accepted: Drafted tokens that the target kept, cut or not.
        cut: Tokens that were verified but came after the end of a request.
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
        """Add one more step with these numbers of tokens."""
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
        """Add ``other`` to these totals."""
        return Totals(*map(add, self, other))

    def minus(self, other: Totals) -> Totals:
        """Subtract ``other``, which leaves what came after it."""
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
        accepted: How many of ``drafted``, from the left, the target kept, as counted by the engine, cut or not.
        emitted: Ids that reached the output.
        cut: Ids that were verified but came after the end of the request; never part of ``emitted``.
        own: The kind of the last verified id; None if it was cut off.
        cut_reason: What ended the request in this step; None if it continues.
        text: The text of ``emitted`` and ``cut``, one piece per id. An id that only begins a character has an empty
            piece; the id that completes it has the whole character.
        drafted_text: The text of ``drafted``, in the same way.
        batch: Requests that shared the engine step.
        wall_ns: Wall time of the engine step, once for the whole batch.
        clock_ns: The lane clock after the engine step: the sum of the lane's own engine steps.
        draft_ns: The part of ``wall_ns`` spent in the drafter; None if it is not measured.
        verify_ns: The part of ``wall_ns`` spent in the target's forward pass; None if it is not measured.
        disturbed: Whether other programs, or a throttled GPU, held the engine step up.
        totals: Totals of the lane since it was started, including this step, so that figures stay correct even if
            steps are lost on the way; None in older traces.
        before: Output tokens of the request before this step; None in older traces.
        canvas: Positions that a diffusion model denoised in this step; 0 for all other models. Such a step has no draft
            and commits many tokens or none: they are ``emitted``, and ``own`` is None if there are none.
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
    canvas: int = 0

    @property
    def drafted_count(self) -> int:
        """Tokens that the drafter proposed."""
        return len(self.drafted)

    @property
    def emitted_count(self) -> int:
        """Tokens that reached the output."""
        return len(self.emitted)

    @property
    def cut_count(self) -> int:
        """Verified tokens beyond the end of the request."""
        return len(self.cut)

    @property
    def own_totals(self) -> Totals:
        """The totals of this step alone."""
        return NOTHING.after(len(self.drafted), self.accepted, len(self.emitted), len(self.cut))


@dataclass(frozen=True, slots=True)
class Reached:
    """The state of a lane: its clock, and its totals since it was started."""

    lane: str
    clock_ns: int
    totals: Totals


class _Counting(Protocol):
    """A step that says what its lane has counted."""

    @property
    def lane(self) -> str: ...
    @property
    def clock_ns(self) -> int: ...
    @property
    def totals(self) -> Totals | None: ...


@dataclass(frozen=True, slots=True)
class Gap:
    """``lost`` events are missing here.

    At the beginning of a trace, ``clocks`` holds the lane clocks after the missing events. ``reached`` gives, for every
    lane that lost steps, its state after the last of them; lanes whose steps carry no totals are omitted.
    """

    lost: int
    clocks: tuple[tuple[str, int], ...] = ()
    reached: tuple[Reached, ...] = ()

    @classmethod
    def behind(cls, lost: int, last: Iterable[_Counting]) -> Gap:
        """Make the gap for ``lost`` events, given the last lost step of each lane."""
        return cls(lost, reached=tuple(Reached(s.lane, s.clock_ns, s.totals) for s in last if s.totals is not None))


StepEvent: TypeAlias = Step | Gap
