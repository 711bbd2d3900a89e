"""From the source's thread to the screen's: bounded, never blocking, and honest about what it drops."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from spectui.events import Event, Gap


class Mailbox:
    """Holds events until the screen drains them. One thread puts, one drains; neither ever waits.

    When ``capacity`` events wait, newer ones are dropped and counted; the next drain hands over a `Gap` in their
    place, so that no figure silently loses a part.
    """

    def __init__(self, capacity: int = 65_536, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._events: deque[Event] = deque()
        self._capacity = capacity
        self._now_ns = now_ns
        self._waiting_since: int | None = None
        self._dropped = 0

    def emit(self, event: Event) -> None:
        """Hand over an event; called on the source's thread."""
        if len(self._events) >= self._capacity:
            self._dropped += 1
            return
        if self._waiting_since is None:
            self._waiting_since = self._now_ns()
        self._events.append(event)

    def __len__(self) -> int:
        return len(self._events)

    @property
    def lag_ns(self) -> int:
        """How long the oldest waiting event has been waiting."""
        since = self._waiting_since
        return 0 if since is None else self._now_ns() - since

    def drain(self, limit: int | None = None) -> list[Event]:
        """Take what is there, oldest first, at most ``limit``; called on the screen's thread."""
        self._waiting_since = None
        count = len(self._events) if limit is None else min(limit, len(self._events))
        events = [self._events.popleft() for _ in range(count)]
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            events.append(Gap(dropped))
        return events
