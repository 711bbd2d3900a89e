"""Drives a lane and holds what the tap says against what the engine put out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

from spectui.protocol.events import NOTHING, Event, Preempted, RequestFinished, Sampling, Step
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.prompting import chat_ids

GREEDY = Sampling(max_tokens=32)


@dataclass
class Outcome:
    """Everything a drive produced, by request."""

    steps: dict[str, list[Step]] = field(default_factory=lambda: defaultdict(list))
    finished: dict[str, RequestFinished] = field(default_factory=dict)
    preempted: list[str] = field(default_factory=list)
    output_ids: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    output_text: dict[str, str] = field(default_factory=lambda: defaultdict(str))
    metrics: dict[str, Any] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        match event:
            case Step():
                self.steps[event.request].append(event)
            case RequestFinished():
                self.finished[event.request] = event
            case Preempted():
                self.preempted.append(event.request)

    def ids(self, request: str) -> list[int]:
        return [token for step in self.steps[request] for token in step.emitted]

    def totals(self, requests: Iterable[str] | None = None) -> tuple[int, int, int]:
        """(steps with a draft, drafted, accepted) as the tap counts."""
        steps = [s for r in (requests or self.steps) for s in self.steps[r] if s.drafted]
        return len(steps), sum(len(s.drafted) for s in steps), sum(s.accepted for s in steps)


def drive(
    lane: Lane, prompts: Sequence[str], sampling: Sampling | Sequence[Sampling] = GREEDY, limit: int = 4000
) -> Outcome:
    """Run ``prompts`` in the lane at once until all are finished, checking every step."""
    outcome = Outcome()
    start(lane, prompts, sampling, outcome)
    for _ in range(limit):
        if not lane.running:
            break
        step(lane, outcome)
    assert not lane.running, "the lane did not finish"
    check(outcome)
    return outcome


def start(lane: Lane, prompts: Sequence[str], sampling: Sampling | Sequence[Sampling], outcome: Outcome) -> None:
    """Queue the prompts, and listen to the engine's own outputs beside the tap."""
    for slot, text in enumerate(prompts):
        chosen = sampling if isinstance(sampling, Sampling) else sampling[slot]
        lane.add(f"r{slot}", slot, chat_ids(lane.tokenizer, text), chosen)
    listen(lane, outcome)


def listen(lane: Lane, outcome: Outcome) -> None:
    """Listen to the engine's own outputs beside the tap."""
    engine = lane._engine
    original = type(engine).step.__get__(engine)

    def listening() -> Any:
        outputs = original()
        for output in outputs:
            completion = output.outputs[0]
            outcome.output_ids[output.request_id] += completion.token_ids
            outcome.output_text[output.request_id] += completion.text
            if output.finished and getattr(completion, "spec_decode_metrics", None) is not None:
                outcome.metrics[output.request_id] = completion.spec_decode_metrics
        return outputs

    engine.step = listening


def step(lane: Lane, outcome: Outcome) -> list[Event]:
    events = lane.step()
    for event in events:
        outcome.add(event)
    return events


def check(outcome: Outcome) -> None:
    """What holds in every run, whatever the method, sampling and cuts."""
    in_order = sorted((s for steps in outcome.steps.values() for s in steps), key=lambda s: s.totals or NOTHING)
    for earlier, later in pairwise(in_order):
        assert earlier.totals is not None
        assert later.totals == earlier.totals.plus(later.own_totals)
    for request, steps in outcome.steps.items():
        assert outcome.ids(request) == outcome.output_ids[request]
        assert [s.before for s in steps] == [0, *accumulate(len(s.emitted) for s in steps)][: len(steps)]
        assert [s.index for s in steps] == list(range(len(steps)))
        for s in steps:
            verified = (*s.emitted, *s.cut)
            assert len(s.drafted) <= s.k
            assert verified[: s.accepted] == s.drafted[: s.accepted]
            assert len(verified) == s.accepted + 1
            assert len(s.text) == len(verified)
            assert len(s.drafted_text) == len(s.drafted)
            assert (s.own is None) == bool(s.cut)
            if s.own == "recovered":
                assert s.accepted < len(s.drafted)
            if s.cut:
                assert s.cut_reason is not None
        clocks = [s.clock_ns for s in steps]
        assert clocks == sorted(clocks)
        assert all(s.cut_reason is None for s in steps[:-1])
        if request in outcome.finished:
            assert outcome.finished[request].emitted == len(outcome.ids(request))
    for request, metrics in outcome.metrics.items():
        steps = [s for s in outcome.steps[request] if s.drafted]
        assert [len(s.drafted) for s in steps] == list(metrics.per_step_drafted)
        assert [s.accepted for s in steps] == list(metrics.per_step_accepted)
        assert sum(len(s.drafted) for s in steps) == metrics.num_draft_tokens
