"""The order in which cases are measured: in turn, A B C, C B A, ..., so that a drift of the machine's speed affects all
of them alike."""

from __future__ import annotations


class Turns:
    """Says which case comes next, and whether a turn counts.

    Every other turn runs in reverse order, so that no case always follows the same neighbour. A turn that other
    programs disturbed is run again, as long as the repeats do not more than double the work.

    Attributes:
        turn: The number of the current turn; negative for turns of the warm-up, which do not count.
        repeated: Turns that were disturbed and run again.
        disturbed: Turns that were disturbed but count all the same, because no more repeats were allowed.
    """

    def __init__(
        self, cases: int, repetitions: int, *, warm_up: int = 1, done: int = 0, repeats: int | None = None
    ) -> None:
        """Prepare.

        Args:
            cases: How many cases take turns.
            repetitions: Turns that count.
            warm_up: Turns before them that do not.
            done: Turns that count already, from an earlier run.
            repeats: Disturbed turns that may be run again; None for as many as there are repetitions.
        """
        self._repeats = repetitions if repeats is None else repeats
        self._cases = cases
        self._repetitions = repetitions
        self._place = 0
        self._held_up = False
        self.turn = done - warm_up
        self._first = done
        self.repeated = 0
        self.disturbed = 0

    @property
    def warming_up(self) -> bool:
        """Whether the current turn does not count."""
        return self.turn < self._first

    @property
    def case(self) -> int | None:
        """The number of the case that runs next; None once all turns have been taken."""
        if self.turn >= self._repetitions or not self._cases or self._first >= self._repetitions:
            return None
        return self._place if self.turn % 2 == 0 else self._cases - 1 - self._place

    def ran(self, disturbed: bool) -> bool | None:
        """Note that the case has run; returns whether its turn counts if that ended it, else None."""
        self._held_up |= disturbed
        self._place += 1
        if self._place < self._cases:
            return None
        held_up, self._place, self._held_up = self._held_up, 0, False
        if self.warming_up:
            self.turn += 1
            return False
        if held_up and self.repeated < self._repeats:
            self.repeated += 1
            return False
        self.disturbed += held_up
        self.turn += 1
        return True
