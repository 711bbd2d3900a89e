"""The race without a screen: one plain line a step, then a table or JSON."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TextIO

from spectui.core.disturbance import DOUBTFUL
from spectui.core.rates import per_second
from spectui.core.reducer import reduce
from spectui.core.state import LaneState, RunState
from spectui.protocol.commands import NextPrompt
from spectui.protocol.events import (
    Event,
    LaneStage,
    Margin,
    Notice,
    Prompt,
    RequestFinished,
    RoundFinished,
    RoundStarted,
    Step,
)
from spectui.protocol.jump import Emitted, Jumped
from spectui.protocol.source import Source
from spectui.runtime import output

DASH = "—"


class _Queue:
    """A sink that keeps everything: a report must not lose a step."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[Emitted] = queue.SimpleQueue()

    def emit(self, event: Emitted) -> None:
        self.events.put(event)


def run_headless(source: Source, rounds: int, out: TextIO, *, as_json: bool) -> RunState:
    """Race ``rounds`` prompts, each conversation whole, and report on ``out``; returns what is known about the run."""
    sink = _Queue()
    state = RunState()
    say: Callable[[str], None] = (lambda line: None) if as_json else (lambda line: print(line, file=out, flush=True))
    source.start(sink)
    started = time.monotonic()
    raced = 0
    while raced < rounds:
        event = sink.events.get()
        if isinstance(event, Jumped):
            state = event.state
            continue
        reduce(state, event)
        if line := describe(event, time.monotonic() - started):
            say(line)
        if (isinstance(event, RoundFinished) and not state.goes_on) or _refused(event):
            raced += 1
            if raced < rounds:
                source.send(NextPrompt())
        elif state.dead:
            break
    source.stop(timeout_s=10)
    if as_json:
        print(output.as_json(summary(state)), file=out)
    else:
        print("\n".join(["", *table(state)]), file=out)
    return state


def _refused(event: Event) -> bool:
    """Whether a round did not begin, because its prompt is too long or the chat template does not take it."""
    return isinstance(event, Notice) and event.refused


def describe(event: Event, elapsed_s: float) -> str | None:
    """One plain line about an event, None for what a log does not need."""
    line = _line(event, elapsed_s)
    return None if line is None else output.visible(line)


def _line(event: Event, elapsed_s: float) -> str | None:
    match event:
        case Step():
            return _step_line(event)
        case LaneStage(lane, stage, detail):
            progress = f" {event.done * 100 // event.total} %" if event.done is not None and event.total else ""
            return f"{lane:<12} {stage}{' ' + detail if detail else ''}{progress} ({elapsed_s:.1f} s)"
        case RoundStarted(number, prompts, _, absent):
            return f"round {number}: " + " | ".join(_prompt_line(p) for s, p in enumerate(prompts) if s not in absent)
        case RequestFinished(lane, request, _, reason, emitted):
            return f"{lane:<12} request {request} finished ({reason}), {emitted} tokens"
        case Margin(lane, slot, position, margin):
            return f"{lane:<12} prompt {slot} left AR's path at token {position}, top-2 margin {margin:.3f}"
        case Notice(text, lane):
            return f"{lane or 'note':<12} {text}"
    return None


def _prompt_line(prompt: Prompt) -> str:
    turn = f"(turn {prompt.turn + 1} of {prompt.turns}) " if prompt.turns > 1 else ""
    return turn + " ".join(prompt.text.split())[:100]


def _step_line(step: Step) -> str:
    text = json.dumps("".join(step.text[: len(step.emitted)]), ensure_ascii=False)
    cut = f" cut={len(step.cut)}" if step.cut else ""
    return (
        f"{step.lane:<12} #{step.index:<4} K={step.k} drafted={len(step.drafted)} accepted={step.accepted}{cut} "
        f"{step.wall_ns / 1e6:6.1f} ms  {text}"
    )


def lane_summary(lane: LaneState, reference: LaneState | None) -> dict[str, Any]:
    """A lane's figures over the whole run. None is unknown or not applicable, never 0."""
    acceptance = lane.acceptance.read()
    tok_s = per_second(lane.emitted, lane.seen_ns) if lane.emitted else None
    ar_tok_s = per_second(reference.emitted, reference.seen_ns) if reference and reference.emitted else None
    return {
        "lane": lane.info.name,
        "method": lane.info.method,
        "k": lane.k if lane.info.k_max else None,
        "k_source": lane.k_source,
        "tokens": lane.emitted,
        "lane_time_s": lane.seen_ns / 1e9,
        "tok_s": tok_s,
        "speedup": tok_s / ar_tok_s if tok_s and ar_tok_s else None,
        "acceptance_length": acceptance.length,
        "draft_acceptance_rate": acceptance.rate,
        "acceptance_by_position": list(acceptance.by_position),
        "drafted": acceptance.drafted,
        "accepted": acceptance.accepted,
        "drafted_steps": acceptance.steps,
        "disturbed_share": lane.disturbed_ns / lane.stepped_ns if lane.stepped_ns else None,
        "steps_lost": lost_steps(lane),
        "failed": lane.failed,
    }


def lost_steps(lane: LaneState) -> int | None:
    """Steps that were lost on the way. ``acceptance_by_position`` and ``disturbed_share`` are without them, every other
    figure counts them; None where steps are missing of which nothing is known, so that every figure is partial."""
    return None if lane.waiting or lane.unsure else lane.lost


def _lost_row(lane: LaneState) -> str:
    lost = lost_steps(lane)
    if lost is None:
        return f"{lane.info.name:<12} partial: an unknown number of steps is missing"
    steps = f"{lost:,} step{'s' if lost > 1 else ''} not seen"
    return f"{lane.info.name:<12} {steps}: counted everywhere but in acceptance by position and disturbed time"


def summary(state: RunState) -> dict[str, Any]:
    """The whole run for machines."""
    started = state.started
    return {
        "target": started.target if started else None,
        "machine": started.machine if started else None,
        "versions": dict(started.versions) if started else {},
        "sampling": asdict(state.sampling),
        "lanes": [lane_summary(lane, state.reference) for lane in state.lanes.values()],
    }


def table(state: RunState) -> list[str]:
    """The summary for people."""
    rows = [f"{'lane':<12} {'K':>3} {'tokens':>7} {'tok/s':>8} {'speed-up':>9} {'length':>7} {'rate':>6}  K is"]
    for lane in state.lanes.values():
        s = lane_summary(lane, state.reference)
        if s["failed"]:
            rows.append(f"{s['lane']:<12} failed: {s['failed']}")
            continue
        speedup = _figure(s["speedup"], ".2f", "x")
        rows.append(
            f"{s['lane']:<12} {_figure(s['k'], 'd'):>3} {s['tokens']:>7} {_figure(s['tok_s'], '.1f'):>8} {speedup:>9} "
            f"{_figure(s['acceptance_length'], '.2f'):>7} {_figure(s['draft_acceptance_rate'], '.2f'):>6}  "
            f"{s['k_source'] or DASH}"
        )
    if disturbed := [
        f"{lane.info.name} {lane.disturbed_ns / lane.stepped_ns * 100:.0f} %"
        for lane in state.lanes.values()
        if lane.disturbed_ns > DOUBTFUL * lane.stepped_ns
    ]:
        held_up = ", ".join(disturbed)
        rows += ["", f"the run was disturbed ({held_up} of the time): measure again on a quiet machine"]
    if lost := [_lost_row(lane) for lane in state.lanes.values() if lost_steps(lane) != 0]:
        rows += ["", *lost]
    return [output.visible(row) for row in rows]


def _figure(value: float | None, form: str, unit: str = "") -> str:
    return DASH if value is None else f"{value:{form}}{unit}"
