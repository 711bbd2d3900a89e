"""Reads a trace into the columns that its analysis is computed from."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from spectui.core.analysis.columns import Columns
from spectui.trace.reader import Trace

REPORTED = 1 << 14
"""Events between two reports of progress."""


def read_columns(trace: Trace, progress: Callable[[float], None] | None = None) -> Columns:
    """Fold the whole trace; ``progress`` is told now and then which share of the file has been read, from 0 to 1.

    Raises:
        TraceError: The file can no longer be read.
    """
    columns = Columns()
    add = columns.add
    with closing(trace.read()) as reading:
        for number, (_, event) in enumerate(reading, 1):
            add(event)
            if progress and not number % REPORTED:
                progress(min(1.0, reading.offset / trace.size))
    if progress:
        progress(1.0)
    return columns
