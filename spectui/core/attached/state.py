"""What is known of attached servers and their requests, folded from events; everything here is bounded."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from spectui.core.attached.meters import CounterMeter, StepTimes, WallRate
from spectui.protocol.events import NOTHING, Answered, Asked, ServerSeen, Serving, Totals
from spectui.protocol.serving import ServerStage

MOST_ENDED = 50
"""Requests of a server that are kept after their end."""

MOST_REQUESTS = 4096
"""Requests of a server that are kept in all: more than any server answers at once."""

SERVED_STEPS = 128
"""Steps that are kept of each request; there are many requests."""

MOST_ANSWERS = 20
"""Prompts sent from here that are kept, with their answers."""

MOST_CHARACTERS = 200_000
"""Characters of an answer that are kept."""


@dataclass(slots=True)
class ServedRequest:
    """What is known of a server's request beside its tokens.

    Attributes:
        number: How many requests had begun before it, on all servers.
        ended: How many had ended before it; None while it is in flight.
        k: K of its last step.
        totals: Sums over its steps that were seen.
        since_ns: The lane clock before the first of them, ``until_ns`` after the last one.
        before: Its output tokens before the first of them.
        whole: Whether the first of them was the first of all.
        age_ns: How long the server had had it at lane clock ``aged_ns``, as was said last.
    """

    number: int
    ended: int | None = None
    k: int | None = None
    totals: Totals = NOTHING
    since_ns: int = 0
    until_ns: int = 0
    before: int = 0
    whole: bool = False
    age_ns: int | None = None
    aged_ns: int = 0


@dataclass(slots=True)
class EndpointState:
    """What is known of one endpoint beside its lane.

    Attributes:
        ended: Slots of requests that have ended and are kept, the oldest first.
        times: Times of its engine steps.
        rate: Its throughput in wall time.
    """

    stage: ServerStage = "connecting"
    why: str = ""
    seen: ServerSeen | None = None
    serving: Serving | None = None
    counters: CounterMeter = field(default_factory=CounterMeter)
    times: StepTimes = field(default_factory=StepTimes)
    rate: WallRate = field(default_factory=WallRate)
    ended: deque[int] = field(default_factory=deque)

    def forget_figures(self) -> None:
        """Forget what an earlier start of the server counted: nothing that comes can be compared with it."""
        self.serving = None
        self.rate.clear()
        self.counters.clear()


@dataclass(slots=True)
class AnswerState:
    """A prompt that was sent from here; ``last`` is the newest part of its answer."""

    asked: Asked
    parts: list[str] = field(default_factory=list)
    characters: int = 0
    last: Answered | None = None


@dataclass(slots=True)
class AttachedState:
    """What concerns all servers of an attached run.

    Attributes:
        began: Requests that have begun.
        ended: Requests that have ended.
        answers: Prompts that were sent from here, by number, the oldest first.
    """

    began: int = 0
    ended: int = 0
    answers: dict[int, AnswerState] = field(default_factory=dict)
