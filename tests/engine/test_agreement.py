"""Our counts equal the engine's own, and greedy lanes equal AR."""

from __future__ import annotations

from array import array

import pytest

from spectui.core.losslessness import NEAR_TIE_MARGIN, Comparison
from spectui.protocol.events import Sampling
from spectui.setup.prompt_sets import builtin
from spectui.sources.hardware import fastest_dtype
from spectui.sources.vllm.examining import draft_totals
from spectui.sources.vllm.prompting import chat_ids
from tests.conftest import ENGINE_ARGS, LaneMaker
from tests.engine.conftest import ArAnswers
from tests.engine.driving import drive

PROMPTS = [prompt.text for prompt in builtin()]
MIXED = [*PROMPTS, *(f"Count from {n} to {n + 9}." for n in range(6))]
GREEDY = Sampling(max_tokens=48)
BF16_PROMPTS = 20 if fastest_dtype() == "bfloat16" else 4
"""A processor without bfloat16 matrices takes minutes for what others do in seconds."""

DRAFTING = ["ngram:k=5", "draft_model:model=target,k=4", "mtp:k=3", "dflash:k=5"]


@pytest.mark.parametrize("spec", DRAFTING)
def test_counts_equal_the_engines_own_over_50_mixed_prompts(make_lane: LaneMaker, spec: str) -> None:
    lane = make_lane(spec)
    sampling = [
        Sampling(temperature=(0.0, 0.7)[i % 2], seed=i, max_tokens=6 + 3 * (i % 4), stop=(".",) if i % 7 == 0 else ())
        for i in range(len(MIXED))
    ]
    assert len(MIXED) == 50
    before = draft_totals(lane)
    outcome = drive(lane, MIXED, sampling)
    after = draft_totals(lane)
    assert before is not None
    assert after is not None
    assert tuple(b - a for a, b in zip(before, after, strict=True)) == outcome.totals()
    assert len(outcome.metrics) >= 40
    assert max(one.batch for steps in outcome.steps.values() for one in steps) == ENGINE_ARGS["max_num_seqs"]
    assert lane.disagreements == []


def ended(ids: list[int], eos: int) -> list[int]:
    """An answer up to the token that ends it."""
    return ids[: ids.index(eos) + 1] if eos in ids else ids


@pytest.mark.parametrize("spec", DRAFTING)
def test_greedy_float32_equals_ar_token_for_token(make_lane: LaneMaker, ar_answers: ArAnswers, spec: str) -> None:
    lane, prompts = make_lane(spec, dtype="float32"), PROMPTS[:20]
    outcome = drive(lane, prompts, GREEDY)
    expected = [ended(ids, lane.tokenizer.eos_token_id) for ids in ar_answers(prompts, GREEDY.max_tokens)]
    assert any(len(ids) < GREEDY.max_tokens for ids in expected)
    assert [outcome.ids(f"r{slot}") for slot in range(20)] == expected


@pytest.mark.parametrize("spec", ["ngram:k=5", "mtp:k=3", "dflash:k=5"])
def test_greedy_bf16_leaves_ar_only_at_near_ties(make_lane: LaneMaker, ar_answers: ArAnswers, spec: str) -> None:
    prompts, sampling = PROMPTS[:BF16_PROMPTS], Sampling(max_tokens=48, ignore_eos=True)
    outcome = drive(make_lane(spec, dtype="bfloat16"), prompts, sampling)
    ar = make_lane("ar", dtype="bfloat16")
    for slot, expected in enumerate(ar_answers(prompts, sampling.max_tokens, dtype="bfloat16")):
        position = Comparison(array("l", expected), array("l", outcome.ids(f"r{slot}"))).update()
        if position is not None:
            prefix = chat_ids(ar.tokenizer, PROMPTS[slot]) + expected[:position]
            assert ar.top_two_margin(prefix) <= NEAR_TIE_MARGIN
