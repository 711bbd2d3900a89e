"""What a comparison of two traces says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

By: TypeAlias = Literal["all", "category", "kind", "position"]
"""What the answers, or their tokens, have in common of which a figure is taken."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that differs.

    Attributes:
        what: What it is.
        a: How it is in A.
        b: How it is in B.
    """

    what: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Change:
    """One figure in both traces.

    Attributes:
        figure: Its name: ``acceptance_length``, ``acceptance_rate``, ``conditional_acceptance``, ``speedup``,
            ``tok_s``, ``step_ms``, ``draft_ms`` or ``verify_ms``.
        by: What it is taken of; ``name`` says which category, kind or position.
        name: Empty for all answers.
        a: The figure in A.
        b: The figure in B.
        relative: Whether the change is the ratio b / a, rather than the difference b - a.
        change: That.
        low: The lower end of its 95 % interval; None if there is too little to tell.
        high: The upper end.
        p: The probability of such a change by chance, adjusted for all figures compared (Holm); None like the interval.
        changed: Whether it is beyond noise.
    """

    figure: str
    by: By
    name: str
    a: float
    b: float
    relative: bool
    change: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    changed: bool = False


@dataclass(frozen=True, slots=True)
class LanePair:
    """A lane of A and the one of B that it is compared with.

    Attributes:
        a: Its name in A.
        b: Its name in B.
        title: The usual spelling of its method.
        answers: Answers to the same prompts that both have.
        same: How many of them have the same tokens in both.
        conversations: Conversations that they belong to.
        k: The K of its steps, such as "3" or "1 to 5"; empty without a drafter.
        changes: Every figure that both have.
        left_out: What was not compared and why, a sentence each.
    """

    a: str
    b: str
    title: str
    answers: int
    same: int
    conversations: int
    k: str
    changes: tuple[Change, ...]
    left_out: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name, or both names."""
        return self.a if self.a == self.b else f"{self.a} = {self.b}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two traces compared.

    Attributes:
        lanes: Every pair of lanes.
        conditions: What differs between the traces beside what was measured.
        notes: What the reader should know, a sentence each.
        comparisons: Figures that were tested for a change.
        level: The probability of any false alarm among them.
    """

    lanes: tuple[LanePair, ...]
    conditions: tuple[Condition, ...]
    notes: tuple[str, ...]
    comparisons: int
    level: float

    @property
    def changed(self) -> tuple[tuple[LanePair, Change], ...]:
        """The changes beyond noise."""
        return tuple((lane, change) for lane in self.lanes for change in lane.changes if change.changed)
