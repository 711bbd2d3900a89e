"""The source of servers that run elsewhere: one thread watches all of them."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence, Sized
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import zmq

from spectui.errors import UsageError
from spectui.protocol import commands as cmd
from spectui.protocol.events import (
    Event,
    LaneInfo,
    Notice,
    RoundStarted,
    RunStarted,
    Sampling,
    ServerState,
)
from spectui.protocol.frame_slot import FrameSlot
from spectui.protocol.limits import MAX_LANES
from spectui.protocol.source import Sink
from spectui.sources.attached.bell import Bell
from spectui.sources.attached.tap_lane import TapLane
from spectui.sources.attached.texts import Texts
from spectui.sources.attached.tuning import TuneRules
from spectui.sources.hardware import machine_name
from spectui.wire.endpoints import Endpoint

if TYPE_CHECKING:
    from spectui.sources.counters.asking import Asker
    from spectui.sources.counters.reader import CounterReader

logger = logging.getLogger(__name__)

TURN_MS = 100
"""How long a turn waits for messages and commands."""

ENOUGH = 16_384
"""Events that may wait for the screen before nothing more is read: the servers then drop, and say how much."""

CROWD_MS = 10
FOUND_NS = 1_000_000_000
"""How often other sockets are looked for while a server is gone."""

NO_TAP = "K cannot be changed over HTTP: start the server with the tap and SPECTUI_CONTROL=1"
NO_API = "a prompt needs the server's API: attach with --api http://HOST:PORT"
TWICE = "this is the same server as {other}, so the sum counts it twice: name every server once"
FIRST = "e1"
"""The lane of the first endpoint."""

UNKNOWN = "unknown"
"""The method of a server of which nothing was heard yet."""

REFUSAL = "the server runs elsewhere: it cannot be told to do that from here"


class Attached:
    """A `Source` of servers, one lane each."""

    accepts: frozenset[type[cmd.Command]] = frozenset({cmd.SetPrompt, cmd.SetK, cmd.Tune, cmd.StopTuning, cmd.Shutdown})

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        keys: Path | None = None,
        insecure: bool = False,
        api: str | None = None,
        api_key: str | None = None,
        tokenizer: str | None = None,
        found: Callable[[], Sequence[Endpoint]] | None = None,
        rules: TuneRules | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Prepare.

        Args:
            endpoints: The servers, a lane for each.
            keys: The folder of this viewer's CURVE keys, for endpoints on TCP.
            insecure: Whether plain TCP beyond this machine is allowed.
            api: The server's OpenAI API, to which prompts typed here are sent; None for that of an HTTP endpoint.
            api_key: The API's key.
            tokenizer: Path or id of the tokenizer for all servers, which may be downloaded; None finds each server's
                own on this machine.
            found: Finds the sockets of this machine's servers: one that is started again has another. None if the
                endpoints were named.
            rules: What the user has set for searches for K.
            now_ns: This machine's monotonic clock.

        Raises:
            UsageError: There are too many endpoints.
        """
        if len(endpoints) > MAX_LANES:
            raise UsageError(f"{len(endpoints)} endpoints are too many: attach to at most {MAX_LANES}")
        self._endpoints = tuple(endpoints)
        self._keys = keys
        self._insecure = insecure
        self._api = api
        self._api_key = api_key
        self._found = found
        self._found_ns = 0
        self._rules = rules
        self._now_ns = now_ns
        self._slot = FrameSlot()
        self._commands: queue.SimpleQueue[cmd.Command] = queue.SimpleQueue()
        self._news: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._bell = Bell()
        self._texts = Texts(tokenizer, self._bell.ring)
        self._thread = threading.Thread(target=self._run, name="attached", daemon=True)
        self._sink: Sink
        self._taps: list[TapLane] = []
        self._readers: list[CounterReader] = []
        self._asker: Asker | None = None
        self._prompts = count(1)
        self._twice: dict[str, str] = {}
        self._ending = False

    @property
    def slot(self) -> FrameSlot:
        return self._slot

    def start(self, sink: Sink) -> None:
        self._sink = sink
        self._thread.start()

    def send(self, command: cmd.Command) -> None:
        self._commands.put(command)
        self._bell.ring()

    def stop(self, timeout_s: float) -> bool:
        self.send(cmd.Shutdown())
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _emit(self, events: Iterable[Event]) -> None:
        for event in events:
            self._sink.emit(event)

    def _run(self) -> None:
        context = zmq.Context[zmq.Socket[bytes]]()
        try:
            self._begin(context)
            while not self._ending:
                self._turn()
        except Exception as error:
            logger.exception("watching the servers failed")
            self._emit([Notice(f"watching the servers failed: {error}; the log has the details", level="error")])
        finally:
            self._close()
            context.destroy(0)

    def _begin(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        infos = tuple(
            LaneInfo(f"e{number}", UNKNOWN, endpoint.short, 0, endpoint.address)
            for number, endpoint in enumerate(self._endpoints, start=1)
        )
        self._emit(
            [
                RunStarted("", infos, Sampling(), machine=machine_name(), attached=True),
                RoundStarted(0, (), Sampling()),
                *(ServerState(info.name, "connecting") for info in infos),
            ]
        )
        slots = count()
        for info, endpoint in zip(infos, self._endpoints, strict=True):
            if endpoint.kind == "http":
                # What speaks HTTP takes long to import: not before the first frame.
                from spectui.sources.counters.reader import CounterReader

                reader = CounterReader(info, endpoint.address, self._heard, api_key=self._api_key)
                self._readers.append(reader)
                reader.start()
            else:
                tap = TapLane(
                    context,
                    info,
                    endpoint,
                    slots,
                    self._texts,
                    keys=self._keys,
                    insecure=self._insecure,
                    rules=self._rules,
                    asks=self._api is not None,
                )
                self._taps.append(tap)
                self._emit(tap.open(self._now_ns()))

    def _close(self) -> None:
        # First, as whoever stops this waits for a moment only, and a server is to have its K back.
        for tap in self._taps:
            self._emit(tap.close(self._now_ns()))
        self._texts.stop()
        for reader in self._readers:
            reader.stop()
        if self._asker is not None:
            self._asker.stop()
        self._bell.close()

    def _heard(self, event: Event) -> None:
        """Called on other threads: what was read over HTTP is told by this one."""
        self._news.put(event)
        self._bell.ring()

    def _turn(self) -> None:
        """Read what has come, follow commands, and do what is due."""
        crowded = isinstance(self._sink, Sized) and len(self._sink) > ENOUGH
        readable = self._wait(crowded)
        now_ns = self._now_ns()
        self._emit(self._texts.take())
        while not self._news.empty():
            self._sink.emit(self._news.get())
        for tap in self._taps:
            if tap.link.socket in readable:
                self._emit(tap.receive(now_ns))
            if crowded:
                # Without a word for some seconds the server would take this viewer for gone.
                self._emit(tap.link.watch(now_ns))
            else:
                self._emit(tap.tick(now_ns))
        self._emit(self._twice_watched())
        self._look_elsewhere(now_ns)
        while not self._commands.empty():
            self._emit(self._follow(self._commands.get(), now_ns))

    def _twice_watched(self) -> list[Event]:
        """Say of a server that is watched under two names that the sum counts it twice."""
        told, first = list[Event](), dict[str, str]()
        for tap in self._taps:
            lane, session = tap.info.name, tap.stream.id
            other = first.setdefault(session, lane)
            if session and other != lane and self._twice.get(lane) != session:
                self._twice[lane] = session
                told.append(Notice(TWICE.format(other=other), lane, level="warning"))
        return told

    def _wait(self, crowded: bool) -> set[object]:
        """Wait for messages and commands; gives the sockets that have some."""
        poller = zmq.Poller()
        poller.register(self._bell, zmq.POLLIN)
        for tap in () if crowded else self._taps:
            if tap.link.socket is not None:
                poller.register(tap.link.socket, zmq.POLLIN)
        readable = {found for found, _ in poller.poll(CROWD_MS if crowded else TURN_MS)}
        if self._bell.fileno() in readable:
            self._bell.silence()
        return readable

    def _look_elsewhere(self, now_ns: int) -> None:
        """Find the sockets of servers that were started again."""
        if self._found is None or now_ns - self._found_ns < FOUND_NS:
            return
        self._found_ns = now_ns
        silent = [tap for tap in self._taps if tap.link.endpoint.kind == "ipc" and tap.silent(now_ns)]
        if not silent:
            return
        there = list(self._found())
        known = {tap.link.endpoint for tap in self._taps}
        fresh = [endpoint for endpoint in there if endpoint not in known]
        for tap, endpoint in zip((tap for tap in silent if tap.link.endpoint not in there), fresh, strict=False):
            self._emit(tap.move(endpoint, now_ns))

    def _follow(self, command: cmd.Command, now_ns: int) -> list[Event]:
        match command:
            case cmd.Shutdown():
                self._ending = True
                return []
            case cmd.SetK(lane, k):
                tap = self._tap(lane)
                return self._no_tap(lane) if tap is None else tap.set_k(k, now_ns)
            case cmd.Tune(lane, budget_s):
                tap = self._tap(lane)
                return self._no_tap(lane) if tap is None else tap.tune(budget_s, now_ns)
            case cmd.StopTuning():
                stopped = [events for tap in self._taps if (events := tap.stop_tuning(now_ns)) is not None]
                return [event for events in stopped for event in events] or [Notice("no search for K is running")]
            case cmd.SetPrompt(text):
                return self._ask(text)
        return [Notice(REFUSAL, level="warning")]

    def _tap(self, lane: str) -> TapLane | None:
        return next((tap for tap in self._taps if tap.info.name == lane), None)

    def _no_tap(self, lane: str) -> list[Event]:
        return [Notice(NO_TAP, lane, level="warning")]

    def _ask(self, prompt: str) -> list[Event]:
        """Send a prompt to a server's API."""
        number = next(self._prompts)
        if self._api is not None:
            self._api_asker(self._api).ask(number, prompt)
        elif self._readers:
            self._readers[0].ask(number, prompt)
        else:
            return [Notice(NO_API, level="warning")]
        return []

    def _api_asker(self, api: str) -> Asker:
        if self._asker is None:
            from spectui.sources.counters.address import address_of
            from spectui.sources.counters.asking import Asker
            from spectui.sources.counters.fetching import Fetcher

            address = address_of(api)
            self._asker = Asker(FIRST, lambda: Fetcher(address, self._api_key), self._model, self._heard, lambda: None)
        return self._asker

    def _model(self) -> str:
        """The name under which the API serves the first server's model."""
        abouts = [tap.stream.about for tap in self._taps if tap.stream.about is not None]
        return next((about.served_names[0] if about.served_names else about.model for about in abouts), "")
