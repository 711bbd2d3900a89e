"""The work that is measured: a fixed number of greedy completion tokens, EOS ignored, prefix cache off."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from spectui.bench.harness import Sample
from spectui.events import Event, Prompt, Sampling, Step
from spectui.sources.vllm.config import Chat
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.prompting import prompt_ids
from spectui.sources.vllm.race import Race


@dataclass(frozen=True, slots=True)
class Work:
    """What is raced, all at once, and how it is put to the model."""

    prompts: tuple[Prompt, ...]
    chat: Chat = field(default_factory=Chat)


def fixed_length(tokens: int) -> Sampling:
    """Greedy sampling of exactly ``tokens`` tokens."""
    return Sampling(max_tokens=tokens, ignore_eos=True)


def race_once(
    lanes: Sequence[Lane], work: Work, tokens: int, sink: Callable[[Event], None] = lambda event: None
) -> dict[str, Sample]:
    """Race the lanes over the prompts; a sample for each lane, by its lane clock."""
    race = Race(lanes, work.chat)
    started = {lane.info.name: lane.clock_ns for lane in lanes}
    emitted = dict.fromkeys(started, 0)
    for event in race.begin(work.prompts, fixed_length(tokens)):
        sink(event)
    while (lane := race.next_lane()) is not None:
        for event in lane.step():
            sink(event)
            if isinstance(event, Step):
                emitted[event.lane] += len(event.emitted)
    return {
        lane.info.name: Sample(emitted[lane.info.name], (lane.clock_ns - started[lane.info.name]) / 1e9)
        for lane in lanes
    }


def untapped_once(lane: Lane, work: Work, tokens: int) -> Sample:
    """The same work on the same engine as vLLM alone does it, without the tap and without our events."""
    ids = [prompt_ids(lane, prompt, work.chat) for prompt in work.prompts]
    with lane.untapped(ids, fixed_length(tokens)) as step:
        emitted = 0
        start = time.perf_counter_ns()
        while (outputs := step()) is not None:
            emitted += sum(len(output.outputs[0].token_ids) for output in outputs)
        return Sample(emitted, (time.perf_counter_ns() - start) / 1e9)


def tapped_once(lane: Lane, work: Work, tokens: int, sink: Callable[[Event], None]) -> Sample:
    """The same work with the tap, every event handed over; by the wall clock, as `untapped_once`."""
    for slot, prompt in enumerate(work.prompts):
        lane.add(f"tapped-{slot}", slot, prompt_ids(lane, prompt, work.chat), fixed_length(tokens))
    emitted = 0
    start = time.perf_counter_ns()
    while lane.running:
        for event in lane.step():
            sink(event)
            if isinstance(event, Step):
                emitted += len(event.emitted)
    return Sample(emitted, (time.perf_counter_ns() - start) / 1e9)
