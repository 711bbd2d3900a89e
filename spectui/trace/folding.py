"""Folds a trace up to any place: from the beginning, or from a snapshot of the state that was taken earlier.

Owns the choice of snapshots that are kept. Must not know why a place is visited.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from functools import partial

from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.protocol.events import RequestStarted, TraceEvent
from spectui.trace.growing import FoldedHistory
from spectui.trace.reader import Trace, TraceOffset
from spectui.trace.snapshot import Snapshot

SNAPSHOT_EVENTS = 2048
"""Events between two snapshots of a short trace; doubled whenever there are `MOST_SNAPSHOTS` snapshots."""

MOST_SNAPSHOTS = 512

_NEAR = (1024, 64)
"""How far before a visited place more snapshots are taken, since the next step back needs one of them."""

_MOST_NEAR = 8
"""These extra snapshots are kept only for one stretch between two regular ones."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A place from which folding can continue."""

    place: TraceOffset
    snapshot: Snapshot


class Fold:
    """A state that moves through a trace."""

    def __init__(self, trace: Trace, stop: Stop | None = None) -> None:
        self._trace = trace
        self.reading = trace.read(stop.place if stop else None)
        # The histories must not refer to this fold: such a cycle would keep whole states until the collector runs.
        self._offset = partial(getattr, self.reading, "offset")
        self.state = stop.snapshot.restore(self._offset) if stop else RunState()

    def __enter__(self) -> Fold:
        return self

    def __exit__(self, *error: object) -> None:
        self.reading.close()

    @property
    def number(self) -> int:
        return self.reading.number

    def fold(self, event: TraceEvent) -> None:
        """Fold the event that was just read."""
        try:
            reduce(self.state, event)
        except Exception as error:
            # Lines that are readable by themselves may contradict each other; the rest must still be folded.
            line = self.reading.place.line
            self._trace.problems.add(line, f"contradicts earlier lines ({error}); it counts only in part")
        if type(event) is RequestStarted and (lane := self.state.lanes.get(event.lane)):
            request = lane.round.requests[event.slot]
            request.history = FoldedHistory(self._offset, request.history.limit)

    def go(self, number: int) -> None:
        """Fold up to place ``number``, or to the end."""
        while self.number < number and (found := next(self.reading, None)):
            self.fold(found[1])

    def stop(self) -> Stop:
        return Stop(self.reading.place, Snapshot(self.state))


class Stops:
    """Places from which folding can continue, in order: sparser as a trace gets longer, with some more before the last
    place visited. One thread adds to them while it folds the trace, and another uses them to jump to places."""

    def __init__(self) -> None:
        self.kept: list[Stop] = []
        self._spacing = SNAPSHOT_EVENTS
        self._near: deque[Stop] = deque(maxlen=_MOST_NEAR)
        self._near_to: Stop | None = None

    def pass_by(self, fold: Fold) -> None:
        """Keep a stop, if one is due, of the fold that goes through the whole trace."""
        if not fold.number or fold.number % self._spacing:
            return
        self.kept.append(fold.stop())
        if len(self.kept) > MOST_SNAPSHOTS:
            self._spacing *= 2
            self.kept = [stop for stop in self.kept if not _number_of(stop) % self._spacing]

    def fold(self, trace: Trace, number: int) -> Fold:
        """Return a fold at the last stop that is not after place ``number``."""
        kept = self.kept
        place = bisect_right(kept, number, key=_number_of)
        stop = kept[place - 1] if place else None
        if stop is not self._near_to:
            self._near.clear()
            self._near_to = stop
        near = (stop for stop in self._near if _number_of(stop) <= number)
        return Fold(trace, max(near, key=_number_of, default=stop))

    def approach(self, fold: Fold, number: int) -> None:
        """Fold almost up to place ``number``, keeping stops on the way, since the next step back needs one of them."""
        for before in _NEAR:
            if number - before > fold.number:
                fold.go(number - before)
                self._near.append(fold.stop())


def _number_of(stop: Stop) -> int:
    return stop.place.number
