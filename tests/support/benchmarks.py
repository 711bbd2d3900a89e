"""Benchmarks that were never run: measurements with made-up but consistent counts, the same for the same seed."""

from __future__ import annotations

import random
from collections import Counter

from spectui.core.bench.matrix import Block, Matrix, Variant, blocks_of
from spectui.core.bench.records import PieceRecord, RequestRecord, TurnRecord
from spectui.core.bench.results import Header, LaneNote, PromptNote, Results, results_of
from spectui.protocol.events import LaneEngine, Sampling

VARIANTS = (
    Variant("ar", "ar", "AR", 0),
    Variant("mtp", "mtp", "MTP", 2),
    Variant("dflash", "dflash", "DFlash", 3),
)
CATEGORIES = ("coding", "math", "writing")
STEP_MS = {"ar": (0.0, 24.0), "mtp": (4.0, 26.0), "dflash": (3.0, 28.0)}
"""Time of a step by lane: in the drafter, and in the target."""

ACCEPTANCE = {"coding": 0.75, "math": 0.65, "writing": 0.45}
"""The chance that the next drafted token is accepted."""


def made_up_matrix(
    concurrencies: tuple[int, ...] = (1, 4),
    categories: tuple[str, ...] = CATEGORIES,
    contexts: tuple[int | None, ...] = (None,),
    variants: tuple[Variant, ...] = VARIANTS,
    tokens: int = 128,
) -> Matrix:
    """A matrix of three lanes."""
    blocks = blocks_of(concurrencies, categories, contexts)
    return Matrix(variants, blocks, "fixed", Sampling(max_tokens=tokens, ignore_eos=True))


def made_up_piece(matrix: Matrix, variant: Variant, block: Block, turn: int, seed: int = 0) -> PieceRecord:
    """One repetition of a cell."""
    dice = random.Random(f"{seed}:{variant.name}:{block.name}:{turn}")
    chance = ACCEPTANCE.get(block.category, 0.6)
    pairs: Counter[tuple[int, int]] = Counter()
    requests: list[RequestRecord] = []
    draft_ms, verify_ms = STEP_MS.get(variant.method, (2.0, 25.0))
    step_ns = int((draft_ms + verify_ms * (1 + 0.05 * block.concurrency)) * 1e6 * dice.uniform(0.98, 1.02))
    longest = 0
    for prompt in matrix.prompts_of(block, turn, 20):
        tokens = drafts = drafted = accepted = steps = 0
        while tokens < matrix.sampling.max_tokens:
            kept = 0
            if variant.k and steps:
                while kept < variant.k and dice.random() < chance:
                    kept += 1
                pairs[variant.k, kept] += 1
                drafts, drafted, accepted = drafts + 1, drafted + variant.k, accepted + kept
            tokens += kept + 1
            steps += 1
        longest = max(longest, steps)
        requests.append(
            RequestRecord(
                prompt,
                prompt_tokens=block.context or dice.randint(20, 60),
                tokens=matrix.sampling.max_tokens,
                first_ns=step_ns,
                wall_ns=steps * step_ns,
                chunks=steps,
                drafts=drafts,
                drafted=drafted,
                accepted=accepted,
                reason="length",
            )
        )
    clock_ns = longest * step_ns
    return PieceRecord(
        variant.name,
        tuple(requests),
        wall_ns=int(clock_ns * 1.003),
        clock_ns=clock_ns,
        engine_steps=longest,
        draft_ns=int(longest * draft_ms * 1e6) if variant.k else None,
        verify_ns=int(longest * verify_ms * 1e6),
        pairs=tuple((*pair, steps) for pair, steps in sorted(pairs.items())),
        read_bytes=longest * 270e6,
    )


def made_up_turns(matrix: Matrix, seed: int = 0) -> list[TurnRecord]:
    """Every repetition of every block."""
    return [
        TurnRecord(block, turn, tuple(made_up_piece(matrix, one, block, turn, seed) for one in matrix.variants))
        for block in matrix.blocks
        for turn in range(matrix.repetitions)
    ]


def made_up_header(matrix: Matrix, target: str = "SmolLM2-135M-Instruct") -> Header:
    """What is known before the first measurement."""
    return Header(
        version="0.1.0",
        command="spectui bench --concurrency 1,4 --out results",
        started="2026-01-02T03:04:05+00:00",
        target=target,
        environment={
            "machine": "a made-up processor, 2 cores",
            "demo_dtype": "bfloat16",
            "versions": {"spectui": "0.1.0", "vllm": "0.32.0", "torch": "2.10.0"},
            "settings": {"OMP_NUM_THREADS": "2"},
            "load_average": 0.12,
        },
        device="a made-up processor",
        gpu=False,
        peak=20e9,
        lanes=tuple(
            LaneNote(one.lane, one.lane if one.plain else f"{one.lane}:k={one.k}", LaneEngine(one.lane, "cpu"))
            for one in matrix.variants
        ),
        prompts=PromptNote("built-in", "0" * 64, dict.fromkeys({block.category for block in matrix.blocks}, 20)),
        max_model_len=2048,
        arguments=("bench", "--concurrency", "1,4", "--out", "results"),
    )


def made_up_results(matrix: Matrix | None = None, seed: int = 0, target: str = "SmolLM2-135M-Instruct") -> Results:
    """The results of a whole benchmark."""
    matrix = matrix or made_up_matrix()
    return results_of(made_up_header(matrix, target), matrix, made_up_turns(matrix, seed))
