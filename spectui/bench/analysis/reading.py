"""Reads traces one after another into whatever takes their events, and says what was wrong with them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from spectui.errors import RunError
from spectui.protocol.events import RunStarted, TraceEvent
from spectui.trace.reader import Trace, TraceError

LOOK_EVENTS = 1024
"""Events between two looks at how far reading has come: about 10 ms."""


class Watching(Protocol):
    """What is told how far reading has come."""

    def at(self, name: str, done: int, total: int) -> None:
        """Called now and then with the name of the trace that is read, and bytes of all traces."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was noticed while traces were read.

    Attributes:
        drafting: Names of the lanes that may draft.
        lanes: Names of all lanes.
        complaints: What was wrong with lines, a sentence for each kind of trouble.
    """

    drafting: frozenset[str]
    lanes: frozenset[str]
    complaints: tuple[str, ...]


def read_traces(paths: Sequence[Path], add: Callable[[TraceEvent], object], watching: Watching | None = None) -> Seen:
    """Hand every event of every trace to ``add``, in order.

    Raises:
        RunError: A file is not a trace, or cannot be read to its end, or traces are of different models. Nothing is
            read if one of them is not a trace.
    """
    traces = [_opened(path) for path in paths]
    total, before = sum(trace.size for trace in traces), 0
    drafting: set[str] = set()
    lanes: set[str] = set()
    complaints: list[str] = []
    first: tuple[str, str] | None = None
    with _without_collections():
        for trace in traces:
            try:
                reading = trace.read()
                try:
                    for number, (_, event) in enumerate(reading):
                        add(event)
                        if type(event) is RunStarted:
                            first = first or (event.target, trace.path.name)
                            _check_same(first, event.target, trace.path.name)
                            lanes |= {lane.name for lane in event.lanes}
                            drafting |= {lane.name for lane in event.lanes if lane.k_max}
                        if watching is not None and not number % LOOK_EVENTS:
                            watching.at(trace.path.name, before + reading.place.offset, total)
                finally:
                    reading.close()
            except TraceError as error:
                raise RunError(str(error)) from error
            before += trace.size
            complaints += trace.complaints()
    return Seen(frozenset(drafting), frozenset(lanes), tuple(complaints))


def _opened(path: Path) -> Trace:
    try:
        return Trace.open(path)
    except TraceError as error:
        fix = "" if path.exists() else ": name a trace that --record or R has written"
        raise RunError(f"{error}{fix}") from error


def _check_same(first: tuple[str, str], target: str, name: str) -> None:
    """Refuse to analyse answers of different models together: their ids mean different tokens."""
    if _model(target) != _model(first[0]):
        raise RunError(
            f"{first[1]} is of {first[0] or 'an unnamed model'} and {name} of {target or 'an unnamed model'}: analyse "
            "traces of different models one by one"
        )


def _model(target: str) -> str:
    """A model's name without the folders before it, which may differ between machines."""
    return target.rstrip("/").rpartition("/")[2]


@contextmanager
def _without_collections() -> Iterator[None]:
    """Keep the garbage collector away: events hold no cycles, so it would look at them for nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
