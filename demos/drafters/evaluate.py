"""Acceptance in vLLM on the held-out prompts, batched: per position, in all and per category."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from demos.drafters.engine import Batcher, Finished, batch_engine
from demos.drafters.prompts import heldout_prompts
from demos.drafters.walk import Acceptance
from spectui.events import Prompt
from spectui.sources.vllm import compat
from spectui.sources.vllm.rounds import chat_ids

MAX_TOKENS = 128
TARGET_OVERRIDES = {"num_nextn_predict_layers": 1}
"""Lets a Llama target take an MTP head."""


def speculation(method: str, directory: Path, k: int) -> dict[str, Any]:
    """Engine arguments for a drafter of ours."""
    arguments: dict[str, Any] = {
        "speculative_config": {"method": method, "model": str(directory), "num_speculative_tokens": k},
        "per_request_spec_decode_metrics": "detailed",
    }
    return arguments | ({"hf_overrides": TARGET_OVERRIDES} if method == "mtp" else {})


def measured_acceptance(
    target: Path, method: str, directory: Path, k: int, prompts: list[Prompt] | None = None, batch: int = 64
) -> dict[str, Acceptance]:
    """Acceptance of a drafter in vLLM, greedy, over the prompts (all held-out ones by default).

    Returns:
        Category -> acceptance, and ``"all"``.
    """
    prompts = heldout_prompts() if prompts is None else prompts
    engine = batch_engine(target, batch=batch, kv_bytes=2 << 30, **speculation(method, directory, k))
    try:
        finished = run_all(engine, prompts)
    finally:
        compat.close_engine(engine)
    result: dict[str, Acceptance] = defaultdict(Acceptance)
    for number, prompt in enumerate(prompts):
        acceptance = Acceptance()
        metrics = finished[number].metrics
        for accepted, drafted in zip(metrics.per_step_accepted, metrics.per_step_drafted, strict=True):
            if drafted:
                acceptance.add(accepted, k)
        result[prompt.category].merge(acceptance)
        result["all"].merge(acceptance)
    return dict(result)


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
