"""Signs of trouble in a drafting lane, read from its own steps: what is seen, before anybody guesses why.

A sign appears once enough steps speak for it, and goes away only when they speak against it, with a gap in between, so
that it does not flicker. Nothing is judged in a disturbed step, and no disturbed step's time is used. The likely causes
are in `spectui.core.trouble_causes`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from spectui.core.acceptance import Acceptance, AcceptanceCounter
from spectui.core.pace import Pace
from spectui.core.paired import SHOWN, Interval
from spectui.protocol.events import AnyStep, LaneEngine, LaneInfo

Sign: TypeAlias = Literal["vocabulary", "rejected", "cliff", "no gain", "no draft"]
"""The drafter names other tokens than the target; nearly all drafts are rejected; none is accepted beyond some position
in a long context; many are accepted, yet the lane is no faster than AR; nothing is drafted."""

LOOK_EVERY = 16
"""Engine steps between two judgements."""

FAR_STEPS = 1000
"""The last steps in a long context over which a cliff is looked for."""

REJECTED, ACCEPTED = 0.04, 0.08
"""Nearly all drafts are rejected if position 1 is surely accepted less often than the first of these shares, and no
longer if it may be accepted more often than the second. 93 rejections in a row are enough."""

PADDING = 1024
"""Vocabularies whose sizes differ by no more than this may be the same one, padded for different kernels."""

TRANSLATED = 0.2
"""A drafter of which surely more than this share is accepted at position 1 does name the target's tokens."""

LONG_CONTEXT = 2048
"""Tokens of context beyond which a drafter's sliding window, taken for full attention, was seen to fail."""

CLIFFS = (5, 6)
"""Positions at which acceptance was seen to fall to nothing."""

STEADY = 0.3
"""Conditional acceptance at each position before a cliff: below it, acceptance just fades."""

LEAST_STEPS = 64
"""Engine steps before a lane's speed, or a drafter that does not draft, is judged."""

LONG = 1.5
"""Tokens of a request per step from which a lane without gain is surprising; a little less once it is known."""

LONG_STILL = 1.4

NO_GAIN = 0.97
"""Share of AR's speed from which a lane is no faster than AR, if it surely is slower at all."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A sign, with the figures that it was last seen in.

    Attributes:
        sign: Which one.
        count: Steps that speak for it, or tokens of the drafter's vocabulary.
        of: Steps that could have spoken against it, or tokens of the target's vocabulary.
        position: The first position at which nothing is accepted any more.
        speed: The lane's speed as a share of AR's, with its interval.
        tokens: Tokens of a request per step.
        step_ms: Time of an engine step.
        plain_ms: Time of one of AR's.
        draft_ms: Time in the drafter, None if it is not measured.
        verify_ms: Time that the target takes longer for its forward pass than AR's, None if it is not measured.
    """

    sign: Sign
    count: int = 0
    of: int = 0
    position: int = 0
    speed: Interval | None = None
    tokens: float = 0.0
    step_ms: float = 0.0
    plain_ms: float = 0.0
    draft_ms: float | None = None
    verify_ms: float | None = None


@dataclass(slots=True)
class _EngineStep:
    """The engine step whose requests arrive one by one."""

    step: AnyStep
    tokens: int
    first: bool


@dataclass(slots=True)
class TroubleWatch:
    """Folds the steps of one lane.

    Attributes:
        found: The signs that hold, the worst first.
    """

    found: tuple[Trouble, ...] = ()
    _far: AcceptanceCounter = field(default_factory=lambda: AcceptanceCounter(FAR_STEPS))
    _near_steps: int = 0
    _bare: int = 0
    _drafts: int = 0
    _paces: dict[tuple[int, int], Pace] = field(default_factory=dict)
    _open: _EngineStep | None = None
    _looked: int = 0

    def add(self, step: AnyStep, context: int, drafts: int) -> bool:
        """Count one request's share of an engine step; returns whether it is time for `judge`.

        Args:
            step: The share.
            context: Tokens in the request's cache before it.
            drafts: Steps of the lane that had a draft, lost ones included.
        """
        begins = self._open is None or self._open.step.clock_ns != step.clock_ns
        if begins:
            self._close()
            self._open = _EngineStep(step, 0, False)
            self._looked += 1
        assert self._open is not None
        self._open.tokens += step.emitted_count
        self._open.first |= not step.index
        if step.drafted and context > LONG_CONTEXT:
            self._far.add(step.drafted_count, step.accepted)
            self._near_steps = 0
        elif step.drafted:
            self._near_steps += 1
        # The first step of a request reads its prompt and never has a draft.
        self._bare += bool(step.index and step.k)
        if drafts != self._drafts or not step.k:
            self._bare, self._drafts = 0, drafts
        return begins and not step.disturbed and self._looked % LOOK_EVERY == 0

    def _close(self) -> None:
        """Count the time of the last engine step: it counts once for all of its requests."""
        last = self._open
        if last is None or last.first or last.step.disturbed:
            return
        step = last.step
        pace = self._paces.setdefault((step.k, step.batch), Pace())
        pace.add(last.tokens, step.wall_ns, step.draft_ns, step.verify_ns)

    def pace(self, k: int, batch: int) -> Pace:
        """The speed at ``k`` with ``batch`` requests in flight, without first and disturbed steps."""
        return self._paces.get((k, batch), _STANDING)

    def judge(
        self,
        k: int,
        whole: Acceptance,
        recent: Acceptance,
        engine: LaneEngine | None,
        batch: int,
        plain: Pace,
        *,
        disturbed: bool,
    ) -> None:
        """Decide which signs hold.

        Args:
            k: Drafted tokens that are allowed; without any there is nothing to judge.
            whole: Acceptance over everything the lane has done.
            recent: Acceptance over its last steps.
            engine: How its engine computes; None if unknown.
            batch: Requests in flight.
            plain: AR's speed with as many requests; empty if there is no AR lane.
            disturbed: Whether the round's speeds are not those of the machine alone.
        """
        held = {one.sign for one in self.found}
        judged = (
            ()
            if not k
            else (
                _vocabulary(engine, recent),
                _rejected(whole, recent, "rejected" in held),
                _cliff(self._far.read(), "cliff" in held) if self._near_steps < LEAST_STEPS else None,
                None if disturbed else _no_gain(self.pace(k, batch), batch, plain, "no gain" in held),
                Trouble("no draft", self._bare, self._bare) if self._bare >= LEAST_STEPS else None,
            )
        )
        self.found = tuple(one for one in judged if one is not None)


_STANDING = Pace()


def wilson(kept: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927); 0 to 1 if nothing was tried.

    For example, 0 of 100 gives 0 to 0.037, and 60 of 100 gives 0.50 to 0.69.
    """
    if not of:
        return 0.0, 1.0
    share, z2 = kept / of, SHOWN**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = SHOWN / (1 + z2 / of) * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def _first(acceptance: Acceptance) -> tuple[int, int]:
    """How often position 1 was accepted, and how often it was drafted."""
    return (acceptance.kept[0], acceptance.reached[0]) if acceptance.reached else (0, 0)


def _vocabulary(engine: LaneEngine | None, recent: Acceptance) -> Trouble | None:
    """Known as soon as the lane is loaded; taken back if the drafts turn out to be right."""
    if engine is None or engine.vocabulary is None or engine.draft_vocabulary is None:
        return None
    if abs(engine.vocabulary - engine.draft_vocabulary) <= PADDING or wilson(*_first(recent))[0] > TRANSLATED:
        return None
    return Trouble("vocabulary", engine.draft_vocabulary, engine.vocabulary)


def _rejected(whole: Acceptance, recent: Acceptance, held: bool) -> Trouble | None:
    limit = ACCEPTED if held else REJECTED
    kept, of = _first(whole)
    if max(wilson(kept, of)[1], wilson(*_first(recent))[1]) >= limit:
        return None
    return Trouble("rejected", kept, of)


def _cliff(far: Acceptance, held: bool) -> Trouble | None:
    """A position that is hardly ever right although those before it are."""
    limit = ACCEPTED if held else REJECTED
    tried = (far.seen, *(kept - ended for kept, ended in zip(far.kept, far.complete, strict=True)))
    for position in CLIFFS:
        if position > len(far.kept):
            return None
        before = zip(far.kept[: position - 1], tried, strict=False)
        if all(of and kept / of >= STEADY for kept, of in before):
            kept, of = far.kept[position - 1], tried[position - 1]
            if wilson(kept, of)[1] < limit:
                return Trouble("cliff", kept, of, position)
    return None


def _no_gain(pace: Pace, batch: int, plain: Pace, held: bool) -> Trouble | None:
    if min(pace.steps, plain.steps) < LEAST_STEPS:
        return None
    tokens, speed = pace.tokens / pace.steps / batch, pace.ratio(plain)
    if tokens < (LONG_STILL if held else LONG) or speed.mean is None or speed.high is None:
        return None
    if speed.mean >= 1 or (not held and (speed.mean > NO_GAIN or speed.high >= 1)):
        return None
    timed = pace.timed and plain.timed
    return Trouble(
        "no gain",
        tokens=tokens,
        speed=speed,
        step_ms=pace.step_ms,
        plain_ms=plain.step_ms,
        draft_ms=pace.draft_ns / pace.steps / 1e6 if timed else None,
        verify_ms=(pace.verify_ns / pace.steps - plain.verify_ns / plain.steps) / 1e6 if timed else None,
    )


def before_the_first_step(info: LaneInfo, engine: LaneEngine | None) -> tuple[Trouble, ...]:
    """What is known of a lane once it is loaded."""
    known = _vocabulary(engine, AcceptanceCounter().read()) if info.k_max else None
    return () if known is None else (known,)
