"""Runs the race without a screen: prints one plain line per step, then a table or JSON."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TextIO

from spectui.cli.serving_lines import serving_line
from spectui.core.captions import forked_sentence
from spectui.core.comparable import details, how
from spectui.core.disturbance import DOUBTFUL
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.summary import LaneSummary, RunSummary, summary_of
from spectui.figures import DASH, number_text, ratio_text
from spectui.protocol.commands import NextPrompt
from spectui.protocol.events import (
    Event,
    LaneChecked,
    LaneStage,
    Margin,
    Notice,
    Prompt,
    RequestFinished,
    RoundFinished,
    RoundStarted,
    Step,
)
from spectui.protocol.playback import StateReplaced
from spectui.protocol.source import Source
from spectui.runtime import output


class _Queue:
    """A sink that keeps every event, since a report must not lose a step."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def emit(self, event: Event) -> None:
        self.events.put(event)


def run_headless(source: Source, rounds: int, out: TextIO, *, as_json: bool) -> RunState:
    """Race ``rounds`` prompts with their whole conversations, and report to ``out``; returns the state of the run."""
    sink = _Queue()
    state = RunState()
    say: Callable[[str], None] = (lambda line: None) if as_json else (lambda line: print(line, file=out, flush=True))
    source.start(sink)
    started = time.monotonic()
    raced = 0
    while raced < rounds:
        event = sink.events.get()
        if isinstance(event, StateReplaced):
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
    summary = summary_of(state)
    if as_json:
        print(output.as_json(asdict(summary)), file=out)
    else:
        print("\n".join(["", *table(summary)]), file=out)
    return state


def _refused(event: Event) -> bool:
    """Whether a round did not begin, because its prompt is too long or the chat template rejects it."""
    return isinstance(event, Notice) and event.refused


def describe(event: Event, elapsed_s: float) -> str | None:
    """Describe an event in one plain line; None for events that a log does not need."""
    line = _line(event, elapsed_s)
    return None if line is None else output.visible(line)


def _line(event: Event, elapsed_s: float) -> str | None:
    match event:
        case Step():
            return _step_line(event)
        case LaneStage(lane, stage, detail):
            progress = f" {event.done * 100 // event.total} %" if event.done is not None and event.total else ""
            return f"{lane:<12} {stage}{' ' + detail if detail else ''}{progress} ({elapsed_s:.1f} s)"
        case LaneChecked():
            return f"{event.lane:<12} self-test: {_checked(event)}"
        case RoundStarted(number, prompts, _, absent, parent) if prompts:
            forked = "" if parent is None else f", {forked_sentence(parent, parent.lane, json.dumps)}"
            return f"round {number}{forked}: " + " | ".join(
                _prompt_line(p) for s, p in enumerate(prompts) if s not in absent
            )
        case RequestFinished(lane, request, _, reason, emitted):
            return f"{lane:<12} request {request} finished ({reason}), {emitted} tokens"
        case Margin(lane, slot, position, margin):
            return f"{lane:<12} prompt {slot} diverged from AR at token {position + 1}, top-2 margin {margin:.3f}"
        case Notice(text, lane):
            return f"{lane or 'note':<12} {text}"
    return serving_line(event)


def _checked(found: LaneChecked) -> str:
    if found.warning:
        return found.warning
    whose = "its own at K = 0" if found.plain else "AR's"
    if found.position is None:
        return f"{found.tokens} tokens equal {whose}"
    margin = number_text(found.margin, form=".3f")
    return f"diverged from {whose} text at token {found.position + 1}, a near tie (top-2 margin {margin})"


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


def table(summary: RunSummary) -> list[str]:
    """Format the summary as a table for people."""
    rows = [f"{'lane':<12} {'K':>3} {'tokens':>7} {'tok/s':>8} {'speed-up':>9} {'length':>7} {'rate':>6}  K is"]
    rows += [_row(lane) for lane in summary.lanes]
    if warnings := [f"{lane.lane:<12} {lane.warning}" for lane in summary.lanes if lane.warning]:
        rows += ["", *warnings]
    if disturbed := [
        f"{lane.lane} {lane.disturbed_share * 100:.0f} %"
        for lane in summary.lanes
        if lane.disturbed_share is not None and lane.disturbed_share > DOUBTFUL
    ]:
        held_up = ", ".join(disturbed)
        rows += ["", f"the run was disturbed ({held_up} of the time): measure again on a quiet machine"]
    if lost := [_lost_row(lane) for lane in summary.lanes if lane.steps_lost != 0]:
        rows += ["", *lost]
    if wrong := [row for lane in summary.lanes for row in _wrong_rows(lane)]:
        rows += ["", *wrong]
    if engines := _engine_rows(summary):
        rows += ["", *engines]
    return [output.visible(row) for row in rows]


def _row(lane: LaneSummary) -> str:
    if lane.failed:
        return f"{lane.lane:<12} failed: {lane.failed}"
    return (
        f"{lane.lane:<12} {number_text(lane.k, form='d'):>3} {lane.tokens:>7} {number_text(lane.tok_s, form='.1f'):>8} "
        f"{ratio_text(lane.speedup):>9} {number_text(lane.acceptance_length, form='.2f'):>7} "
        f"{number_text(lane.draft_acceptance_rate, form='.2f'):>6}  {lane.k_source or DASH}"
    )


def _wrong_rows(lane: LaneSummary) -> list[str]:
    """Why the lane's speed-up says little, and its signs of trouble with their likely causes."""
    rows = [f"{lane.lane:<12} ≠ {lane.not_comparable}"] if lane.not_comparable else []
    for one in () if lane.failed else lane.troubles:
        rows.append(f"{lane.lane:<12} {one.mark} {one.seen}: {one.figures}")
        rows += [f"{'':<12}   {cause}" for cause in one.causes]
    return rows


def _engine_rows(summary: RunSummary) -> list[str]:
    """How the lanes' engines compute: in one row if they all do it alike."""
    said: dict[str, list[str]] = {}
    for lane in summary.lanes:
        if lane.engine is not None:
            scheduling = f"{lane.engine.scheduling} scheduling" if lane.engine.scheduling else ""
            parts = (how(lane.engine, lane.k or 0), details(lane.engine), scheduling)
            said.setdefault(", ".join(filter(None, parts)), []).append(lane.lane)
    if len(said) == 1:
        return [f"{'engines':<12} {text}" for text in said]
    return [f"{', '.join(names):<12} {text}" for text, names in said.items()]


def _lost_row(lane: LaneSummary) -> str:
    if lane.steps_lost is None:
        return f"{lane.lane:<12} partial: an unknown number of steps is missing"
    steps = f"{lane.steps_lost:,} step{'s' if lane.steps_lost > 1 else ''} not seen"
    return f"{lane.lane:<12} {steps}: counted everywhere except in acceptance by position and disturbed time"
