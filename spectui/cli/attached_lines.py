"""Attached servers without a screen: plain lines, then a table or JSON; and the search for K on their traffic."""

from __future__ import annotations

import queue
import time
from collections import Counter
from dataclasses import asdict
from typing import Any, TextIO

from spectui.cli.attached_report import endpoint_documents, endpoint_table, request_line, sum_line, tuning_table
from spectui.cli.serving_lines import serving_line
from spectui.core.attached.rows import AttachedReader, request_row
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.summary import summary_of
from spectui.core.tuner import verdict
from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.protocol.source import Source
from spectui.runtime import output
from spectui.runtime.terminal import Terminated

EVERY_S = 1.0
"""How often the sums are told, while they change."""

STOP_S = 2.0
LOOK_S = 0.05
FOLLOW_S = 2.0
"""How long it is waited for, behind a search without a result, that the server has its former K again."""

SETTLE_S = 7.0
"""How long a search may go on when its time is up: the server has to say that it keeps the K that was found."""


class _Queue:
    """A sink that keeps every event, and lets the source know how many wait."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[ev.Event] = queue.SimpleQueue()

    def emit(self, event: ev.Event) -> None:
        self.events.put(event)

    def __len__(self) -> int:
        return self.events.qsize()


class Headless:
    """One run without a screen.

    Attributes:
        state: What is known of it.
    """

    def __init__(
        self,
        source: Source,
        out: TextIO,
        *,
        as_json: bool = False,
        seconds: float | None = None,
        tune_s: float | None = None,
    ) -> None:
        """Prepare.

        Args:
            source: The servers.
            out: Where lines go.
            as_json: Print nothing but a summary at the end, as JSON.
            seconds: End after so long; None waits for Ctrl-C, or for the end of the search.
            tune_s: Search for the fastest K of the only server, with so many seconds of engine steps; None does not.
        """
        self.state = RunState()
        self._source = source
        self._out = out
        self._as_json = as_json
        self._seconds = seconds
        self._tune_s = tune_s
        self._sink = _Queue()
        self._reader = AttachedReader()
        self._gaps: Counter[str] = Counter()
        self._ended: ev.TuneEnded | None = None
        self._ended_at = 0.0
        self._followed = False
        self._former: int | None = None
        self._begun = False
        self._fault = ""
        self._said = ""

    def run(self) -> str:
        """Watch until the end, and report; returns why it failed, empty if it did not.

        A signal ends it as the time does.
        """
        self._source.start(self._sink)
        interrupted = False
        try:
            self._watch()
        except (KeyboardInterrupt, Terminated):
            interrupted = True
        # A search that still goes on is broken off, and says so.
        self._source.stop(STOP_S)
        self._drain()
        self._report()
        if self._fault or interrupted:
            return self._fault
        return self._unheard() or self._untuned()

    def _watch(self) -> None:
        began = told_at = time.monotonic()
        ends_at = None if self._seconds is None else began + self._seconds
        while not self._over():
            now = time.monotonic()
            if now - told_at >= EVERY_S:
                told_at = now
                self._tell_sums(now - began)
            if ends_at is not None and now >= ends_at and not self._searching(now - ends_at):
                return
            until = told_at + EVERY_S if ends_at is None else min(told_at + EVERY_S, max(ends_at, now + LOOK_S))
            try:
                self._take(self._sink.events.get(timeout=until - now))
            except queue.Empty:
                continue

    def _over(self) -> bool:
        if self._ended is not None and self._ended.fault and not self._followed:
            # The server is about to say that it has its former K again.
            return time.monotonic() - self._ended_at >= FOLLOW_S
        return bool(self._fault) or self.state.dead or self._ended is not None

    def _searching(self, late_s: float) -> bool:
        """Whether the search is about to end by itself, since its time is up too."""
        return self._begun and self._ended is None and late_s < SETTLE_S

    def _drain(self) -> None:
        while not self._sink.events.empty():
            self._take(self._sink.events.get())

    def _take(self, event: ev.Event) -> None:
        if isinstance(event, ev.ScreenEvent):
            return
        lost = self._lost
        reduce(self.state, event)
        if (line := self._line(event)) is not None:
            self._say(line)
        if isinstance(event, ev.Gap):
            self._gaps.update(reached.lane for reached in event.reached)
            self._say(_gap_line(event, self._lost - lost))
        elif isinstance(event, ev.TuneEnded):
            self._ended, self._ended_at = event, time.monotonic()
        elif isinstance(event, ev.KChanged):
            if self._former is None:
                self._former = event.k
            # The K that was tried last may be told only after the search has ended.
            self._followed = self._ended is not None and event.k == self._former
        elif self._tune_s is not None and not self._begun and isinstance(event, ev.ServerSeen | ev.ServerState):
            self._begin_tuning()

    def _begin_tuning(self) -> None:
        """Begin the search as soon as its server is there, if K may be changed."""
        for name, lane in self.state.lanes.items():
            if lane.server is None or lane.server.stage != "live" or (seen := lane.server.seen) is None:
                continue
            if not seen.control:
                self._fault = f"K cannot be searched for: {seen.why_not or 'the server does not allow it'}"
                return
            self._begun = True
            self._source.send(cmd.Tune(name, self._tune_s or 0.0))

    @property
    def _lost(self) -> int:
        """Steps that were not seen, and whose numbers are known."""
        return sum(lane.run.lost for lane in self.state.lanes.values())

    def _say(self, line: str) -> None:
        if not self._as_json:
            print(output.visible(line), file=self._out, flush=True)

    def _line(self, event: ev.TraceEvent) -> str | None:
        match event:
            case ev.ServerState() | ev.ServerSeen() | ev.Asked() | ev.Answered():
                return serving_line(event)
            case ev.RequestFinished():
                return self._request_line(event)
            case ev.KChanged(lane, k):
                return None if self._begun and self._ended is None else f"{lane:<12} K is {k}"
            case ev.TuneTurn():
                running = ", ".join(map(str, event.running))
                return (
                    f"{event.lane:<12} search for K: turn {event.turn}, still in the running: {running}; best "
                    f"{event.best}; {event.spent_s:.0f} of at most {event.budget_s:.0f} s of engine steps"
                )
            case ev.Notice(text, lane):
                return f"{lane or 'note':<12} {text}"
        return None

    def _request_line(self, event: ev.RequestFinished) -> str | None:
        lane = self.state.lanes.get(event.lane)
        request = None if lane is None else lane.round.requests.get(event.slot)
        if lane is None or request is None or request.served is None:
            return None
        return request_line(request_row(lane, request))

    def _tell_sums(self, elapsed_s: float) -> None:
        view = self._reader.read(self.state)
        if view is None or not any(row.stage == "live" for row in view.endpoints):
            return
        said = sum_line(view)
        # An idle server needs no line a second.
        if said != self._said:
            self._said = said
            self._say(f"{f'{elapsed_s:.0f} s':<12} {said}")

    def _report(self) -> None:
        view = self._reader.read(self.state)
        if self._as_json:
            document: dict[str, Any] = asdict(summary_of(self.state))
            # Every request has its own, which the server keeps.
            document["sampling"] = None
            document["endpoints"] = [] if view is None else endpoint_documents(self.state, view, self._gaps)
            if self._tune_s is not None:
                document["tuning"] = None if self._ended is None else asdict(self._ended)
            print(output.as_json(document), file=self._out)
            return
        if view is not None:
            for line in ("", *endpoint_table(self.state, view)):
                self._say(line)
        if self._ended is not None and self._ended.last.turn:
            self._say_found(self._ended)

    def _say_found(self, ended: ev.TuneEnded) -> None:
        for line in ("", *tuning_table(ended.last)):
            self._say(line)
        if not ended.fault:
            said, how = verdict(ended.why, ended.last)
            for line in ("", f"{said}{how}", *(("", *ended.serve.splitlines()) if ended.serve else ())):
                self._say(line)

    def _unheard(self) -> str:
        """Why nothing was ever heard; empty if something was."""
        servers = [(lane, lane.server) for lane in self.state.lanes.values() if lane.server is not None]
        if self.state.fault is not None:
            return self.state.fault
        if any(server.seen is not None for _, server in servers):
            return ""
        whys = [server.why or f"nothing was heard from {lane.info.spec}" for lane, server in servers]
        return "; ".join(dict.fromkeys(whys))

    def _untuned(self) -> str:
        """Why the search gave no result; empty if it did, or was not asked for."""
        if self._tune_s is None or (self._ended is not None and not self._ended.fault):
            return ""
        return "the search for K did not begin: the server was not there" if self._ended is None else self._ended.fault


def _gap_line(gap: ev.Gap, known: int) -> str:
    """What is missing, of which ``known`` steps are known by their numbers."""
    lanes = ", ".join(dict.fromkeys(one.lane for one in gap.reached))
    counted = f"{known:,} steps not seen: they count in the totals"
    unknown = "how the server's last session ended was not seen"
    said = [*([counted] if known else []), *([unknown] if known < gap.lost else [])]
    return f"{lanes or 'note':<12} {'; '.join(said)}"
