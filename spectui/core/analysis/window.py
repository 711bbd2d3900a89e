"""The columns of a run that may go on for days: its last rounds, in bounded memory.

The next window is filled beside the one that is full by half, so that an analysis always covers at least half of what
may be kept, once there are as many steps. Windows begin with a round, so that no answer is cut; of servers, whose
round never ends, with a request.
"""

from __future__ import annotations

from spectui.core.analysis.columns import Columns
from spectui.protocol.events import (
    CountedStep,
    KChanged,
    RequestStarted,
    RoundStarted,
    RunStarted,
    ServerSeen,
    Step,
    TraceEvent,
)

MOST_STEPS = 1_000_000
"""Steps of a full window: some 100 MB, and half as much again for the next one."""


class Window:
    """Folds the events of a run.

    Attributes:
        columns: What is kept.
        steps: Steps that were folded.
        dropped: Steps among them that are no longer kept, the oldest ones.
    """

    def __init__(self, most: int = MOST_STEPS) -> None:
        self.columns = Columns()
        self.steps = 0
        self.dropped = 0
        self._most = most
        self._next: Columns | None = None
        self._next_begins = 0
        self._run: RunStarted | None = None
        self._round: RoundStarted | None = None
        self._ks: dict[str, KChanged] = {}
        self._seen: dict[str, ServerSeen] = {}

    def add(self, event: TraceEvent) -> None:
        """Fold one event."""
        if type(event) is Step or type(event) is CountedStep:
            self.steps += 1
        elif isinstance(event, RoundStarted):
            self._round = None
            self._turn()
            self._round = event
        elif isinstance(event, RequestStarted):
            if self._run is not None and self._run.attached:
                self._turn()
        elif isinstance(event, RunStarted):
            self._run = event
            self._ks.clear()
            self._seen.clear()
        elif isinstance(event, ServerSeen):
            self._seen[event.lane] = event
        elif isinstance(event, KChanged):
            self._ks[event.lane] = event
        self.columns.add(event)
        if self._next is not None:
            self._next.add(event)

    def _turn(self) -> None:
        """A window may begin: move to the next window if this one is full, and begin the one after it."""
        kept = self.steps - self.dropped
        if self._next is not None and kept >= self._most:
            self.columns, self.dropped, self._next = self._next, self._next_begins, None
            kept = self.steps - self.dropped
        if self._next is None and 2 * kept >= self._most:
            self._next, self._next_begins = Columns(), self.steps
            if self._run is not None:
                self._next.add(self._run)
            self._next.add_all(self._seen.values())
            self._next.add_all(self._ks.values())
            if self._round is not None:
                self._next.add(self._round)
