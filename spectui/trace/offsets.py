"""Notes about the places of a trace: a table of offsets, and marks. There are many of them, so each must be small."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from spectui.trace.reader import TraceOffset


@dataclass(frozen=True, slots=True)
class Marks:
    """Event numbers of what a timeline shows, in order."""

    rounds: array[int] = field(default_factory=lambda: array("Q"))
    ends: array[int] = field(default_factory=lambda: array("Q"))
    """A request ended."""
    k_changes: array[int] = field(default_factory=lambda: array("Q"))
    divergences: array[int] = field(default_factory=lambda: array("Q"))
    """A greedy lane left AR's path."""
    parents: dict[int, int] = field(default_factory=dict)
    """By where a forked round begins: where its parent begins."""

    def rounds_at(self, number: int) -> int:
        """Return the number of rounds that have begun at that place."""
        return bisect_right(self.rounds, number)

    def round_at(self, number: int) -> int:
        """Return where the round at that place begins; before the first round, the beginning of the trace."""
        begun = self.rounds_at(number)
        return self.rounds[begun - 1] if begun else 0

    def round_before(self, number: int) -> int:
        """Return where the round before that one begins; the beginning of the trace if there is none."""
        begun = self.rounds_at(number)
        return self.rounds[begun - 2] if begun > 1 else 0

    def round_after(self, number: int) -> int | None:
        """Return where the next round begins; None if none is known."""
        begun = self.rounds_at(number)
        return self.rounds[begun] if begun < len(self.rounds) else None


class OffsetTable:
    """Offsets, times and sums of some places, in order; the sums count from the beginning of the trace.

    A row is complete, and other threads may read it, once its number is there.
    """

    def __init__(self) -> None:
        self.offset, self.line, self.time_ns, self.lane_ns = (array("Q") for _ in range(4))
        self.steps, self.drafted, self.accepted = (array("Q") for _ in range(3))
        self.number = array("Q")

    def append(self, place: TraceOffset, lane_ns: int, counts: Sequence[int]) -> None:
        row = (place.offset, place.line, place.time_ns, lane_ns, *counts, place.number)
        for column, value in zip(vars(self).values(), row, strict=True):
            column.append(value)

    def every(self, spacing: int) -> OffsetTable:
        """Return the rows whose numbers are multiples of ``spacing``."""
        table = OffsetTable()
        kept = [row for row, number in enumerate(self.number) if not number % spacing]
        for name, column in vars(self).items():
            setattr(table, name, array("Q", [column[row] for row in kept]))
        return table

    def place(self, row: int) -> TraceOffset:
        return TraceOffset(self.number[row], self.offset[row], self.line[row], self.time_ns[row])

    def before(self, column: array[int], value: int) -> int:
        """Return the last row whose ``column`` is below ``value``; the first one if there is none."""
        return max(0, bisect_left(column, value, hi=len(self.number)) - 1)
