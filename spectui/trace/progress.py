"""Reads a whole trace into whatever takes its events, and says how far reading has come."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from spectui.protocol.events import TraceEvent
from spectui.trace.reader import Trace


def read_into(trace: Trace, add: Callable[[TraceEvent], object], at: Callable[[int], None], every: int) -> None:
    """Hand every event to ``add``; ``at`` is told how many bytes have been read, at every ``every``-th event.

    Raises:
        TraceError: The file can no longer be read.
    """
    with closing(trace.read()) as reading:
        for number, (_, event) in enumerate(reading):
            if not number % every:
                at(reading.place.offset)
            add(event)
