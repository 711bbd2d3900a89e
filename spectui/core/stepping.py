"""Folds a verification step into the figures of its lane and its request."""

from __future__ import annotations

from spectui.core.attached import handling as attached
from spectui.core.comparing import compare
from spectui.core.history import PastStep
from spectui.core.ledger import ledger_row
from spectui.core.lost_steps import catch_up
from spectui.core.state import RunState
from spectui.core.watching import watch
from spectui.protocol import events as ev


def count_step(state: RunState, event: ev.AnyStep) -> None:
    """Count a step, whether its ids are known or only their numbers."""
    lane = state.lanes.get(event.lane)
    if lane is None:
        return
    lane.revision += 1
    if event.clock_ns != lane.clock_ns:
        # The first request of an engine step speaks for all of them.
        state.disturbance.add(event.disturbed, state.machine.samples)
        for sums in (lane.run, lane.round):
            sums.add_time(event.wall_ns, disturbed=event.disturbed)
        if lane.server is not None:
            lane.server.times.add(event.wall_ns, event.draft_ns, event.verify_ns)
    lane.run.clock_ns = event.clock_ns
    own = event.own_totals
    # A server has no earlier round that lost steps could belong to.
    first = not event.index and lane.server is None
    catch_up(state, lane, event.totals, own, event.clock_ns - event.wall_ns, first=first)
    lane.run.totals = lane.run.totals.plus(own)
    lane.acceptance.add(own.drafted, event.accepted)
    lane.window.add(own.drafted, event.accepted)

    lane.costs.add(event)

    current = lane.round
    if lane.k_source == "auto":
        lane.k = event.k
    elif current.k not in (None, event.k):
        current.k_changes.append((current.elapsed_ns, event.k))
    current.k = event.k
    current.clock_ns = event.clock_ns
    row = ledger_row(current.totals.steps, event)
    lane.ledger.append(row)
    current.totals = current.totals.plus(own)
    current.series.add(own.emitted, current.elapsed_ns)

    request = current.requests.get(event.slot)
    if request is not None and event.before is not None:
        current.claim(request, event.before)
    watch(state, lane, event, 0 if request is None else request.context)
    if request is None:
        return
    if lane.memory is not None:
        current.traffic.add(event, request.context, lane.memory)
    attached.count_step(request, event, own)
    if isinstance(event, ev.Step):
        request.history.append(PastStep(event, request.emitted, len(request.log)))
        request.ids.extend(event.emitted)
        request.looks.add(event)
    else:
        request.history.skip(event, request.emitted, len(request.log))
        request.ids.extend(event.ids[: event.emitted])
        if event.text:
            request.looks.add(event)
    current.claim(request, request.emitted + own.emitted)
    request.cut += own.cut
    for text, role in row.tokens:
        request.log.append(text, role)
    compare(state, lane, request)
