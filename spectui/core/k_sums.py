"""Adds up the steps at one K: their time, their tokens and their drafts."""

from __future__ import annotations

from dataclasses import dataclass, field

from spectui.core.acceptance import AcceptanceCounter
from spectui.core.cost import Drafts, Observed, StepTime
from spectui.protocol.events import AnyStep


@dataclass(slots=True)
class _Times:
    """Total times of engine steps, in nanoseconds."""

    steps: int = 0
    wall: int = 0
    draft: int = 0
    verify: int = 0

    def add(self, other: _Times, sign: int = 1) -> None:
        self.steps += sign * other.steps
        self.wall += sign * other.wall
        self.draft += sign * other.draft
        self.verify += sign * other.verify

    def mean(self, timed: bool) -> StepTime:
        draft, verify = (self.draft, self.verify) if timed else (0, 0)
        return StepTime(*(ns / 1e9 / max(1, self.steps) for ns in (draft, verify, self.wall - draft - verify)))


@dataclass(slots=True)
class KSums:
    """Sums over the steps at one K.

    Attributes:
        requests: Steps of single requests; requests that share an engine step count once each.
        tokens: Tokens that these steps emitted.
        timed: Whether the draft and verify times of every step are known.
        acceptance: Acceptance of the drafts among them.
    """

    requests: int = 0
    tokens: int = 0
    timed: bool = True
    acceptance: AcceptanceCounter = field(default_factory=AcceptanceCounter)
    _later: int = 0
    _drafting: _Times = field(default_factory=_Times)
    _bare: _Times = field(default_factory=_Times)
    _last: _Times = field(default_factory=_Times)
    _last_bare: bool = False

    def add(self, step: AnyStep, time_ns: int | None) -> None:
        """Count one request's share of an engine step.

        Args:
            step: The share.
            time_ns: Duration of the engine step; None if an earlier share of the same step already counted it.
        """
        self.requests += 1
        self._later += step.index > 0
        self.tokens += step.emitted_count
        self.acceptance.add(step.drafted_count, step.accepted)
        self.timed &= step.verify_ns is not None
        if time_ns is not None:
            self._last = _Times(1, time_ns, step.draft_ns or 0, step.verify_ns or 0)
            self._last_bare = not step.drafted
            (self._bare if self._last_bare else self._drafting).add(self._last)
        elif self._last_bare and step.drafted:
            # A single request with a draft makes the whole engine step a step with a draft.
            self._bare.add(self._last, -1)
            self._drafting.add(self._last)
            self._last_bare = False

    def include(self, other: KSums) -> None:
        """Add the sums of ``other``."""
        self.requests += other.requests
        self.tokens += other.tokens
        self.timed &= other.timed
        self.acceptance.include(other.acceptance)
        self._later += other._later
        self._drafting.add(other._drafting)
        self._bare.add(other._bare)

    @property
    def steps(self) -> int:
        """Number of engine steps."""
        return self._drafting.steps + self._bare.steps

    @property
    def time(self) -> StepTime:
        """Mean time of an engine step; 0 if there are none."""
        both = _Times()
        both.add(self._drafting)
        both.add(self._bare)
        return both.mean(self.timed)

    @property
    def tok_s(self) -> float:
        """Emitted tokens divided by the time of the steps."""
        return self.tokens / (self._drafting.wall + self._bare.wall) * 1e9

    @property
    def drafting(self) -> float | None:
        """Share of the requests' steps that had a draft, without first steps, which never have one; None if there are
        no others."""
        return min(1.0, self.acceptance.read().steps / self._later) if self._later else None

    def observed(self, k: int) -> Observed:
        """The step times, in the form that the cost model takes."""
        if not k:
            return Observed(0, self.steps, self.time)
        drafting, bare = self._drafting, self._bare
        return Observed(k, drafting.steps, drafting.mean(self.timed), bare.steps, bare.mean(self.timed))

    def drafts(self, k: int) -> Drafts:
        """The drafting results, in the form that the cost model takes."""
        found, requests = self.acceptance.read(), max(1, self.requests)
        return Drafts(k, found.steps / requests, tuple(kept / requests for kept in found.kept))
