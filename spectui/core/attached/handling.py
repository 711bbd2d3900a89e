"""Folds what attached servers say into a `RunState`."""

from __future__ import annotations

from spectui.core.acceptance import AcceptanceCounter
from spectui.core.attached.state import (
    MOST_ANSWERS,
    MOST_CHARACTERS,
    MOST_ENDED,
    MOST_REQUESTS,
    SERVED_STEPS,
    AnswerState,
    ServedRequest,
)
from spectui.core.history import History
from spectui.core.state import WINDOW_STEPS, LaneState, RequestState, RunState
from spectui.core.step_costs import StepCosts
from spectui.core.trouble import TroubleWatch
from spectui.protocol import events as ev


def server_state(state: RunState, event: ev.ServerState) -> None:
    """An endpoint answers, or no longer does."""
    lane = state.lanes.get(event.lane)
    if lane is None or lane.server is None:
        return
    lane.server.stage, lane.server.why = event.stage, event.why
    lane.revision += 1
    if event.stage != "live":
        lane.server.rate.clear()
        lane.server.counters.clear()


def server_seen(state: RunState, event: ev.ServerSeen) -> None:
    """What a server runs is known, or has changed."""
    lane = state.lanes.get(event.lane)
    if lane is None or lane.server is None:
        return
    former, lane.server.seen = lane.server.seen, event
    if former is not None and former.session != event.session:
        lane.server.forget_figures()
    if former is not None and _drafts_as(former) != _drafts_as(event):
        _begin_again(lane)
    if former is None or (former.session, former.info) != (event.session, event.info):
        # Of a server that has not begun again, K is as it was last set.
        lane.info, lane.k, lane.k_source = event.info, event.info.k_first, event.info.k_source
    lane.revision += 1


def _drafts_as(seen: ev.ServerSeen) -> tuple[str, str, int]:
    """What the figures of drafting depend on."""
    return seen.model, seen.info.method, seen.info.k_max


def _begin_again(lane: LaneState) -> None:
    """Forget how an earlier server drafted at this endpoint; its tokens and its time still count."""
    assert lane.server is not None
    lane.acceptance, lane.window = AcceptanceCounter(), AcceptanceCounter(WINDOW_STEPS)
    lane.costs, lane.trouble, lane.engine = StepCosts(), TroubleWatch(), None
    lane.ledger.clear()
    lane.server.times.clear()


def serving(state: RunState, event: ev.Serving) -> None:
    """How an endpoint stands."""
    lane = state.lanes.get(event.lane)
    if lane is None or lane.server is None:
        return
    lane.server.serving = event
    lane.server.rate.add(event.at_ns, lane.run.totals.emitted)
    for one in event.running:
        request = lane.round.requests.get(one.slot)
        if request is not None and request.served is not None:
            request.served.age_ns, request.served.aged_ns = one.age_ns, lane.clock_ns
    lane.revision += 1


def counter_sample(state: RunState, event: ev.CounterSample) -> None:
    """The counters of an endpoint were read."""
    lane = state.lanes.get(event.lane)
    if lane is not None and lane.server is not None:
        lane.server.counters.add(event)
        lane.revision += 1


def asked(state: RunState, event: ev.Asked) -> None:
    """A prompt was sent from here."""
    if state.servers is None:
        return
    answers = state.servers.answers
    answers[event.number] = AnswerState(event)
    while len(answers) > MOST_ANSWERS:
        del answers[next(iter(answers))]
    state.revision += 1


def answered(state: RunState, event: ev.Answered) -> None:
    """A part of an answer came, or its end."""
    answer = state.servers.answers.get(event.number) if state.servers else None
    if answer is None:
        return
    answer.last = event
    if event.text and answer.characters < MOST_CHARACTERS:
        answer.parts.append(event.text[: MOST_CHARACTERS - answer.characters])
        answer.characters += len(answer.parts[-1])
    state.revision += 1


def begin_request(state: RunState, lane: LaneState, request: RequestState) -> None:
    """A request of a server begins; ``request`` is not among the lane's yet."""
    if state.servers is None:
        return
    request.served = ServedRequest(state.servers.began)
    request.history = History(SERVED_STEPS)
    state.servers.began += 1
    requests = lane.round.requests
    while len(requests) >= MOST_REQUESTS:
        del requests[next(iter(requests))]


def count_step(request: RequestState, event: ev.AnyStep, own: ev.Totals) -> None:
    """Count a step of a server's request, whose output tokens before it are known by now."""
    served = request.served
    if served is None:
        return
    if not served.totals.steps:
        served.since_ns, served.before = event.clock_ns - event.wall_ns, request.emitted
        served.whole = not event.index
    served.k, served.until_ns, served.totals = event.k, event.clock_ns, served.totals.plus(own)


def end_request(state: RunState, lane: LaneState, request: RequestState) -> None:
    """A request of a server has just ended; of those that ended long ago only their sums are kept."""
    if state.servers is None or lane.server is None or request.served is None:
        return
    request.served.ended = state.servers.ended
    state.servers.ended += 1
    kept, requests = lane.server.ended, lane.round.requests
    kept.append(request.slot)
    while len(kept) > MOST_ENDED:
        oldest = requests.get(kept.popleft())
        if oldest is not None and oldest.finished is not None:
            del requests[oldest.slot]
