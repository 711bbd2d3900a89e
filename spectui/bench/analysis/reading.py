"""Reads traces one after another into whatever takes their events, and says what was wrong with them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from spectui.bench.analysis.pooling import Pooling
from spectui.errors import RunError
from spectui.protocol.events import RunStarted, ServerSeen, Step, TraceEvent
from spectui.trace.progress import read_into
from spectui.trace.reader import Trace, TraceError

LOOK_EVENTS = 1024
"""Events between two looks at how far reading has come: about 10 ms."""


class Watching(Protocol):
    """What is told how far reading has come."""

    def at(self, name: str, done: int, total: int) -> None:
        """Called now and then with the name of the trace that is read, and bytes of all traces."""

    def analysing(self) -> None:
        """Called when everything has been read; what is left takes a few seconds at most."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was noticed while traces were read.

    Attributes:
        drafting: Names of the lanes that may draft.
        lanes: Names of all lanes.
        complaints: What was wrong with lines, a sentence for each kind of trouble.
        attached: Whether a trace is of servers that ran elsewhere.
    """

    drafting: frozenset[str]
    lanes: frozenset[str]
    complaints: tuple[str, ...]
    attached: bool = False


def read_traces(
    paths: Sequence[Path],
    add: Callable[[TraceEvent], object],
    watching: Watching | None = None,
    each: Callable[[str], object] | None = None,
) -> Seen:
    """Hand every event of every trace to ``add``, in order. A single trace keeps the numbers of its rounds.

    Args:
        paths: The traces.
        add: Takes each event.
        watching: Is told how far reading has come.
        each: Is told the path of each trace before its events, if there are several; rounds keep their numbers then.

    Raises:
        RunError: A file is not a trace, or cannot be read to its end, or traces are of different models. Nothing is
            read if one of them is not a trace.
    """
    traces = [_opened(path) for path in paths]
    total, before = sum(trace.size for trace in traces), 0
    pooling = Pooling() if len(traces) > 1 else None
    drafting: set[str] = set()
    lanes: set[str] = set()
    complaints: list[str] = []
    attached = False
    name = ""

    def at(offset: int) -> None:
        if watching is not None:
            watching.at(name, before + offset, total)

    def take(event: TraceEvent) -> None:
        nonlocal attached
        if type(event) is not Step:
            if type(event) is RunStarted:
                lanes.update(lane.name for lane in event.lanes)
                drafting.update(lane.name for lane in event.lanes if lane.k_max)
                attached |= event.attached
            elif type(event) is ServerSeen and event.info.k_max:
                drafting.add(event.lane)
            if pooling is not None:
                pooled = pooling.pooled(event)
                event = pooled if each is None else event
        add(event)

    with _without_collections():
        for trace in traces:
            name = trace.path.name
            if pooling is not None:
                pooling.open(name)
                if each is not None:
                    each(str(trace.path))
            try:
                read_into(trace, take, at, LOOK_EVENTS)
            except TraceError as error:
                raise RunError(str(error)) from error
            before += trace.size
            complaints += trace.complaints()
    return Seen(frozenset(drafting), frozenset(lanes), tuple(complaints), attached)


def _opened(path: Path) -> Trace:
    try:
        return Trace.open(path)
    except TraceError as error:
        fix = "" if path.exists() else ": name a trace that --record or R has written"
        raise RunError(f"{error}{fix}") from error


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
