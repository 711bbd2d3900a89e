"""Where a greedy lane leaves AR's path."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

NEAR_TIE_MARGIN = 0.25
"""Largest top-2 margin, in nats, at which bf16 reduction order was seen to flip the target's choice."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """``position`` counts output tokens from 0; ``margin`` is the target's top-2 margin there, None until measured."""

    position: int
    margin: float | None = None

    @property
    def near_tie(self) -> bool | None:
        """Whether rounding explains it; None while the margin is unknown."""
        return None if self.margin is None else self.margin <= NEAR_TIE_MARGIN


class Comparison:
    """Compares the output ids of one request in two lanes as both grow; finds the first difference.

    Each id is looked at once, however the two streams interleave.
    """

    def __init__(self, reference: array[int], candidate: array[int]) -> None:
        self._reference = reference
        self._candidate = candidate
        self.equal = 0
        """Length of the common prefix found so far."""
        self.position: int | None = None
        """Output position of the first difference, None while there is none."""

    def update(self) -> int | None:
        """Look at what has come since the last call; returns `position`."""
        if self.position is None:
            common = min(len(self._reference), len(self._candidate))
            while self.equal < common:
                if self._reference[self.equal] != self._candidate[self.equal]:
                    self.position = self.equal
                    break
                self.equal += 1
        return self.position
