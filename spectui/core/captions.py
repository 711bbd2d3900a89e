"""Describes a lane in one sentence for people who have never heard of speculative decoding."""

from __future__ import annotations

from collections.abc import Callable

from spectui.core.beats import Phase
from spectui.core.views import LaneView
from spectui.protocol.events import Branch, Step

LOOK = "for one look at the model"


def lane_sentence(lane: LaneView) -> str:
    """Describe the shown request's last step, or the whole round once the lane is done; empty before the first step."""
    if lane.requests and not lane.active:
        faster = finished_sentence(lane.emitted, lane.round_s, lane.speedup if lane.info.k_max else None)
        unlike = "; not comparable, as the engines differ" if lane.unlike and lane.speedup is not None else ""
        return f"{faster}{unlike}{'; the race was disturbed' if lane.disturbed else ''}"
    past = lane.history.at(lane.history.last) if lane.history else None
    return step_sentence(past.step) if past else ""


def step_sentence(step: Step) -> str:
    """Describe the result of a step."""
    tokens = _count(len(step.emitted), "token")
    ended = ", then the answer ended" if step.cut else ""
    if not step.drafted:
        return f"{tokens} {LOOK}{ended}"
    guesses = len(step.drafted)
    verb = "was" if 1 in (step.accepted, guesses) else "were"
    return f"{step.accepted} of {guesses} guess{_es(guesses)} {verb} right: {tokens} {LOOK}{ended}"


def beat_sentence(step: Step, phase: Phase) -> str:
    """Describe what is happening in a step that is shown in slow motion."""
    guesses = len(step.drafted)
    match phase:
        case "draft":
            return f"the drafter guesses {_count(guesses, 'token')} ahead"
        case "verdict" if guesses == 1:
            return "one look at the model checks the guess"
        case "verdict":
            return f"one look at the model checks all {guesses} guesses at once"
        case "result":
            return step_sentence(step)


def finished_sentence(tokens: int, seconds: float, speedup: float | None) -> str:
    """Describe the round's result; ``speedup`` over AR is None for AR itself, and where AR was not raced."""
    faster = "" if speedup is None else f", {speedup:.2f} times as fast as AR"
    return f"{_count(tokens, 'token')} in {seconds:.2f} s{faster}"


def forked_sentence(branch: Branch, lane: str, quoted: Callable[[str], str]) -> str:
    """Describe where a round branches off; ``lane`` is the lane's title, ``quoted`` shows the text of a token."""
    where = f"forked at step {branch.step + 1} of {lane}"
    if not branch.put:
        return f"{where}, nothing changed"
    return f"{where}: {quoted(branch.put_text)} instead of {quoted(branch.instead)}"


def _count(number: int, noun: str) -> str:
    words = {0: "no", 1: "one"}
    return f"{words.get(number, number)} {noun}{'' if number in words else 's'}"


def _es(number: int) -> str:
    return "" if number == 1 else "es"
