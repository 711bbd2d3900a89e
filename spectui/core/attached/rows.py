"""Builds the views of attached servers from the state; what has not changed is built once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

from spectui.core.acceptance import Acceptance
from spectui.core.attached.meters import CounterMeter, TimeSums
from spectui.core.attached.state import AnswerState, EndpointState, ServedRequest
from spectui.core.attached.views import AnswerView, AttachedView, EndpointRow, RequestRow
from spectui.core.rates import per_second
from spectui.core.state import LaneState, RequestState, RunState

ENDED_ROWS = 20
"""Requests that have ended and are shown."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Counts of drafts that add up over endpoints; None means that they are not known.

    Attributes:
        kept: How often each position was accepted, ``reached`` how often one was drafted there; empty if unknown.
        unplaced: Whether there are drafts of which that is not known.
    """

    drafts: int | None = 0
    drafted: int | None = 0
    accepted: int | None = 0
    reached: tuple[int, ...] = ()
    kept: tuple[int, ...] = ()
    unplaced: bool = False

    @property
    def length(self) -> float | None:
        """Acceptance length; None without a draft."""
        return 1 + self.accepted / self.drafts if self.drafts and self.accepted is not None else None

    @property
    def rate(self) -> float | None:
        """Draft acceptance rate; None without a draft."""
        return self.accepted / self.drafted if self.drafted and self.accepted is not None else None

    @property
    def by_position(self) -> tuple[float | None, ...]:
        """Unconditional acceptance at each position; empty if it is not known of all drafts."""
        if self.unplaced:
            return ()
        return tuple(kept / of if of else None for kept, of in zip(self.kept, self.reached, strict=True))

    def plus(self, other: Pool) -> Pool:
        """Add ``other``."""
        return Pool(
            _both(self.drafts, other.drafts),
            _both(self.drafted, other.drafted),
            _both(self.accepted, other.accepted),
            _added(self.reached, other.reached),
            _added(self.kept, other.kept),
            self.unplaced or other.unplaced,
        )


def _both(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _added(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip_longest(one, other, fillvalue=0))


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """What is shown of one endpoint, as of a revision of its lane."""

    revision: int
    row: EndpointRow
    pool: Pool
    times: TimeSums
    running: tuple[tuple[int, RequestRow], ...]
    ended: tuple[tuple[int, RequestRow], ...]


class AttachedReader:
    """Publishes the views of one state's servers."""

    def __init__(self) -> None:
        self._endpoints: dict[str, _Endpoint] = {}

    def read(self, state: RunState) -> AttachedView | None:
        """The current view; None unless the run is attached to servers."""
        if state.servers is None:
            return None
        found = [self._endpoint(name, lane, lane.server) for name, lane in state.lanes.items() if lane.server]
        running = sorted((pair for one in found for pair in one.running), key=_number, reverse=True)
        ended = sorted((pair for one in found for pair in one.ended), key=_number, reverse=True)
        return AttachedView(
            endpoints=tuple(one.row for one in found),
            total=_total(found) if len(found) > 1 else None,
            requests=tuple(row for _, row in (*running, *ended[:ENDED_ROWS])),
            answers=tuple(_answer(answer) for answer in state.servers.answers.values()),
        )

    def _endpoint(self, name: str, lane: LaneState, server: EndpointState) -> _Endpoint:
        known = self._endpoints.get(name)
        if known is None or known.revision != lane.revision:
            known = self._endpoints[name] = _read(lane, server)
        return known


def _number(pair: tuple[int, RequestRow]) -> int:
    return pair[0]


def newest_slot(lane: LaneState) -> int | None:
    """The slot of a lane's newest request in flight, else of the one that ended last; None without a request."""
    requests = lane.round.requests
    running = next((slot for slot in reversed(requests) if requests[slot].finished is None), None)
    if running is not None or lane.server is None or not lane.server.ended:
        return running
    return lane.server.ended[-1]


def _read(lane: LaneState, server: EndpointState) -> _Endpoint:
    rows = [(request, request.served) for request in lane.round.requests.values() if request.served is not None]
    running = tuple((one.number, request_row(lane, request)) for request, one in rows if request.finished is None)
    ended = tuple((one.ended, request_row(lane, request)) for request, one in rows if one.ended is not None)
    pool, times = _pool(lane, server), server.times.read()
    return _Endpoint(lane.revision, _row(lane, server, pool, times, len(running)), pool, times, running, ended)


def _row(lane: LaneState, server: EndpointState, pool: Pool, times: TimeSums, running: int) -> EndpointRow:
    seen, serving, sample = server.seen, server.serving, server.counters.last
    counts = sample is not None
    live = server.stage == "live"
    length, rate = pool.length, pool.rate
    if sample is not None and sample.drafts is None:
        length = sample.length if live else None
    if sample is not None and sample.drafted is None:
        rate = sample.rate if live else None
    return EndpointRow(
        lane=lane.info.name,
        title=lane.info.title,
        kind=seen.kind if seen else "unknown",
        stage=server.stage,
        why=server.why or (seen.why if seen else ""),
        model=seen.model if seen else "",
        k=lane.k if lane.info.k_max else None,
        k_max=lane.info.k_max or None,
        control=bool(seen and seen.control) and live,
        why_not=seen.why_not if seen else "",
        length=length,
        rate=rate,
        by_position=pool.by_position,
        tok_s=None if not live else server.counters.tok_s() if counts else server.rate.read(),
        step_ms=times.mean_ms(times.wall_ns),
        draft_ms=times.mean_ms(times.draft_ns),
        verify_ms=times.mean_ms(times.verify_ns),
        running=None if not live else sample.running if sample else running,
        waiting=None if not live else sample.waiting if sample else serving.waiting if serving else None,
        emitted=server.counters.emitted if counts else lane.run.totals.emitted if seen else None,
        lost=None if lane.waiting or lane.run.unsure else lane.run.lost,
        dropped=serving.dropped if serving else 0,
        malformed=max(serving.malformed if serving else 0, sample.malformed if sample else 0),
        cache_share=sample.cache_share if sample and live else None,
    )


def _pool(lane: LaneState, server: EndpointState) -> Pool:
    counters = server.counters
    return _counted(counters) if counters.last is not None else _seen(lane.window.read())


def _seen(window: Acceptance) -> Pool:
    return Pool(window.steps, window.drafted, window.accepted, window.reached, window.kept)


def _counted(counters: CounterMeter) -> Pool:
    """Counters say how often a position was accepted, and how many steps had a draft, as vLLM pools them."""
    drafts = counters.grown(lambda sample: sample.drafts)
    kept = counters.accepted_at() if drafts is not None else ()
    return Pool(
        drafts,
        counters.grown(lambda sample: sample.drafted),
        counters.grown(lambda sample: sample.accepted),
        (drafts or 0,) * len(kept),
        kept,
        unplaced=bool(drafts) and not kept,
    )


def request_row(lane: LaneState, request: RequestState) -> RequestRow:
    """What is shown of one request of a server."""
    served = request.served
    assert served is not None
    totals, age_ns = served.totals, _age_ns(lane, request, served)
    return RequestRow(
        lane=lane.info.name,
        slot=request.slot,
        request=request.request,
        age_s=None if age_ns is None else age_ns / 1e9,
        prompt_tokens=request.prompt_tokens,
        emitted=request.emitted,
        k=served.k,
        length=1 + totals.accepted / totals.drafts if totals.drafts else None,
        rate=totals.accepted / totals.drafted if totals.drafted else None,
        tok_s=per_second(request.emitted - served.before, served.until_ns - served.since_ns),
        finished=request.finished,
    )


def _age_ns(lane: LaneState, request: RequestState, served: ServedRequest) -> int | None:
    """How long the server has had a request. It is said twice a second; while it has one, the lane clock goes on like
    the wall clock."""
    now_ns = lane.clock_ns if request.finished is None else served.until_ns
    if served.age_ns is not None:
        return served.age_ns + max(0, now_ns - served.aged_ns)
    return max(0, now_ns - served.since_ns) if served.whole else None


def _answer(answer: AnswerState) -> AnswerView:
    asked, last = answer.asked, answer.last
    text = "".join(answer.parts)
    if last is None:
        return AnswerView(asked.lane, asked.number, asked.prompt, text)
    return AnswerView(
        asked.lane,
        asked.number,
        asked.prompt,
        text,
        last.ended,
        last.fault,
        last.tokens,
        last.seconds,
        last.first_s,
        last.drafts,
        last.drafted,
        last.accepted,
        last.length,
    )


def _total(found: Sequence[_Endpoint]) -> EndpointRow:
    """The sum of several endpoints. Those that are not live count in what was seen of them, but not in what is now."""
    rows = [one.row for one in found]
    pool, times = Pool(), TimeSums()
    for one in found:
        # A length whose counts are not known makes that of the sum unknown; an endpoint without any does not.
        if one.row.stage == "live" and (one.pool.drafts is not None or one.row.length is not None):
            pool = pool.plus(one.pool)
        times = times.plus(one.times) if one.times.steps else times
    stages = [row.stage for row in rows]
    return EndpointRow(
        lane="",
        title=f"{len(rows)} endpoints",
        kind=_same(row.kind for row in rows) or "unknown",
        stage=min(stages, key=("live", "connecting", "gone", "refused").index),
        model=_same(row.model for row in rows if row.model) or "",
        k=_same(row.k for row in rows if row.k is not None),
        k_max=_same(row.k_max for row in rows if row.k_max is not None),
        control=any(row.control for row in rows),
        length=pool.length,
        rate=pool.rate,
        by_position=pool.by_position,
        tok_s=_sum(row.tok_s for row in rows),
        step_ms=times.mean_ms(times.wall_ns),
        draft_ms=times.mean_ms(times.draft_ns),
        verify_ms=times.mean_ms(times.verify_ns),
        running=_sum(row.running for row in rows),
        waiting=_sum(row.waiting for row in rows),
        emitted=_sum(row.emitted for row in rows),
        lost=None if any(row.lost is None for row in rows) else sum(row.lost or 0 for row in rows),
        dropped=sum(row.dropped for row in rows),
        malformed=sum(row.malformed for row in rows),
    )


_Number = TypeVar("_Number", int, float)
_Value = TypeVar("_Value")


def _sum(values: Iterable[_Number | None]) -> _Number | None:
    """The sum of what is known; None if nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _same(values: Iterable[_Value]) -> _Value | None:
    """What all of them are; None if they differ, or there are none."""
    found = set(values)
    return found.pop() if len(found) == 1 else None
