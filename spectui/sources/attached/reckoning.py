"""Sums that a server counts since it began, counted from the moment at which the viewer attached instead."""

from __future__ import annotations

from spectui.protocol.events import NOTHING, Gap, Reached, Totals
from spectui.sources.attached.sense import following

MOST_REACHED = 2**60
"""What the sums of many sessions may reach, so that they fit into a trace."""


class Reckoning:
    """The totals and the clock of one endpoint, which go on when its server is started again.

    Attributes:
        totals: Since the viewer attached.
        clock_ns: Likewise.
        began: Whether the sums of the server's current session are known.
    """

    def __init__(self, lane: str) -> None:
        self._lane = lane
        self.totals = NOTHING
        self.clock_ns = 0
        self.began = False
        self._first = True
        self._known = NOTHING
        self._known_clock_ns = 0

    def forget(self) -> None:
        """The server has begun anew: what it counts is not known yet."""
        self.began = False

    def fits(self, totals: Totals, clock_ns: int) -> bool:
        """Whether there is room for the sums of a session."""
        return max(*self.totals.plus(totals), self.clock_ns + clock_ns) <= MOST_REACHED

    def clock_after(self, clock_ns: int) -> int:
        """The clock since the attachment at the server's ``clock_ns``."""
        return self.clock_ns + clock_ns - self._known_clock_ns

    def begin(self, totals: Totals, clock_ns: int, *, older: bool) -> Gap | None:
        """Take the first sums of a session.

        Args:
            totals: The server's totals.
            clock_ns: Its clock.
            older: Whether the session had begun before the last one was lost from sight.

        Returns:
            What is missing between the two sessions; None for the first session.
        """
        self.began = True
        self._known, self._known_clock_ns = (totals, clock_ns) if self._first or older else (NOTHING, 0)
        if self._first:
            self._first = False
            return None
        missing = totals.minus(self._known)
        self._reach(totals, clock_ns)
        # How the last session ended was not seen either, whether or not anything happened in it.
        return Gap(missing.steps + 1, reached=(self.reached,))

    def missing(self, totals: Totals, clock_ns: int, own: Totals = NOTHING) -> Totals | None:
        """What happened between the last known sums and these, apart from ``own``; None if they make no sense."""
        before = totals.minus(own)
        if clock_ns < self._known_clock_ns or min(before) < 0 or not following(self._known, before):
            return None
        return before.minus(self._known) if self.fits(totals, clock_ns) else None

    def skip(self, missing: Totals, clock_ns: int) -> Gap | None:
        """Count what was not seen, up to the server's ``clock_ns``; None if nothing was missed."""
        self._reach(self._known.plus(missing), max(clock_ns, self._known_clock_ns))
        return Gap(missing.steps, reached=(self.reached,)) if missing.steps else None

    def follow(self, totals: Totals, clock_ns: int) -> None:
        """Count a step that was seen."""
        self._reach(totals, clock_ns)

    @property
    def reached(self) -> Reached:
        """Where the lane stands."""
        return Reached(self._lane, self.clock_ns, self.totals)

    def _reach(self, totals: Totals, clock_ns: int) -> None:
        self.totals = self.totals.plus(totals.minus(self._known))
        self.clock_ns = self.clock_after(clock_ns)
        self._known, self._known_clock_ns = totals, clock_ns
