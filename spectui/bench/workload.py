"""The measured work: a fixed number of greedy completion tokens, with EOS ignored and the prefix cache off."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from spectui.bench.harness import Sample
from spectui.core.disturbance import DOUBTFUL
from spectui.protocol.events import Event, Prompt, Sampling, Step
from spectui.sources.vllm.config import Chat
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.prompting import prompt_ids
from spectui.sources.vllm.race import furthest_behind
from spectui.sources.vllm.steady import Piece


@dataclass(frozen=True, slots=True)
class Work:
    """The prompts, which are raced all at once, and how they are passed to the model."""

    prompts: tuple[Prompt, ...]
    chat: Chat = field(default_factory=Chat)


def fixed_length(tokens: int) -> Sampling:
    """Return greedy sampling of exactly ``tokens`` tokens."""
    return Sampling(max_tokens=tokens, ignore_eos=True)


def race_once(lanes: Sequence[Lane], work: Work, tokens: int) -> dict[str, Sample]:
    """Race the lanes with all prompts always in flight; returns a sample for each lane, by its lane clock."""
    pieces: dict[str, Piece] = {}
    started = {lane.info.name: lane.clock_ns for lane in lanes}
    for lane in lanes:
        ids = [(number, prompt_ids(lane, prompt, work.chat)) for number, prompt in enumerate(work.prompts)]
        pieces[lane.info.name] = Piece(lane, ids, sampling=fixed_length(tokens), tokens=tokens)
    while (behind := furthest_behind((lane, started[lane.info.name]) for lane in lanes)) is not None:
        pieces[behind.info.name].step()
    return {name: _measured(piece) for name, piece in pieces.items()}


def _measured(piece: Piece) -> Sample:
    generations = [generation for _, generation in piece.generations()]
    tokens, seconds, _ = map(sum, zip(*generations, strict=True))
    return Sample(tokens, seconds, piece.disturbed)


def untapped_once(lane: Lane, work: Work, tokens: int) -> Sample:
    """Run the same work on the same engine as vLLM alone does, without the tap and without our events."""
    ids = [prompt_ids(lane, prompt, work.chat) for prompt in work.prompts]
    with lane.untapped(ids, fixed_length(tokens)) as step:
        emitted = wall_ns = disturbed_ns = 0
        while True:
            lane.waits.begin()
            start = time.perf_counter_ns()
            outputs = step()
            step_ns = time.perf_counter_ns() - start
            if outputs is None:
                return Sample(emitted, wall_ns / 1e9, disturbed_ns > DOUBTFUL * wall_ns)
            wall_ns += step_ns
            disturbed_ns += step_ns if lane.disturbs(step_ns) else 0
            emitted += sum(len(output.outputs[0].token_ids) for output in outputs)


def tapped_once(lane: Lane, work: Work, tokens: int, sink: Callable[[Event], None]) -> Sample:
    """Run the same work with the tap, passing on every event; timed by the wall clock, like `untapped_once`."""
    for slot, prompt in enumerate(work.prompts):
        lane.add(f"tapped-{slot}", slot, prompt_ids(lane, prompt, work.chat), fixed_length(tokens))
    emitted = disturbed_ns = 0
    start = time.perf_counter_ns()
    while lane.running:
        for event in lane.step():
            sink(event)
            if isinstance(event, Step):
                emitted += len(event.emitted)
                disturbed_ns += event.wall_ns // event.batch if event.disturbed else 0
    wall_ns = time.perf_counter_ns() - start
    return Sample(emitted, wall_ns / 1e9, disturbed_ns > DOUBTFUL * wall_ns)
