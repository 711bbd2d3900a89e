"""What a lane's steps add up to, over a round or over the whole run."""

from __future__ import annotations

from dataclasses import dataclass

from spectui.protocol.events import NOTHING, Totals


@dataclass(slots=True)
class Sums:
    """Sums of a lane's steps.

    Attributes:
        start_ns: The lane clock at the start.
        clock_ns: The lane clock at the end.
        totals: Counts of every known step, seen or not.
        lost: Known steps that were not seen.
        unsure: Whether there are further steps of which nothing is known.
        stepped_ns: Time of the engine steps that were seen.
        disturbed_ns: The part of ``stepped_ns`` that was disturbed.
    """

    start_ns: int = 0
    clock_ns: int = 0
    totals: Totals = NOTHING
    lost: int = 0
    unsure: bool = False
    stepped_ns: int = 0
    disturbed_ns: int = 0

    def add_time(self, wall_ns: int, *, disturbed: bool) -> None:
        """Count the time of an engine step, once for all requests that share it."""
        self.stepped_ns += wall_ns
        self.disturbed_ns += wall_ns if disturbed else 0

    @property
    def elapsed_ns(self) -> int:
        """Lane time from start to end."""
        return self.clock_ns - self.start_ns

    @property
    def gap(self) -> bool:
        """Whether steps are missing."""
        return self.unsure or self.lost > 0

    @property
    def disturbed_share(self) -> float | None:
        """Share of the seen steps' time that was disturbed; None if no step was seen."""
        return self.disturbed_ns / self.stepped_ns if self.stepped_ns else None
