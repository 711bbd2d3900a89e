"""Do the lanes sample from the target's distribution? What the tests of each lane found, and the verdict on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from spectui.core.lossless.significance import DraftTest, TokenTest

SAMPLES = 600
"""Answers that each lane samples unless told otherwise."""

ALARMS = 0.004
"""False alarms of a whole run at most, shared evenly by its tests (Bonferroni)."""

Verdict: TypeAlias = Literal["passes", "fails", "undecided"]


def level(lanes: int) -> float:
    """The p below which one of the two tests of one of so many lanes fails."""
    return ALARMS / (2 * max(1, lanes))


@dataclass(frozen=True, slots=True)
class LaneDistribution:
    """What the tests of one lane found.

    Attributes:
        lane: Its name.
        title: Its name for readers.
        control: Whether it is AR, whose likeliest tokens stand for drafts.
        samples: Answers sampled.
        level: The p below which a test fails.
        rounding: Variance of a token's log-odds between the lane's steps and AR's pass over a whole text, as measured.
        tokens: The test of what was sampled; None if it could not be made.
        drafts: The test of what was accepted; None if it could not be made.
        why: Why a test could not be made, as a sentence; empty if both could.
    """

    lane: str
    title: str
    control: bool
    samples: int
    level: float
    rounding: float
    tokens: TokenTest | None = None
    drafts: DraftTest | None = None
    why: str = ""

    @property
    def apart(self) -> bool:
        """Whether a test found a difference."""
        return any(test.p < self.level for test in (self.tokens, self.drafts) if test is not None)

    @property
    def tested(self) -> bool:
        """Whether any test could be made."""
        return self.tokens is not None or self.drafts is not None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LaneDistribution:
        """The reverse of `dataclasses.asdict`, also after a way through JSON."""
        tokens = None if data["tokens"] is None else TokenTest(**data["tokens"])
        drafts = None if data["drafts"] is None else DraftTest(**data["drafts"])
        return cls(**{**data, "tokens": tokens, "drafts": drafts})


@dataclass(frozen=True, slots=True)
class DistributionCheck:
    """The distribution test of a run.

    Attributes:
        lanes: AR first, then the lanes in the order of the run.
        temperature: How was sampled.
        top_p: How was sampled.
        top_k: How was sampled.
        prompts: Prompts sampled from.
        concurrency: Requests in flight.
    """

    lanes: tuple[LaneDistribution, ...]
    temperature: float
    top_p: float
    top_k: int
    prompts: int
    concurrency: int

    @property
    def judged(self) -> bool:
        """Whether AR samples from its own probabilities, so that others can be blamed if they do not."""
        return not any(lane.apart for lane in self.lanes if lane.control)

    def verdict(self, lane: LaneDistribution) -> Verdict:
        """The verdict on a lane of this run."""
        if lane.control:
            return "undecided" if lane.apart or not lane.tested else "passes"
        if not self.judged or not lane.tested:
            return "undecided"
        return "fails" if lane.apart else "passes"

    @property
    def failed(self) -> bool:
        """Whether any lane samples from another distribution: the run must not end with exit code 0."""
        return any(self.verdict(lane) == "fails" for lane in self.lanes)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DistributionCheck:
        """The reverse of `dataclasses.asdict`, also after a way through JSON."""
        return cls(**{**data, "lanes": tuple(map(LaneDistribution.from_dict, data["lanes"]))})
