"""Folds events into a `RunState`. Deterministic: the same events give the same state, live or replayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spectui.core.attached import handling as attached
from spectui.core.attached.state import AttachedState, EndpointState
from spectui.core.comparing import compare, stop_comparing
from spectui.core.heat import alike
from spectui.core.lost_steps import catch_up, lose
from spectui.core.machine import measured_bandwidth
from spectui.core.state import LaneRound, LaneState, RequestState, RunState
from spectui.core.stepping import count_step
from spectui.core.tokens import branch_tokens
from spectui.core.trouble import before_the_first_step
from spectui.protocol import events as ev
from spectui.protocol import playback, samples


def reduce(state: RunState, event: ev.TraceEvent | playback.Played) -> None:
    """Fold one event into ``state``. An event about an unknown lane is ignored: a trace may begin in the middle."""
    _HANDLERS[type(event)](state, event)


def _run_started(state: RunState, event: ev.RunStarted) -> None:
    state.started = event
    state.sampling = event.sampling
    state.servers = AttachedState() if event.attached else None
    state.lanes = {
        info.name: LaneState(
            info,
            info.k_first,
            ev.LaneStage(info.name, "waiting"),
            info.k_source,
            server=EndpointState() if event.attached else None,
        )
        for info in event.lanes
    }
    state.revision += 1


def _lane_stage(state: RunState, event: ev.LaneStage) -> None:
    if lane := state.lanes.get(event.lane):
        lane.stage = event
        lane.failed = event.detail if event.stage == "failed" else None
        if lane.failed is not None:
            lane.memory = None
        lane.revision += 1


def _lane_checked(state: RunState, event: ev.LaneChecked) -> None:
    if lane := state.lanes.get(event.lane):
        lane.checked = event
        lane.revision += 1
        if event.warning:
            state.notice = f"{lane.info.title}: {event.warning}"
            state.notices += 1
            state.revision += 1


def _lane_engine(state: RunState, event: ev.LaneEngine) -> None:
    if lane := state.lanes.get(event.lane):
        lane.engine = event
        lane.trouble.found = before_the_first_step(lane.info, event)
        lane.revision += 1


def _round_started(state: RunState, event: ev.RoundStarted) -> None:
    state.round = event.round
    state.prompts = event.prompts
    state.absent, state.parent = event.absent, event.parent
    state.sampling = event.sampling
    state.round_over = False
    state.inspected = None
    state.revision += 1
    for lane in state.lanes.values():
        for request in lane.round.requests.values():
            if request.finished is None:
                lane.answers.add(request)
        # While steps may be missing, it is not known to which of the two rounds they belong.
        lane.round = LaneRound(start_ns=lane.clock_ns, clock_ns=lane.clock_ns, unsure=lane.waiting)
        lane.ledger.clear()
        if lane.server is not None:
            lane.server.ended.clear()
            lane.server.counters.restart()
        lane.revision += 1


def _request_started(state: RunState, event: ev.RequestStarted) -> None:
    if lane := state.lanes.get(event.lane):
        request = RequestState(
            event.request,
            event.slot,
            event.prompt_tokens,
            event.as_ar,
            alike=alike(state.prompts, state.sampling, event),
        )
        for text, role in branch_tokens(state.parent):
            request.log.append(text, role)
        attached.begin_request(state, lane, request)
        lane.round.put(request)
        lane.revision += 1


def _request_finished(state: RunState, event: ev.RequestFinished) -> None:
    lane = state.lanes.get(event.lane)
    request = lane.round.requests.get(event.slot) if lane else None
    if lane and request:
        ends, request.finished = request.finished is None, event.reason
        lane.revision += 1
        lane.round.claim(request, max(request.emitted, event.emitted))
        if ends:
            lane.answers.add(request)
            attached.end_request(state, lane, request)
        # More tokens were emitted than the steps account for: the last steps are missing, without a gap that says so.
        # A server may have emitted some before it was watched.
        if lane.server is None and lane.round.claimed > lane.round.totals.emitted:
            lane.waiting = True
            stop_comparing(state, lane)
        compare(state, lane, request)


def _preempted(state: RunState, event: ev.Preempted) -> None:
    if lane := state.lanes.get(event.lane):
        lane.preemptions += 1
        lane.revision += 1


def _margin(state: RunState, event: ev.Margin) -> None:
    lane = state.lanes.get(event.lane)
    request = lane.round.requests.get(event.slot) if lane else None
    if lane and request:
        request.margin = event.margin
        lane.revision += 1


def _round_finished(state: RunState, event: ev.RoundFinished) -> None:
    state.round_over = event.round == state.round and not state.goes_on
    state.revision += 1


def _k_changed(state: RunState, event: ev.KChanged) -> None:
    if lane := state.lanes.get(event.lane):
        lane.k, lane.k_source = event.k, event.source
        lane.revision += 1


def _paused(state: RunState, event: ev.Paused) -> None:
    state.paused = event.paused
    state.revision += 1


def _inspected(state: RunState, event: ev.Inspected) -> None:
    state.inspected = event
    state.revision += 1


def _tuning(state: RunState, event: ev.TuneTurn | ev.TuneEnded) -> None:
    state.tuning = event
    state.revision += 1
    # In older traces the preceding change of K does not say that it came from the search.
    kept = isinstance(event, ev.TuneEnded) and event.last.turn and not event.fault
    if kept and (lane := state.lanes.get(event.lane)):
        lane.k_source = "tuned"
        lane.revision += 1


def _bench(state: RunState, event: ev.BenchTurn | ev.BenchEnded) -> None:
    state.bench = event
    state.revision += 1


def _lane_memory(state: RunState, event: samples.LaneMemory) -> None:
    if lane := state.lanes.get(event.lane):
        lane.memory = event
        lane.revision += 1


def _telemetry_started(state: RunState, event: samples.TelemetryStarted) -> None:
    state.machine.started = event
    state.revision += 1


def _telemetry(state: RunState, event: samples.TelemetrySample) -> None:
    machine = state.machine
    machine.samples += 1
    machine.past.append(event)
    peaks = machine.started.peaks if machine.started else ()
    measured = measured_bandwidth(event, peaks)
    machine.bandwidth.append(_estimated_bandwidth(state) if measured is None else measured)
    state.revision += 1


def _estimated_bandwidth(state: RunState) -> float | None:
    """Recent traffic of the running lanes. They take turns on one device, so this is their mean, not their sum."""
    if state.paused or state.fault is not None:
        return None
    running = [lane.round.traffic.read() for lane in state.lanes.values() if lane.running]
    known = [traffic.recent for traffic in running if traffic is not None]
    return sum(known) / len(known) if known else None


def _playhead(state: RunState, event: playback.Playhead) -> None:
    state.playhead = event
    state.revision += 1


def _marks(state: RunState, event: playback.PlaybackMarks) -> None:
    state.marks = event
    state.revision += 1


def _recording(state: RunState, event: playback.Recording) -> None:
    state.recording = event.path
    state.revision += 1


def _notice(state: RunState, event: ev.Notice) -> None:
    state.notice = event.text
    state.notices += 1
    if event.level == "error" and event.lane is None:
        state.fault = event.text
    if event.refused and state.round is not None:
        # The next turn does not begin, so the last one was the end.
        state.round_over = not any(lane.running for lane in state.lanes.values())
    state.revision += 1


def _gap(state: RunState, event: ev.Gap) -> None:
    state.lost += event.lost
    state.revision += 1
    for name, clock_ns in event.clocks:
        if lane := state.lanes.get(name):
            for sums in (lane.run, lane.round):
                sums.start_ns = sums.clock_ns = clock_ns
            lane.told = None
            lose(state, lane, None)
    known = 0
    for reached in event.reached:
        if lane := state.lanes.get(reached.lane):
            lost = lane.run.lost
            catch_up(state, lane, reached.totals, ev.NOTHING, reached.clock_ns)
            lane.run.clock_ns = lane.round.clock_ns = reached.clock_ns
            lane.revision += 1
            known += lane.run.lost - lost
    if known < event.lost:
        # A server says what it lost of its own steps.
        told = {reached.lane for reached in event.reached} if state.servers is not None else None
        for name, lane in state.lanes.items():
            if not told or name in told:
                lane.waiting = True
                stop_comparing(state, lane)


_HANDLERS: dict[type, Callable[[RunState, Any], None]] = {
    ev.RunStarted: _run_started,
    ev.LaneStage: _lane_stage,
    ev.LaneChecked: _lane_checked,
    ev.LaneEngine: _lane_engine,
    ev.RoundStarted: _round_started,
    ev.RequestStarted: _request_started,
    ev.Step: count_step,
    ev.CountedStep: count_step,
    ev.RequestFinished: _request_finished,
    ev.Preempted: _preempted,
    ev.Margin: _margin,
    ev.RoundFinished: _round_finished,
    ev.KChanged: _k_changed,
    ev.Paused: _paused,
    ev.Inspected: _inspected,
    ev.TuneTurn: _tuning,
    ev.TuneEnded: _tuning,
    ev.BenchTurn: _bench,
    ev.BenchEnded: _bench,
    ev.Notice: _notice,
    ev.Gap: _gap,
    ev.ServerState: attached.server_state,
    ev.ServerSeen: attached.server_seen,
    ev.Serving: attached.serving,
    ev.CounterSample: attached.counter_sample,
    ev.Asked: attached.asked,
    ev.Answered: attached.answered,
    samples.LaneMemory: _lane_memory,
    samples.TelemetryStarted: _telemetry_started,
    samples.TelemetrySample: _telemetry,
    playback.Playhead: _playhead,
    playback.PlaybackMarks: _marks,
    playback.Recording: _recording,
}
