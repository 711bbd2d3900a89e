"""Finds where a greedy lane leaves AR's path."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Literal, TypeAlias

from spectui.protocol.events import FinishReason

NEAR_TIE_MARGIN = 0.25
"""The largest top-2 margin, in nats, at which bf16 reduction order was seen to flip the target's choice."""


How: TypeAlias = Literal["token", "early", "late"]
"""How a lane left AR's path: with a different token, by ending where AR went on, or by going on where AR had ended."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first place where a lane's output differs from AR's.

    Attributes:
        position: Output position, counted from 0, of the first different token, or of the first one that only one of
            the two outputs has.
        margin: The target's top-2 margin there. None until it is measured, and None where only the end differs: an end
            follows from the tokens and the limits, so no near tie explains it.
        how: How the lane left AR's path.
    """

    position: int
    margin: float | None = None
    how: How = "token"

    @property
    def near_tie(self) -> bool | None:
        """Whether rounding explains the difference; None while the margin is unknown."""
        if self.how != "token":
            return False
        return None if self.margin is None else self.margin <= NEAR_TIE_MARGIN


def whole(finished: FinishReason | None) -> bool:
    """Whether an answer came to its own end, rather than being unfinished, aborted or failed."""
    return finished in ("eos", "stop", "length")


class Comparison:
    """Compares the output ids of one request in two lanes as both grow, and finds the first difference.

    An answer that has ended differs from one that goes on after that point. Two ended answers, as at ``max_tokens``,
    are equal if they have the same length. Each id is compared once, however the two interleave.

    Worked example: AR says 5, 6, 7 and ends. A lane that says 5, 6 and goes on is equal so far. If it ends there, it
    has left AR's path at position 2, early; if it says 5, 6, 7, 8, it has left it at position 3, late.
    """

    def __init__(self, reference: array[int], candidate: array[int]) -> None:
        self._reference = reference
        self._candidate = candidate
        self.equal = 0
        """Length of the common prefix found so far."""
        self.position: int | None = None
        """Output position of the first difference, None while there is none."""
        self.how: How = "token"

    def update(self, reference_ended: bool = False, candidate_ended: bool = False) -> int | None:
        """Compare what has arrived since the last call; returns `position`.

        Args:
            reference_ended: Whether the reference is `whole`.
            candidate_ended: Whether the candidate is `whole`.
        """
        if self.position is not None:
            return self.position
        said, saying = len(self._reference), len(self._candidate)
        common = min(said, saying)
        while self.equal < common:
            if self._reference[self.equal] != self._candidate[self.equal]:
                self.position = self.equal
                return self.position
            self.equal += 1
        if candidate_ended and saying < said:
            self.position, self.how = common, "early"
        elif reference_ended and said < saying:
            self.position, self.how = common, "late"
        return self.position
