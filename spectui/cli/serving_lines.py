"""What attached servers say, in plain lines for where there is no screen."""

from __future__ import annotations

from spectui.figures import number_text
from spectui.protocol.events import Answered, Asked, CountedStep, CounterSample, Event, ServerSeen, ServerState


def serving_line(event: Event) -> str | None:
    """Describe an event in one plain line; None for any other event, and for those that a log does not need."""
    match event:
        case CountedStep():
            cut = f" cut={event.cut}" if event.cut else ""
            return (
                f"{event.lane:<12} #{event.index:<4} K={event.k} drafted={event.drafted} accepted={event.accepted}"
                f"{cut} {event.wall_ns / 1e6:6.1f} ms  emitted={event.emitted}"
            )
        case ServerState(lane, stage, why, downtime_ns):
            away = "" if downtime_ns is None else f" after {downtime_ns / 1e9:.1f} s"
            return f"{lane:<12} {stage}{away}{': ' if why else ''}{why}"
        case ServerSeen(lane, info):
            k = f" K={info.k_first}" if info.k_max else ""
            method = "method unknown" if info.method == "unknown" else info.method
            drafts = "drafts are visible" if event.drafts else event.why or "drafts are not visible"
            return f"{lane:<12} {event.model or 'unknown model'} at {event.address}, {method}{k}: {drafts}"
        case CounterSample():
            return _sample_line(event)
        case Asked(lane, _, prompt):
            return f"{lane:<12} asked: {' '.join(prompt.split())[:100]}"
        case Answered() if event.ended or event.fault:
            return f"{event.lane:<12} {event.fault or _answer(event)}"
    return None


def _sample_line(sample: CounterSample) -> str:
    figures = {
        "drafts": number_text(sample.drafts, form="d"),
        "drafted": number_text(sample.drafted, form="d"),
        "accepted": number_text(sample.accepted, form="d"),
        "emitted": number_text(sample.emitted, form="d"),
        "running": number_text(sample.running, form="d"),
        "waiting": number_text(sample.waiting, form="d"),
    }
    return f"{sample.lane:<12} counters: {' '.join(f'{name}={value}' for name, value in figures.items())}"


def _answer(answered: Answered) -> str:
    tokens, seconds = number_text(answered.tokens, form="d"), number_text(answered.seconds, form=".2f")
    length = "" if answered.length is None else f", acceptance length {answered.length:.2f}"
    return f"answered: {tokens} tokens in {seconds} s{length}"
