"""Carries events from the source's thread to the screen's: bounded, non-blocking, and reporting everything it drops."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from spectui.protocol.events import AnyStep, Event, Gap


class Mailbox:
    """Holds events until the screen drains them. Any thread may emit and one thread drains, without waiting.

    Once ``capacity`` events are waiting, further steps are dropped and counted, and a `Gap` takes their place. It says
    where the lanes stood after them, so that no figure silently loses a part. Events that change the state of the run
    (a round began, a request ended, a lane failed) are rare and always get through: without them the screen would be
    wrong, not merely incomplete.
    """

    def __init__(self, capacity: int = 65_536) -> None:
        self._events: deque[Event] = deque()
        self._capacity = capacity
        self._gap = threading.Lock()
        self._open_gap = 0
        self._last_lost: dict[str, AnyStep] = {}
        self.dropped = 0
        """Steps dropped since the start."""

    def emit(self, event: Event) -> None:
        """Add an event; called on the threads of the source and of the telemetry."""
        if len(self._events) >= self._capacity and isinstance(event, AnyStep):
            with self._gap:
                self._open_gap += 1
                self._last_lost[event.lane] = event
            self.dropped += 1
            return
        if self._open_gap:
            self._close_gap(self._events.append)
        self._events.append(event)

    def _close_gap(self, put: Callable[[Gap], None]) -> None:
        """Put the gap in its place before marking it as closed, so that no other thread's event comes before it."""
        with self._gap:
            if self._open_gap:
                put(Gap.behind(self._open_gap, self._last_lost.values()))
                self._open_gap, self._last_lost = 0, {}

    def __len__(self) -> int:
        return len(self._events)

    def drain(self, limit: int | None = None) -> list[Event]:
        """Take the waiting events, oldest first, at most ``limit``; called on the screen's thread."""
        count = len(self._events) if limit is None else min(limit, len(self._events))
        events = [self._events.popleft() for _ in range(count)]
        if self._open_gap and not self._events:
            self._close_gap(events.append)
        return events
