"""Acceptance in vLLM on the held-out prompts, batched: per position, in all and per category."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demos.drafters.engine import Batcher, Finished, batch_engine
from demos.drafters.prompts import CATEGORIES, heldout_prompts
from demos.drafters.walk import Acceptance
from spectui.protocol.events import Prompt
from spectui.sources.vllm.compat import engines
from spectui.sources.vllm.lane_spec import LaneSpec
from spectui.sources.vllm.prompting import chat_ids

MAX_TOKENS = 128
CHECKED_PER_CATEGORY = 3


def measured_acceptance(target: Path, spec: LaneSpec, prompts: list[Prompt], batch: int = 128) -> list[Acceptance]:
    """Acceptance of a drafter in vLLM, greedy, over the steps that had a draft, for each prompt."""
    engine = batch_engine(
        target,
        batch=batch,
        kv_bytes=3 << 30,
        speculative_config=spec.drafting(str(target)),
        per_request_spec_decode_metrics="detailed",
        **spec.target_arguments(),
    )
    try:
        finished = run_all(engine, prompts)
    finally:
        engines.close_engine(engine)
    return [_acceptance(one.metrics, spec.k_max) for one in finished]


def _acceptance(metrics: Any, k: int) -> Acceptance:
    acceptance = Acceptance()
    for accepted, drafted in zip(metrics.per_step_accepted, metrics.per_step_drafted, strict=True):
        if drafted:
            acceptance.add(accepted, k)
    return acceptance


def by_category(prompts: Sequence[Prompt], acceptances: Sequence[Acceptance]) -> dict[str, Acceptance]:
    """Category -> acceptance, and ``"all"``."""
    result: dict[str, Acceptance] = defaultdict(Acceptance)
    for prompt, acceptance in zip(prompts, acceptances, strict=True):
        result[prompt.category].merge(acceptance)
        result["all"].merge(acceptance)
    return dict(result)


def per_category(prompts: Sequence[Prompt], count: int) -> list[Prompt]:
    """The first ``count`` prompts of each category."""
    return [p for category in CATEGORIES for p in [p for p in prompts if p.category == category][:count]]


def check_prompts() -> list[Prompt]:
    """The few held-out prompts whose acceptance is kept one by one, for a quick look whether the weights are whole."""
    return per_category(heldout_prompts(), CHECKED_PER_CATEGORY)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a drafter did with each of the `check_prompts`: ``steps`` that had a draft, ``accepted`` tokens in them."""

    steps: list[int]
    accepted: list[int]

    @property
    def rate(self) -> float:
        """Accepted tokens per step."""
        return sum(self.accepted) / sum(self.steps)


def worse_by(now: Checked, record: Checked) -> tuple[float, float]:
    """By how much fewer tokens a step ``now`` accepts than the record does, and the standard error of that.

    The prompts are the same, but not always the text: where the target's two best tokens are a rounding step apart,
    another processor or batch may go on with the other one, and from there on the two are different samples. So the
    error is taken from how much the prompts differ from each other: it is 0 where all went as recorded.
    """
    count = len(record.steps)
    residuals = [
        (a - now.rate * s) / (sum(now.steps) / count) - (b - record.rate * t) / (sum(record.steps) / count)
        for s, a, t, b in zip(now.steps, now.accepted, record.steps, record.accepted, strict=True)
    ]
    error = math.sqrt(sum(residual**2 for residual in residuals) / (count - 1) / count)
    return record.rate - now.rate, error


def run_all(engine: Any, prompts: list[Prompt], max_tokens: int = MAX_TOKENS) -> list[Finished]:
    """The greedy answers in the prompts' order."""
    tokenizer = engine.get_tokenizer()
    batcher = Batcher(engine)
    for number, prompt in enumerate(prompts):
        ids = chat_ids(tokenizer, prompt.text)
        batcher.add(str(number), ids, {"temperature": 0.0, "max_tokens": max_tokens, "ignore_eos": True})
    finished: dict[int, Finished] = {}
    while batcher.running:
        for one in batcher.step():
            finished[int(one.name)] = one
    return [finished[number] for number in range(len(prompts))]
