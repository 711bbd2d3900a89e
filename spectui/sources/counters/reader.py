"""Reads the counters of one server once a second, on a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from spectui.protocol.events import Event
from spectui.protocol.run import LaneInfo, Notice
from spectui.protocol.serving import Answered, CounterSample
from spectui.sources.counters.address import address_of
from spectui.sources.counters.exposition import MOST_BYTES
from spectui.sources.counters.identity import NO_METRICS, Identity, identify, slots_in_use
from spectui.sources.counters.pages import Answer, UnreachableError
from spectui.sources.counters.readings import Reading, read
from spectui.sources.counters.values import MalformedError
from spectui.sources.counters.watching import Watch

if TYPE_CHECKING:
    from spectui.sources.counters.asking import Asker
    from spectui.sources.counters.fetching import Fetcher

SHORTEST_PAUSE_S = 0.02
JOIN_S = 3.0

FIGURES_OF_PROMPTS = "for the acceptance of single answers, start vLLM with --per-request-spec-decode-metrics summary"


class CounterReader:
    """Watches a server over HTTP and emits what it tells: see `spectui.protocol.serving`.

    Events are emitted from two threads, one for the counters and one for prompts, but never from both at once.
    """

    def __init__(
        self,
        info: LaneInfo,
        url: str,
        emit: Callable[[Event], None],
        *,
        every_s: float = 1.0,
        api_key: str | None = None,
    ) -> None:
        """Raises `spectui.errors.UsageError` if ``url`` is no address."""
        self._info, self._address, self._api_key = info, address_of(url), api_key
        self._sink, self._every_s = emit, every_s
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._poll: Poll | None = None
        self._asker: Asker | None = None
        self._hinted = False

    def start(self) -> None:
        """Begin to read."""
        self._thread = threading.Thread(target=self._run, name=f"counters {self._info.name}", daemon=True)
        self._thread.start()

    def ask(self, number: int, prompt: str) -> None:
        """Send a prompt to the server; `Asked` and `Answered` tell what becomes of it. Never waits."""
        with self._lock:
            if self._asker is None:
                from spectui.sources.counters.asking import Asker

                self._asker = Asker(self._info.name, self._connect, self._model, self._emit, self._misheard)
            asker = self._asker
        asker.ask(number, prompt)

    def stop(self) -> None:
        """Break off what is under way, and end the threads."""
        self._stopping.set()
        with self._lock:
            poll, asker = self._poll, self._asker
        if poll is not None:
            poll.cancel()
        if asker is not None:
            asker.stop()
        if self._thread is not None:
            self._thread.join(JOIN_S)

    def _run(self) -> None:
        poll = Poll(Watch(self._info, self._address.shown), self._connect())
        with self._lock:
            self._poll = poll
        try:
            while not self._stopping.is_set():
                began = time.monotonic()
                for event in poll.once():
                    self._emit(event)
                left = self._every_s - (time.monotonic() - began)
                self._stopping.wait(max(SHORTEST_PAUSE_S, left))
        finally:
            poll.close()

    def _connect(self) -> Fetcher:
        from spectui.sources.counters.fetching import Fetcher

        return Fetcher(self._address, self._api_key)

    def _emit(self, event: Event) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            self._sink(event)
            if isinstance(event, Answered) and event.ended and self._lacks_figures(event):
                self._hinted = True
                self._sink(Notice(FIGURES_OF_PROMPTS, self._info.name))

    def _lacks_figures(self, answer: Answered) -> bool:
        """Whether vLLM drafts but does not tell what became of it, for the first time."""
        identity = None if self._poll is None else self._poll.identity
        if self._hinted or identity is None or identity.kind != "vllm":
            return False
        return not answer.fault and answer.drafted is None and self._poll is not None and self._poll.drafts

    def _model(self) -> str:
        poll = self._poll
        return "" if poll is None or poll.identity is None else poll.identity.model

    def _misheard(self) -> None:
        if self._poll is not None:
            self._poll.misheard()


class Poll:
    """One look at a server after another; what is seen becomes events."""

    def __init__(self, watch: Watch, fetcher: Fetcher, clock: Callable[[], float] = time.monotonic) -> None:
        self._watch, self._fetcher, self._clock = watch, fetcher, clock
        self.identity: Identity | None = None
        self.drafts = False
        """Whether the server drafts, as its counters say."""

    def once(self) -> Iterable[Event]:
        """Look once; takes seconds at most."""
        try:
            return list(self._look(self._fetcher.get("/metrics", MOST_BYTES)))
        except UnreachableError as error:
            self._forget()
            return list(self._watch.silent(self._clock(), str(error)))
        except MalformedError:
            return list(self._watch.malformed(self._clock()))

    def misheard(self) -> None:
        """Count a message of a prompt's answer that made no sense."""
        self._watch.misheard()

    def cancel(self) -> None:
        """End what is under way, from any thread."""
        self._fetcher.cancel()

    def close(self) -> None:
        """Close the connection."""
        self._fetcher.close()

    def _look(self, answer: Answer) -> Iterable[Event]:
        status = answer.status
        if status == 200:
            yield from self._read(read(answer.body, answer.content_type))
        elif status in (401, 403):
            yield from self._refused(
                f"the server wants an API key ({status}): name the variable that holds it with --api-key-env"
            )
        elif status in (404, 405, 501):
            yield from self._no_metrics()
        elif 300 <= status < 400:
            there = answer.location or "another address"
            yield from self._refused(f"the server redirects to {there}: attach to that, if you trust it")
        elif status >= 500:
            self._forget()
            yield from self._watch.silent(self._clock(), f"it is not ready, or failed ({status})")
        else:
            yield from self._refused(f"the server answers /metrics with status {status}: see its log")

    def _read(self, reading: Reading) -> Iterable[Event]:
        if reading.kind == "unknown":
            if self._watch.live:
                raise MalformedError("metrics of another server")
            yield from self._no_metrics()
            return
        if self.identity is None or self.identity.kind != reading.kind or self._watch.restarted(reading):
            self.identity = self._identify(reading)
        self.drafts = bool(reading.k)
        yield from self._watch.heard(self._clock(), reading, self.identity)

    def _no_metrics(self) -> Iterable[Event]:
        """The server answers, but not with counters. llama-server tells how busy it is nevertheless."""
        identity = self.identity or self._identify(None)
        self.identity = identity
        if identity.kind == "llama.cpp" and (busy := slots_in_use(self._fetcher)) is not None:
            reading = Reading("llama.cpp", CounterSample("", 0, running=busy))
            yield from self._watch.heard(self._clock(), reading, identity)
            return
        yield from self._watch.refused(self._clock(), NO_METRICS[identity.kind], identity)

    def _refused(self, why: str) -> Iterable[Event]:
        self._forget()
        yield from self._watch.refused(self._clock(), why)

    def _identify(self, reading: Reading | None) -> Identity:
        return identify(self._fetcher) if reading is None else identify(self._fetcher, reading.kind)

    def _forget(self) -> None:
        """Ask again what the server runs, once it answers: it may be another one."""
        if not self._watch.live:
            self.identity = None
