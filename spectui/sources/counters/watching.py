"""From answers, and their absence, to events: whether a server is there, whether it is the same, what it counts.

Knows neither HTTP nor clocks: times are handed in, in seconds of any clock that only goes forward.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from spectui.protocol.events import Event
from spectui.protocol.run import LaneInfo
from spectui.protocol.serving import CounterSample, ServerSeen, ServerStage, ServerState
from spectui.sources.counters.identity import Identity
from spectui.sources.counters.readings import Reading

GONE_S = 3.0
"""A server without an answer for so long is gone."""

SENSELESS = "what it answers makes no sense: is this the address of a vLLM, SGLang or llama.cpp server?"

_COUNTERS = ("emitted", "prompt_tokens", "drafts", "drafted", "accepted")


class Watch:
    """One endpoint over time."""

    def __init__(self, info: LaneInfo, address: str) -> None:
        self._info, self._address = info, address
        self._lane = info.name
        self._stage: ServerStage = "connecting"
        self._why = ""
        self._began_s: float | None = None
        self._heard_s: float | None = None
        self._sane_s: float | None = None
        self._sample: CounterSample | None = None
        self._reading: Reading | None = None
        self._seen: ServerSeen | None = None
        self._sessions = 0
        self._malformed = 0

    @property
    def live(self) -> bool:
        """Whether its figures are there."""
        return self._stage == "live"

    def restarted(self, reading: Reading) -> bool:
        """Whether a server that answers this is not the one that answered last."""
        last = self._reading
        if last is None or reading.kind != last.kind:
            return True
        if None not in (last.started, reading.started):
            return last.started != reading.started
        for name in _COUNTERS:
            before, after = getattr(last.sample, name), getattr(reading.sample, name)
            if before is not None and after is not None and after < before:
                return True
        return False

    def heard(self, now: float, reading: Reading, identity: Identity) -> Iterable[Event]:
        """The server told its figures."""
        at_ns = self._at_ns(now)
        if self.restarted(reading):
            self._sessions += 1
        yield from self._turn("live", now=now)
        self._heard_s = self._sane_s = now
        self._reading = reading
        yield from self._tell(reading, identity)
        self._sample = replace(reading.sample, lane=self._lane, at_ns=at_ns, malformed=self._malformed)
        yield self._sample

    def silent(self, now: float, why: str) -> Iterable[Event]:
        """There was no answer."""
        self._at_ns(now)
        if self._stage == "connecting":
            yield from self._turn("connecting", f"no answer from {self._address}: {why}")
        elif self._heard_s is None or now - self._heard_s >= GONE_S:
            yield from self._turn("gone", f"no answer from {self._address}: {why}")

    def refused(self, now: float, why: str, identity: Identity | None = None) -> Iterable[Event]:
        """It answers, but tells no figures."""
        self._at_ns(now)
        self._heard_s = now
        yield from self._turn("refused", why)
        if identity is not None and identity.kind != "unknown":
            yield from self._tell(Reading(identity.kind), identity)

    def malformed(self, now: float) -> Iterable[Event]:
        """It answered something that makes no sense. A live server is believed for a while; what was known stays."""
        at_ns = self._at_ns(now)
        self._malformed += 1
        self._heard_s = now
        if self._stage != "live" or self._sane_s is None or now - self._sane_s >= GONE_S:
            yield from self._turn("refused", SENSELESS)
        self._sample = replace(self._sample or CounterSample(self._lane, at_ns), malformed=self._malformed)
        yield self._sample

    def misheard(self) -> None:
        """A part of an answer to a prompt made no sense; told with the next figures."""
        self._malformed += 1

    def _at_ns(self, now: float) -> int:
        if self._began_s is None:
            self._began_s = now
        return int((now - self._began_s) * 1e9)

    def _turn(self, stage: ServerStage, why: str = "", now: float | None = None) -> Iterable[Event]:
        if (stage, why) == (self._stage, self._why):
            return
        away = stage == "live" and self._stage in ("gone", "refused") and self._sane_s is not None
        downtime = int((now - self._sane_s) * 1e9) if away and now is not None and self._sane_s is not None else None
        self._stage, self._why = stage, why
        yield ServerState(self._lane, stage, why, downtime)

    def _tell(self, reading: Reading, identity: Identity) -> Iterable[Event]:
        k = identity.k if reading.k is None else reading.k
        if k is None:
            k = len(reading.sample.accepted_at) or None
        seen = ServerSeen(
            self._lane,
            replace(self._info, method=_method(self._info, identity, k), k_max=k or 0),
            reading.kind,
            self._address,
            session=_session(reading, self._sessions),
            model=identity.model or reading.model,
            redaction="counts",
            drafts=False,
            why=identity.why(reading),
            why_not="K can be changed only where the server was started with SpecTUI's scheduler",
            ranks=reading.engines,
            version=identity.version,
            asks=identity.asks,
        )
        if seen != self._seen:
            self._seen = seen
            yield seen


def _session(reading: Reading, count: int) -> str:
    return f"{count}" if reading.started is None else f"{reading.started:.2f}"


def _method(info: LaneInfo, identity: Identity, k: int | None) -> str:
    """``"ar"`` if it is known not to draft; else as it is known."""
    if k == 0:
        return "ar"
    return identity.method or (info.method if info.method != "ar" else "unknown")
