"""Finds events of attached servers that make no sense; see `spectui.trace.sense`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spectui.protocol import events as ev
from spectui.protocol.limits import MAX_K

MOST_RUNNING = 65_536
"""Requests that a server may have in flight."""


def contradicting(totals: ev.Totals) -> str | None:
    """What is wrong with a lane's totals; None if nothing is."""
    if min(totals) < 0:
        return f"a lane's total is {min(totals)}"
    sound = totals.accepted <= totals.drafted and totals.drafts <= totals.steps
    return None if sound else "a lane's totals contradict each other"


def _counted(step: ev.CountedStep) -> str | None:
    if not 0 <= step.accepted <= step.drafted:
        return f"{step.accepted} of {step.drafted} drafted tokens were accepted"
    if step.drafted > MAX_K:
        return f"{step.drafted} tokens were drafted"
    if min(step.emitted, step.cut) < 0 or step.emitted + step.cut > MAX_K + 1:
        return f"{step.emitted + step.cut} tokens came out of one step"
    if len(step.ids) not in (0, step.emitted + step.cut) or len(step.text) not in (0, len(step.ids)):
        return "not every token has its id and its text"
    if step.wall_ns <= 0 or step.clock_ns < 0:
        return "it took no time"
    if step.totals is not None and (why := contradicting(step.totals)):
        return why
    if step.before is not None and step.before < 0:
        return f"{step.before} tokens came before it"
    return None if 0 <= step.k <= MAX_K else f"K is {step.k}"


def _seen(seen: ev.ServerSeen) -> str | None:
    if seen.info.name != seen.lane:
        return f"what is said of {seen.lane} is about {seen.info.name}"
    return None if 0 <= seen.share <= 1 else f"the share of requests is {seen.share:g}"


def _serving(serving: ev.Serving) -> str | None:
    if len(serving.running) > MOST_RUNNING:
        return f"{len(serving.running)} requests are in flight"
    if max(len(serving.accepted_at), len(serving.drafted_at)) > MAX_K:
        return f"{max(len(serving.accepted_at), len(serving.drafted_at))} positions were drafted"
    counts = (serving.waiting, serving.dropped, serving.malformed, *serving.accepted_at, *serving.drafted_at)
    if min(counts) < 0:
        return f"a count is {min(counts)}"
    return None if serving.since_start is None else contradicting(serving.since_start)


def _sample(sample: ev.CounterSample) -> str | None:
    if len(sample.accepted_at) > MAX_K:
        return f"{len(sample.accepted_at)} positions were drafted"
    counts = (sample.drafts, sample.drafted, sample.accepted, sample.emitted, sample.running, sample.waiting)
    known = [count for count in (*counts, *sample.accepted_at) if count is not None]
    return f"a counter is {min(known)}" if min(known, default=0) < 0 else None


SERVING_NONSENSE: dict[type, Callable[[Any], str | None]] = {
    ev.CountedStep: _counted,
    ev.ServerSeen: _seen,
    ev.Serving: _serving,
    ev.CounterSample: _sample,
}
"""As in `spectui.trace.sense`."""
