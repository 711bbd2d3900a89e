"""One endpoint with the tap: its connection, its texts, its K, and the search for a better one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import zmq

from spectui.protocol.events import Event, LaneInfo, Notice
from spectui.sources.attached.link import Link
from spectui.sources.attached.searching import Searching
from spectui.sources.attached.seen import control_fault
from spectui.sources.attached.stream import Stream, sentence
from spectui.sources.attached.texts import LaneTexts, Texts
from spectui.sources.attached.tuning import TuneRules
from spectui.wire import messages as wire
from spectui.wire.endpoints import Endpoint

ANSWER_NS = 5_000_000_000
"""How long a server may take to answer."""

SILENT_NS = 1_500_000_000
"""After so long without a message a server may have another socket; one that is there says how it stands more often."""

UNANSWERED = "the server has not said that it keeps the K that was found"

LEAVE_MS = 200
"""How long the last words to a server may take to leave."""


class TapLane:
    """A lane of an attached run. Every method returns what is to be told."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        info: LaneInfo,
        endpoint: Endpoint,
        slots: Iterator[int],
        texts: Texts,
        *,
        keys: Path | None,
        insecure: bool,
        rules: TuneRules | None,
        asks: bool,
    ) -> None:
        self.info = info
        self.stream = Stream(info, endpoint.address, slots, asks=asks)
        self.link = Link(context, endpoint, self.stream, keys, insecure=insecure)
        self._texts = LaneTexts(info.name, texts)
        self._searching = Searching(self.stream, rules)
        self._numbers = count(1)
        self._asked: dict[int, int] = {}
        self._settling: int | None = None

    def silent(self, now_ns: int) -> bool:
        """Whether nobody is heard at the endpoint."""
        return self.stream.stage != "live" or now_ns - self.link.heard_ns > SILENT_NS

    def open(self, now_ns: int) -> list[Event]:
        """Connect."""
        return self.link.open(now_ns)

    def move(self, endpoint: Endpoint, now_ns: int) -> list[Event]:
        """Connect to the socket that the server has after it was started again."""
        self.link.endpoint = endpoint
        self.stream.address = endpoint.address
        return self.link.open(now_ns)

    def close(self, now_ns: int) -> list[Event]:
        """Break a search off and disconnect."""
        told = self.stop_tuning(now_ns) or []
        self.link.close(LEAVE_MS)
        return told

    def receive(self, now_ns: int) -> list[Event]:
        """Read what has come."""
        events = [event for one in self.link.receive(now_ns) for event in self._searching.hear(one)]
        while self.stream.answers:
            events += self._answered(self.stream.answers.pop(0))
        return events

    def tick(self, now_ns: int) -> list[Event]:
        """Do what is due."""
        events = [event for one in self.link.tick(now_ns) for event in self._searching.hear(one)]
        if (about := self.stream.about) is not None:
            self.stream.table = self._texts.table(about, self.stream.id)
            if (ask := self._texts.ask(lambda: next(self._numbers), now_ns)) is not None:
                self.link.send(ask)
        for number in [number for number, sent_ns in self._asked.items() if now_ns - sent_ns > ANSWER_NS]:
            del self._asked[number]
            if number == self._settling and self._searching.settling:
                events += self._searching.refused(UNANSWERED) or []
            else:
                events.append(self._warning("the server has not answered to the change of K: try again"))
        return events + self._search(now_ns)

    def set_k(self, k: int | None, now_ns: int) -> list[Event]:
        """Ask the server for another K."""
        if k is None:
            return [self._warning("the server cannot choose K by itself: name one")]
        if (fault := self._control_fault()) is not None:
            return [self._warning(fault)]
        k_max = self.stream.info.k_max
        if not 0 <= k <= k_max:
            return [self._warning(f"K = {k} is not possible: the server was built for K from 0 to {k_max}")]
        return self._send_k(k, now_ns)

    def tune(self, budget_s: float, now_ns: int) -> list[Event]:
        """Search for the fastest K on the server's own traffic."""
        if self._searching.running:
            return [self._warning("a search for K is running already")]
        k = self.stream.session.k
        if (fault := self._control_fault()) is not None or k is None:
            return [self._warning(fault or "the server has not said its K yet: try again")]
        return self._searching.begin(k, budget_s, now_ns) + self._search(now_ns)

    def stop_tuning(self, now_ns: int) -> list[Event] | None:
        """Stop the search; None if there is none."""
        return self._searching.stop() + self._search(now_ns) if self._searching.running else None

    def _search(self, now_ns: int) -> list[Event]:
        """Let the search go on."""
        events, due = self._searching.turn(now_ns)
        if due is None:
            return events
        unsent = self._send_k(due[0], now_ns, lease_s=due[1])
        if due[1] is None and self._searching.settling:
            self._settling = None if unsent else max(self._asked)
            return events + ((self._searching.refused(UNANSWERED) or []) if unsent else [])
        return events + unsent

    def _control_fault(self) -> str | None:
        if self.stream.stage != "live" or self.stream.about is None:
            return f"{self.link.endpoint.short} is not connected: K cannot be changed"
        fault = control_fault(self.stream.about)
        # Why K stays as it is, is a sentence of its own.
        return f"K cannot be changed: {fault}" if fault and not fault.startswith("K ") else fault or None

    def _send_k(self, k: int, now_ns: int, lease_s: float | None = None) -> list[Event]:
        number = next(self._numbers)
        if not self.link.send(wire.SetK(number, k, lease_s)):
            return [self._warning("the server cannot be reached: K is unchanged")]
        self._asked[number] = now_ns
        return []

    def _answered(self, answer: wire.Reply | wire.Words) -> list[Event]:
        if isinstance(answer, wire.Words):
            events = self._texts.take(answer)
            if events is None:
                self.stream.malformed += 1
            return events or []
        if self._texts.expects(answer.number):
            self._texts.refused()
        elif self._asked.pop(answer.number, None) is None:
            self.stream.malformed += 1
            return []
        if answer.done:
            return self._searching.settled() if answer.number == self._settling else []
        text = sentence(answer.text)
        told = self._searching.refused(text)
        return [self._warning(text)] if told is None else told

    def _warning(self, text: str) -> Notice:
        return Notice(text, self.info.name, level="warning")
