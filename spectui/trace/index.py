"""Gives quick access to any place in a trace: states, events, times and marks by event number.

Owns the index of a trace, which is built on its own thread while the trace is already shown, and the way back to
earlier places. Must not know who asks, or how fast a trace is played. Places are *event numbers*: number 0 is before
the first event, number n is after n events have been folded.

One pass over the trace notes the offsets of events in rows and takes a snapshot of the state every few thousand events.
Jumping to a place restores the snapshot before it and folds the events in between, with the same reducer as the first
time, so that it shows exactly what was shown when playing forward. Rows and snapshots get sparser as a trace gets
longer, so that their memory is bounded.
"""

from __future__ import annotations

import logging
import threading
import time
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import pairwise

from spectui.core.state import RunState
from spectui.protocol.events import (
    CountedStep,
    CounterSample,
    Inspected,
    KChanged,
    RequestFinished,
    RoundStarted,
    RunStarted,
    Step,
    TraceEvent,
)
from spectui.trace.folding import Fold, Stops
from spectui.trace.growing import FoldedHistory, RecalledHistory
from spectui.trace.offsets import Marks, OffsetTable
from spectui.trace.reader import Reading, Trace, TraceError
from spectui.trace.snapshot import requests

logger = logging.getLogger(__name__)

ROW_EVENTS = 4
"""Events between two rows of a short trace; doubled whenever there are `MOST_ROWS` rows."""

MOST_NS = 2**63 - 1
"""Lane time beyond this is ignored: clocks in damaged lines must not overflow the columns of numbers."""

STEPS = (Step, CountedStep, CounterSample)
"""What playback goes through step by step: where a server gives only counters, these are all there is."""

MOST_ROWS = 16_384
BREATH_EVENTS = 24
"""Events after which the index lets other threads run, about a millisecond of work."""


def _let_others_run() -> None:
    time.sleep(0)


class Timeline:
    """The index of one trace. It grows from the front; places after `known` cannot be reached yet.

    Its thread only ever adds to its data or replaces it, so that another thread, one at a time, may use it meanwhile.

    Args:
        trace: An open trace.
        breathe: Called on the index's thread every few milliseconds, to let other threads have the processor.
    """

    def __init__(self, trace: Trace, breathe: Callable[[], None] = _let_others_run) -> None:
        self._trace = trace
        self.breathe = breathe
        self._thread = threading.Thread(target=self._run, name="trace index", daemon=True)
        self._cancelled = threading.Event()
        self._table = OffsetTable()
        self._row_spacing = ROW_EVENTS
        self._stops = Stops()
        self._round_ns, self._round_number = array("Q"), array("Q")
        self._rounds: dict[int, int] = {}
        self._read = 0
        self._inspections: dict[tuple[int, str, int, int], int] = {}
        self.marks = Marks()
        self.known = 0
        """The number of events that can be reached."""
        self.complete = False
        """Whether these are all events of the trace."""
        self.lane_ns = 0
        """Lane time at the last event that is known."""
        self.fault = ""
        """One sentence that says why the trace could not be read to its end."""

    def start(self) -> None:
        """Start building the index, on its own thread."""
        self._thread.start()

    def cancel(self) -> None:
        """Stop building the index; the part that exists remains usable."""
        self._cancelled.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the index no longer grows; False if it still does after ``timeout_s``."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def settled(self) -> bool:
        """Whether the index no longer grows, be it complete or not."""
        return self.complete or (self._thread.ident is not None and not self._thread.is_alive())

    @property
    def steps(self) -> int:
        """Steps of all lanes together in the known part; see `STEPS`."""
        return self._table.steps[-1] if self.known else 0

    def complaints(self) -> list[str]:
        """One sentence about each kind of problem found in the part that was read."""
        return [*self._trace.complaints(), *([self.fault] if self.fault else [])]

    @property
    def progress(self) -> float:
        """The share of the file that is known, from 0 to 1."""
        return 1.0 if self.complete else min(1.0, self._read / self._trace.size)

    def state_at(self, number: int) -> RunState:
        """Return the state after ``number`` events: a new object, which the caller may fold further.

        Raises:
            ValueError: Fewer than ``number`` events are known.
            TraceError: The file can no longer be read.
        """
        if not 0 <= number <= self.known:
            raise ValueError(f"event {number} is not among the {self.known} known events")
        with self._stops.fold(self._trace, number) as fold:
            self._stops.approach(fold, number)
            fold.go(number)
        for request in requests(fold.state):
            if isinstance(request.history, FoldedHistory):
                request.history = RecalledHistory(self._trace.events_at, request.history.places())
        return fold.state

    def inspection(self, number: int, lane: str, slot: int, index: int) -> Inspected | None:
        """Return the target's verdict on a step of the round at ``number``, if it was asked during recording."""
        offset = self._inspections.get((self.marks.rounds_at(number), lane, slot, index))
        found = [] if offset is None else self._trace.events_at([offset])
        return found[0] if found and isinstance(found[0], Inspected) else None

    def events(self, number: int) -> Iterator[tuple[int, TraceEvent]]:
        """Iterate over the events after that place, with their times."""
        with closing(self._reading(number)) as reading:
            yield from reading

    def at_step(self, steps: int) -> int:
        """Return the place where all lanes together have taken ``steps`` steps."""
        table = self._table
        row = table.before(table.steps, steps)
        number = self._number(table, row)
        left = steps - (table.steps[row] if number else 0)
        with closing(self._reading(number)) as reading:
            while left > 0 and number < self.known and (found := next(reading, None)):
                number += 1
                left -= type(found[1]) in STEPS
        return number

    def at_lane_time(self, lane_ns: int) -> int:
        """Return the place where the race reaches that lane time."""
        table = self._table
        row = table.before(table.lane_ns, lane_ns)
        number = self._number(table, row)
        with self._stops.fold(self._trace, number) as fold:
            fold.go(number)
            while self.lane_time(fold.number, fold.state) < lane_ns and fold.number < self.known:
                fold.go(fold.number + 1)
            return fold.number

    def lane_time(self, number: int, state: RunState) -> int:
        """Return the lane time at ``number``, given its state: that of the lane furthest ahead, over all rounds."""
        rounds = bisect_right(self._round_number, number)
        return min(MOST_NS, _furthest_ns(state) + (self._round_ns[rounds - 1] if rounds else 0))

    def step_before(self, number: int) -> int:
        """Return the place before the last step up to ``number``; the beginning if there is none."""
        table = self._table
        row = self._row(table, number)
        step = self._last_step(self._number(table, row), number)
        if step is None and row:
            row = table.before(table.steps, table.steps[row])
            step = self._last_step(self._number(table, row), self._number(table, row + 1))
        return step or 0

    def _last_step(self, first: int, behind: int) -> int | None:
        """Return the place before the last step between two places; None if there is none."""
        last = None
        with closing(self._reading(first)) as reading:
            while reading.number < behind and (found := next(reading, None)):
                if type(found[1]) in STEPS:
                    last = reading.number - 1
        return last

    def rejections(self, buckets: int) -> tuple[float | None, ...]:
        """Return the share of drafted tokens that were rejected, for equal parts of the known trace; None for a part
        without drafted tokens."""
        table = self._table
        edges = [self._row(table, part * self.known // buckets) for part in range(buckets + 1)]
        shares: list[float | None] = []
        for first, last in pairwise(edges):
            drafted = table.drafted[last] - table.drafted[first] if last else 0
            accepted = table.accepted[last] - table.accepted[first] if last else 0
            shares.append(1 - accepted / drafted if drafted else None)
        return tuple(shares)

    def _reading(self, number: int) -> Reading:
        """Open the trace at that place, or at the end of the known part."""
        number = min(number, self.known)
        table = self._table
        row = self._row(table, number)
        reading = self._trace.read(table.place(row) if row else None)
        while reading.number < number and next(reading, None):
            pass
        return reading

    def _row(self, table: OffsetTable, number: int) -> int:
        """Return the last row that is not after that place."""
        return table.before(table.number, number + 1)

    def _number(self, table: OffsetTable, row: int) -> int:
        return table.number[row] if row else 0

    def _run(self) -> None:
        try:
            with Fold(self._trace) as fold:
                self._pass(fold)
        except TraceError as error:
            self.fault = str(error)
        except Exception as error:
            logger.exception("the index ended at event %d", self.known)
            self.fault = f"the rest of the trace could not be read: {error}; the log has the details"

    def _pass(self, fold: Fold) -> None:
        counts = [0, 0, 0]
        self._note(fold, counts)
        for _, event in fold.reading:
            if type(event) is RoundStarted or type(event) is RunStarted:
                self._round_ns.append(self.lane_time(fold.number - 1, fold.state))
                self._round_number.append(fold.number)
            together = fold.state.divergences
            fold.fold(event)
            if fold.state.divergences != together:
                self.marks.divergences.append(fold.number)
            self._count(event, fold.reading, counts, attached=fold.state.servers is not None)
            if not fold.number % self._row_spacing:
                self._note(fold, counts)
            if not fold.number % BREATH_EVENTS:
                self.breathe()
                if self._cancelled.is_set():
                    return
        self._note(fold, counts)
        self.complete = True

    def _count(self, event: TraceEvent, reading: Reading, counts: list[int], *, attached: bool) -> None:
        """Count steps and drafted and accepted tokens, and mark what a timeline shows or a replay may need."""
        number = reading.number
        match event:
            case Step() | CountedStep():
                counts[0] += 1
                counts[1] += event.drafted_count
                counts[2] += event.accepted
            case CounterSample():
                counts[0] += 1
            case RoundStarted(parent=parent):
                self.marks.rounds.append(number)
                if parent is not None and (begins := self._rounds.get(parent.round)) is not None:
                    self.marks.parents[number] = begins
                self._rounds[event.round] = number
            case RequestFinished():
                # The requests of a server end all the time.
                if not attached:
                    self.marks.ends.append(number)
            case KChanged():
                self.marks.k_changes.append(number)
            case Inspected(lane, slot, index, places) if places:
                self._inspections[self.marks.rounds_at(number), lane, slot, index] = reading.offset

    def _note(self, fold: Fold, counts: Sequence[int]) -> None:
        """Make the place that has been reached known."""
        place = fold.reading.place
        self._read = place.offset
        self.lane_ns = self.lane_time(place.number, fold.state)
        self._table.append(place, self.lane_ns, counts)
        if len(self._table.number) > MOST_ROWS:
            self._row_spacing *= 2
            self._table = self._table.every(self._row_spacing)
        self._stops.pass_by(fold)
        self.known = place.number


def _furthest_ns(state: RunState) -> int:
    return max((max(0, lane.elapsed_ns) for lane in state.lanes.values()), default=0)
