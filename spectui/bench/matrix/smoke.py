"""The smoke test: a few short answers from every lane, judged and timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from spectui.bench.matrix.asking import Asked, Sets
from spectui.core.bench.matrix import Matrix, Variant
from spectui.core.bench.records import PieceRecord
from spectui.core.bench.smoke import (
    SMOKE_PROMPTS,
    SMOKE_TOKENS,
    SmokeAnswer,
    SmokeLane,
    SmokePace,
    smoke_fault,
)
from spectui.protocol.events import Event, RequestFinished, Sampling, Step
from spectui.sources.vllm.bench_piece import BenchPiece
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import DIFFUSION, MOST_CANVASES

PROMPT_SHOWN = 40
"""Characters of a prompt that a sentence quotes."""


def smoke_prompts(sets: Sets) -> list[Asked]:
    """The first prompt of so many categories, the unpadded ones if there are any."""
    plain = [asked for (_, context), asked in sets.items() if context is None] or list(sets.values())
    spread: list[Asked] = []
    place = 0
    while len(spread) < SMOKE_PROMPTS and any(place < len(asked) for asked in plain):
        spread += [asked[place] for asked in plain if place < len(asked)]
        place += 1
    return spread[:SMOKE_PROMPTS]


def seats(lane: Lane, matrix: Matrix) -> int:
    """The most requests that the matrix has in flight in a lane."""
    most = max(block.concurrency for block in matrix.blocks)
    return min(most, MOST_CANVASES) if lane.info.method == DIFFUSION else most


def few_seats(lane: Lane, matrix: Matrix) -> str:
    """A sentence about a lane that cannot have as many requests in flight as the matrix asks for; empty if it can."""
    most = max(block.concurrency for block in matrix.blocks)
    if (own := seats(lane, matrix)) == most:
        return ""
    return f"{lane.info.title} never has more than {own} requests in flight: its rows for more are no comparison"


def smoke(
    lane: Lane, variant: Variant, prompts: Sequence[Asked], sampling: Sampling, together: int = SMOKE_PROMPTS
) -> SmokeLane:
    """Let an idle lane answer: one prompt after the other, then up to ``together`` of them at once, which must be no
    more than its engine has room for."""
    if lane.info.k_max and lane.choice != variant.choice:
        lane.choice = variant.choice
    short = replace(sampling, max_tokens=min(SMOKE_TOKENS, sampling.max_tokens), ignore_eos=False)
    steps: list[Step] = []
    reasons: dict[int, str] = {}

    def keep(event: Event) -> None:
        if isinstance(event, Step):
            steps.append(event)
        elif isinstance(event, RequestFinished):
            reasons[event.slot] = event.reason

    alone = _run(lane, variant, prompts, short, 1, keep)
    answers = [
        SmokeAnswer(
            tuple(token for step in steps if step.slot == slot for token in step.emitted),
            lane.tokenizer.decode(
                [token for step in steps if step.slot == slot for token in step.emitted], skip_special_tokens=True
            ),
            _shown(asked.prompt.text),
        )
        for slot, asked in enumerate(prompts)
    ]
    ended = all(reasons.get(slot) in ("eos", "stop") for slot in range(len(prompts)))
    some = prompts[:together]
    beside = _run(lane, variant, some, replace(short, ignore_eos=True), len(some), None)
    drafted = sum(request.drafted for request in alone.requests)
    accepted = sum(request.accepted for request in alone.requests)
    engine = lane.engine()
    fault, causes = smoke_fault(lane.info, engine, answers, drafted, accepted)
    return SmokeLane(
        lane.info.name,
        variant.k,
        len(answers),
        alone.tokens,
        drafted,
        accepted,
        _pace(alone, beside, len(some), ended=ended),
        fault,
        causes,
    )


def _run(
    lane: Lane,
    variant: Variant,
    prompts: Sequence[Asked],
    sampling: Sampling,
    requests: int,
    keep: Callable[[Event], None] | None,
) -> PieceRecord:
    piece = BenchPiece(
        lane,
        variant,
        [(number, asked.ids_of(lane.info.name)) for number, asked in enumerate(prompts)],
        concurrency=requests,
        sampling=sampling,
        keep=keep,
    )
    return piece.run()


def _pace(alone: PieceRecord, together: PieceRecord, count: int, *, ended: bool) -> SmokePace:
    chunks = sum(request.chunks for request in alone.requests)
    reading_ns = sum(request.first_ns or 0 for request in alone.requests)
    writing_ns = sum(request.wall_ns - (request.first_ns or 0) for request in alone.requests)
    writing_steps = max(1, chunks - len(alone.requests))
    step_s = writing_ns / writing_steps / 1e9 or alone.wall_ns / max(1, alone.engine_steps) / 1e9
    first_ns = min((request.first_ns or 0 for request in together.requests), default=0)
    later = max(1, together.engine_steps - 1)
    together_s = (together.wall_ns - first_ns) / later / 1e9
    prompt_tokens = sum(request.prompt_tokens for request in alone.requests)
    return SmokePace(
        alone_s=step_s,
        together_s=together_s,
        together=count,
        tokens_per_step=alone.tokens / max(1, chunks),
        prefill_s=max(0.0, reading_ns / 1e9 - len(alone.requests) * step_s) / max(1, prompt_tokens),
        answer_tokens=alone.tokens / len(alone.requests) if ended else None,
    )


def _shown(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= PROMPT_SHOWN else words[: PROMPT_SHOWN - 1] + "…"
