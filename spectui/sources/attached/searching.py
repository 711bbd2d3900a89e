"""The search for the fastest K of one endpoint, fed with what is heard of its server."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from spectui.protocol.events import Event, KChanged, ServerSeen, ServerState
from spectui.sources.attached.serving_line import serving
from spectui.sources.attached.stream import Stream
from spectui.sources.attached.tuning import TuneRules, Tuning
from spectui.wire.messages import EngineStep


class Searching:
    """At most one search at a time. Methods return what is to be told.

    That a K was found is told only when the server has said that it keeps it.
    """

    def __init__(self, stream: Stream, rules: TuneRules | None) -> None:
        """Prepare; ``rules`` are what the user has set for searches."""
        self._stream = stream
        self._rules = rules
        self._tuning: Tuning | None = None
        self._session = ""
        self._now_ns = 0
        self._told: list[Event] = []
        self._held: list[Event] = []

    @property
    def running(self) -> bool:
        """Whether a search goes on."""
        return self._tuning is not None and (self._tuning.ended is None or self.settling)

    @property
    def settling(self) -> bool:
        """Whether a K was found, and the server has not said yet that it keeps it."""
        return bool(self._held)

    def begin(self, k: int, budget_s: float, now_ns: int) -> list[Event]:
        """Begin, while none goes on; ``k`` is the server's."""
        info, about = self._stream.info, self._stream.about
        self._tuning = Tuning(
            info.name,
            k=k,
            k_max=info.k_max,
            now_ns=now_ns,
            budget_s=budget_s,
            rules=self._rules,
            serve=(lambda k: "") if about is None else partial(serving, about),
        )
        self._session = self._stream.id
        self._stream.watcher = self._step
        return list(self._tuning.begin())

    def stop(self) -> list[Event]:
        """Break it off."""
        return [] if self._tuning is None else list(self._unsettled(self._tuning).stop())

    def settled(self) -> list[Event]:
        """The server keeps the K that was found."""
        told, self._held = self._held, []
        return told

    def refused(self, why: str) -> list[Event] | None:
        """The server did not follow a change of K; None if that was not the search's."""
        if self._tuning is None or not self.running:
            return None
        return list(self._unsettled(self._tuning).refused(why))

    def hear(self, event: Event) -> list[Event]:
        """What there is to say of an event, after the event itself."""
        if self._tuning is None:
            return [event]
        match event:
            case KChanged():
                wanted = event.k == self._tuning.k
                return [replace(event, source="tuned") if wanted else event, *self._tuning.changed(event.k)]
            case ServerState(stage="gone"):
                return [event, *self._unsettled(self._tuning).lost("the server is gone")]
            case ServerState(stage="refused"):
                return [event, *self._unsettled(self._tuning).lost("the server lets this viewer in no more")]
            case ServerSeen() if event.session != self._session:
                return [event, *self._unsettled(self._tuning).lost("the server was started again")]
        return [event]

    def turn(self, now_ns: int) -> tuple[list[Event], tuple[int, float | None] | None]:
        """What there is to say, and the K to ask the server for with the seconds of its lease, if that is due."""
        self._now_ns = now_ns
        told, self._told = self._told, []
        if self._tuning is None:
            return told, None
        told += self._held_back(self._tuning, self._tuning.tick(now_ns))
        return told, self._tuning.due(now_ns)

    def _step(self, step: EngineStep) -> None:
        if self._tuning is not None:
            self._told += self._held_back(self._tuning, self._tuning.step(step, self._now_ns))

    def _held_back(self, tuning: Tuning, told: list[Event]) -> list[Event]:
        """What can be told at once."""
        if not told or tuning.ended is None or tuning.ended.fault:
            return told
        self._held = told
        return []

    def _unsettled(self, tuning: Tuning) -> Tuning:
        """The search, which has not ended if the server has not said so."""
        if self._held:
            self._held = []
            tuning.unsettle()
        return tuning
