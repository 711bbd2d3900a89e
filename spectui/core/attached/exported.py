"""What a viewer knows of servers, as samples for Prometheus: their totals under vLLM's names, and what vLLM does not
count under names of ours.

Counters are those of the servers since they began, so they fall when a server is started again, as Prometheus' counters
may. What is unknown is left out, never 0; of a server that is not there only `UP` is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from spectui.protocol import events as ev
from spectui.protocol.steps import NOTHING, Totals


class Named(NamedTuple):
    """A metric: its name as it is scraped, its kind, what it means, and its labels beside ``endpoint``."""

    name: str
    kind: Literal["counter", "gauge"]
    means: str
    labels: tuple[str, ...] = ()


DRAFTS = Named("vllm:spec_decode_num_drafts_total", "counter", "Verification steps that had a draft.")
DRAFTED = Named("vllm:spec_decode_num_draft_tokens_total", "counter", "Drafted tokens.")
ACCEPTED = Named("vllm:spec_decode_num_accepted_tokens_total", "counter", "Drafted tokens that were accepted.")
ACCEPTED_AT = Named(
    "vllm:spec_decode_num_accepted_tokens_per_pos_total",
    "counter",
    "How often the drafted token at a position, from 0, was accepted.",
    ("position",),
)
EMITTED = Named("vllm:generation_tokens_total", "counter", "Completion tokens.")
PROMPT_TOKENS = Named("vllm:prompt_tokens_total", "counter", "Prompt tokens.")
RUNNING = Named("vllm:num_requests_running", "gauge", "Requests in flight.")
WAITING = Named("vllm:num_requests_waiting", "gauge", "Requests that wait for a place.")
CACHE = Named("vllm:kv_cache_usage_perc", "gauge", "Share of the KV cache in use, from 0 to 1.")
DRAFTED_AT = Named(
    "spectui_draft_tokens_per_pos_total",
    "counter",
    "How often a token was drafted at a position, from 0.",
    ("position",),
)
STEPS = Named("spectui_verification_steps_total", "counter", "Verification steps of requests, with a draft or not.")
ENGINE_STEPS = Named("spectui_engine_steps_total", "counter", "Steps of the engine, each for all its requests.")
SECONDS = Named(
    "spectui_engine_step_seconds_total",
    "counter",
    "Time in engine steps: in the drafter, in the target's forward pass, and the rest.",
    ("part",),
)
CLOCK = Named("spectui_engine_seconds_total", "counter", "Time in engine steps as a whole.")
K = Named("spectui_k", "gauge", "Tokens that may be drafted per step.")
K_MAX = Named("spectui_k_max", "gauge", "Tokens that the server was built to draft per step.")
LENGTH = Named(
    "spectui_stated_acceptance_length", "gauge", "Acceptance length, of servers that state it but give no counters."
)
RATE = Named(
    "spectui_stated_acceptance_rate", "gauge", "Draft acceptance rate, of servers that state it but give no counters."
)
TOK_S = Named("spectui_stated_tokens_per_second", "gauge", "Throughput, of servers that state it.")
LOST = Named("spectui_lost_steps_total", "counter", "Verification steps of which the viewer knows only the totals.")
DROPPED = Named("spectui_dropped_messages_total", "counter", "Messages that the server could not keep for its viewers.")
MALFORMED = Named("spectui_malformed_messages_total", "counter", "Messages and answers that made no sense.")
UP = Named("spectui_endpoint_up", "gauge", "Whether the endpoint's figures are there: 1, or 0.")
INFO = Named(
    "spectui_endpoint_info", "gauge", "What the endpoint runs; always 1.", ("kind", "model", "method", "version")
)

METRICS = (
    DRAFTS, DRAFTED, ACCEPTED, ACCEPTED_AT, EMITTED, PROMPT_TOKENS, RUNNING, WAITING, CACHE, DRAFTED_AT, STEPS,
    ENGINE_STEPS, SECONDS, CLOCK, K, K_MAX, LENGTH, RATE, TOK_S, LOST, DROPPED, MALFORMED, UP, INFO,
)  # fmt: skip
"""Everything that is exported."""


@dataclass(slots=True)
class _Endpoint:
    """What was last said of an endpoint."""

    name: str
    up: bool = False
    k: int | None = None
    seen: ev.ServerSeen | None = None
    serving: ev.Serving | None = None
    counters: ev.CounterSample | None = None
    totals: Totals | None = None
    lost: int = 0
    info: ev.LaneInfo | None = None

    def step(self, step: ev.Step | ev.CountedStep) -> None:
        """A step came through."""
        self.k = step.k
        self.totals = step.totals

    def gap(self, reached: Totals) -> None:
        """Steps are missing; ``reached`` are the totals after the last of them."""
        self.lost += max(0, reached.steps - (self.totals or NOTHING).steps)
        self.totals = reached


class Samples(dict[Named, list[tuple[tuple[str, ...], float]]]):
    """Samples by metric: the values of its labels, ``endpoint`` first, and the figure."""

    def add(self, metric: Named, endpoint: str, value: float | None, *labels: str) -> None:
        """Add a sample; nothing if it is unknown."""
        if value is not None:
            self.setdefault(metric, []).append(((endpoint, *labels), float(value)))


class Figures:
    """Watches events and knows the figures of every endpoint."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Endpoint] = {}
        self._kinds: dict[type, Callable[[Any], None]] = {
            ev.RunStarted: self._started,
            ev.ServerState: self._state,
            ev.ServerSeen: self._server,
            ev.Serving: self._serving,
            ev.CounterSample: self._counters,
            ev.KChanged: self._k,
            ev.Step: lambda step: self._of(step.lane).step(step),
            ev.CountedStep: lambda step: self._of(step.lane).step(step),
            ev.Gap: self._gap,
        }

    def see(self, event: ev.Event) -> None:
        """Take an event of the run in."""
        take = self._kinds.get(type(event))
        if take is not None:
            take(event)

    def told(self) -> Samples:
        """Everything that is known."""
        told = Samples()
        for endpoint in self._lanes.values():
            _tell(endpoint, told)
        return told

    def _of(self, lane: str) -> _Endpoint:
        found = self._lanes.get(lane)
        if found is None:
            found = self._lanes[lane] = _Endpoint(lane)
        return found

    def _started(self, started: ev.RunStarted) -> None:
        self._lanes = {info.name: _Endpoint(info.spec or info.name) for info in started.lanes}

    def _state(self, state: ev.ServerState) -> None:
        self._of(state.lane).up = state.stage == "live"

    def _server(self, seen: ev.ServerSeen) -> None:
        endpoint = self._of(seen.lane)
        if endpoint.seen is None or endpoint.seen.session != seen.session:
            endpoint.k = endpoint.serving = endpoint.counters = None
        endpoint.seen, endpoint.name = seen, seen.address

    def _serving(self, serving: ev.Serving) -> None:
        self._of(serving.lane).serving = serving

    def _counters(self, counters: ev.CounterSample) -> None:
        self._of(counters.lane).counters = counters

    def _k(self, changed: ev.KChanged) -> None:
        self._of(changed.lane).k = changed.k

    def _gap(self, gap: ev.Gap) -> None:
        for reached in gap.reached:
            self._of(reached.lane).gap(reached.totals)


def _tell(endpoint: _Endpoint, told: Samples) -> None:
    name = endpoint.name
    told.add(UP, name, endpoint.up)
    if not endpoint.up:
        return
    if endpoint.seen is not None:
        info = endpoint.seen.info
        told.add(INFO, name, 1, endpoint.seen.kind, endpoint.seen.model, info.method, endpoint.seen.version)
        # A server that drafts, but nobody says how much, has no K; one that cannot draft has 0.
        known = info.k_max or info.method == "ar"
        told.add(K_MAX, name, info.k_max if known else None)
        told.add(K, name, endpoint.k if endpoint.k is not None else info.k_first if known else None)
    if endpoint.serving is not None:
        _tell_serving(name, endpoint.serving, told)
        told.add(LOST, name, endpoint.lost)
    elif endpoint.counters is not None:
        _tell_counters(name, endpoint.counters, told)


def _tell_serving(name: str, serving: ev.Serving, told: Samples) -> None:
    totals = serving.since_start
    if totals is not None:
        told.add(DRAFTS, name, totals.drafts)
        told.add(DRAFTED, name, totals.drafted)
        told.add(ACCEPTED, name, totals.accepted)
        told.add(EMITTED, name, totals.emitted)
        told.add(STEPS, name, totals.steps)
    for position, (accepted, drafted) in enumerate(zip(serving.accepted_at, serving.drafted_at, strict=False)):
        told.add(ACCEPTED_AT, name, accepted, str(position))
        told.add(DRAFTED_AT, name, drafted, str(position))
    told.add(RUNNING, name, len(serving.running))
    told.add(WAITING, name, serving.waiting)
    told.add(ENGINE_STEPS, name, serving.engine_steps)
    told.add(CLOCK, name, serving.clock_ns / 1e9)
    if serving.verify_ns is not None:
        rest = max(0, serving.clock_ns - serving.verify_ns - (serving.draft_ns or 0))
        for part, spent in (("draft", serving.draft_ns), ("verify", serving.verify_ns), ("rest", rest)):
            told.add(SECONDS, name, None if spent is None else spent / 1e9, part)
    told.add(DROPPED, name, serving.dropped)
    told.add(MALFORMED, name, serving.malformed)


def _tell_counters(name: str, counters: ev.CounterSample, told: Samples) -> None:
    told.add(DRAFTS, name, counters.drafts)
    told.add(DRAFTED, name, counters.drafted)
    told.add(ACCEPTED, name, counters.accepted)
    for position, accepted in enumerate(counters.accepted_at):
        told.add(ACCEPTED_AT, name, accepted, str(position))
    told.add(EMITTED, name, counters.emitted)
    told.add(PROMPT_TOKENS, name, counters.prompt_tokens)
    told.add(RUNNING, name, counters.running)
    told.add(WAITING, name, counters.waiting)
    told.add(CACHE, name, counters.cache_share)
    told.add(LENGTH, name, counters.length)
    told.add(RATE, name, counters.rate)
    told.add(TOK_S, name, counters.tok_s)
    told.add(MALFORMED, name, counters.malformed)
