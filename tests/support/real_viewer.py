"""A viewer of real servers without a screen: keeps every event."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TypeVar

from spectui.protocol.commands import Command
from spectui.protocol.events import CountedStep, Event, Gap, ServerState, Serving, Step, Totals
from spectui.protocol.steps import NOTHING
from spectui.sources.attached.source import Attached
from spectui.wire.endpoints import parse
from tests.support.servers import Counters

WAIT_S = 30.0
E = TypeVar("E")


class Viewer:
    """Attached to servers while the block runs."""

    def __init__(self, endpoints: Sequence[str], *, tokenizer: str | None = None) -> None:
        self.events: list[Event] = []
        self._came = threading.Condition()
        self.source = Attached([parse(endpoint) for endpoint in endpoints], tokenizer=tokenizer)

    def __enter__(self) -> Viewer:
        self.source.start(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.source.stop(WAIT_S)

    def emit(self, event: Event) -> None:
        """As a sink."""
        with self._came:
            self.events.append(event)
            self._came.notify_all()

    def mark(self) -> int:
        """The place of the next event."""
        with self._came:
            return len(self.events)

    def wait(self, kind: type[E], fits: Callable[[E], bool] = lambda event: True, *, after: int = 0) -> E:
        """The first such event from the place ``after`` on, waited for.

        Raises:
            AssertionError: It has not come.
        """
        deadline, place = time.monotonic() + WAIT_S, after
        with self._came:
            while True:
                for event in self.events[place:]:
                    if isinstance(event, kind) and fits(event):
                        return event
                place = len(self.events)
                if not self._came.wait(deadline - time.monotonic()):
                    raise AssertionError(f"no {kind.__name__} came: {self.events[-5:]}")

    def live(self, lanes: int = 1) -> None:
        """Wait until all servers are watched."""
        for lane in range(1, lanes + 1):
            self.wait(Serving, lambda event, name=f"e{lane}": event.lane == name)

    def quiet(self, lane: str = "e1") -> Serving:
        """Wait for a server's next two states without requests in flight: by the second all steps have come."""
        first = self.wait(Serving, lambda event: event.lane == lane and not event.running, after=self.mark())
        after = self.events.index(first) + 1
        return self.wait(Serving, lambda event: event.lane == lane and not event.running, after=after)

    def send(self, command: Command) -> None:
        self.source.send(command)


def steps(events: Sequence[Event], lane: str = "e1") -> list[Step | CountedStep]:
    """The verification steps among the events."""
    return [event for event in events if isinstance(event, Step | CountedStep) and event.lane == lane]


def sums(seen: Sequence[Step | CountedStep], positions: int) -> Counters:
    """What a server should have counted in these steps; it counts prompts apart."""
    totals: Totals = NOTHING
    at = [0] * positions
    for step in seen:
        totals = totals.plus(step.own_totals)
        for place in range(step.accepted):
            at[place] += 1
    return Counters(totals.drafts, totals.drafted, totals.accepted, tuple(at), totals.emitted, 0)


def whole(events: Sequence[Event]) -> bool:
    """Whether nothing was lost, and no server was gone."""
    gaps = any(isinstance(event, Gap) for event in events)
    return not gaps and not any(isinstance(event, ServerState) and event.stage == "gone" for event in events)
