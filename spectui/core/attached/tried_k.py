"""What a search on a server's own traffic knows about the steps of one K."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from spectui.core.acceptance import AcceptanceCounter
from spectui.core.paired import Interval
from spectui.protocol.tuning import KFigure


@dataclass(slots=True)
class TriedK:
    """Sums over the engine steps at one K.

    Attributes:
        steps: Engine steps.
        acceptance: Acceptance of the drafts in them.
    """

    steps: int = 0
    acceptance: AcceptanceCounter = field(default_factory=AcceptanceCounter)
    _wall_ns: int = 0
    _draft_ns: int | None = 0
    _verify_ns: int | None = 0
    _later: int = 0

    def add(
        self, wall_ns: int, draft_ns: int | None, verify_ns: int | None, rows: Iterable[tuple[int, int, int]]
    ) -> None:
        """Count an engine step; ``rows`` has the step's number in its request, drafted and accepted tokens of each."""
        self.steps += 1
        self._wall_ns += wall_ns
        self._draft_ns = None if self._draft_ns is None or draft_ns is None else self._draft_ns + draft_ns
        self._verify_ns = None if self._verify_ns is None or verify_ns is None else self._verify_ns + verify_ns
        for index, drafted, accepted in rows:
            self._later += index > 0
            self.acceptance.add(drafted, accepted)

    def figure(self, k: int, *, running: bool, throughput: Interval, over_zero: float | None) -> KFigure:
        """The figures of this K, with what the search says of its throughput."""
        found = self.acceptance.read()
        return KFigure(
            k=k,
            running=running,
            tok_s=throughput.mean,
            low=throughput.low,
            high=throughput.high,
            speed_up=over_zero,
            length=found.length,
            by_position=found.by_position,
            draft_s=self._mean(self._draft_ns),
            verify_s=self._mean(self._verify_ns),
            step_s=self._mean(self._wall_ns),
            estimate_tok_s=None,
            drafting=min(1.0, found.steps / self._later) if k and self._later else None,
        )

    def _mean(self, ns: int | None) -> float | None:
        return ns / self.steps / 1e9 if ns is not None and self.steps else None
