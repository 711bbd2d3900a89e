"""The result of tuning as something to paste: the ``vllm serve`` line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

LARGEST_BATCH = 1024
"""Where the last range of a table ends: beyond what servers run at once."""


def serve_line(
    model: str,
    drafting: Mapping[str, Any],
    best: Mapping[int, int],
    hf_overrides: Mapping[str, Any] | None = None,
    template_arguments: Mapping[str, Any] | None = None,
) -> str:
    """The command that serves ``model`` at the best K.

    Args:
        model: Path or id of the target.
        drafting: vLLM's ``speculative_config``, whose K is replaced.
        best: Requests in flight -> best K, for each concurrency that was measured. With several, K follows the batch
            size (``num_speculative_tokens_per_batch_size``): each range ends where the next measured one begins.
        hf_overrides: What the target's config must say to take the drafter, None for nothing.
        template_arguments: What the chat template was told, since acceptance was measured so.
    """
    words = ["vllm", "serve", model]
    most = max(best.values(), default=0)
    if most:
        config: dict[str, Any] = {**drafting, "num_speculative_tokens": most}
        if len(set(best.values())) > 1:
            config["num_speculative_tokens_per_batch_size"] = _table(best)
        words += ["--speculative-config", json.dumps(config)]
        if hf_overrides:
            words += ["--hf-overrides", json.dumps(hf_overrides)]
    if template_arguments:
        words += ["--default-chat-template-kwargs", json.dumps(dict(template_arguments))]
    return shlex.join(words)


def _table(best: Mapping[int, int]) -> list[list[int]]:
    """Inclusive ranges of batch sizes with their K; neighbours with the same K are one range."""
    table: list[list[int]] = []
    for requests, k in sorted(best.items()):
        if table and table[-1][2] == k:
            continue
        start = requests if table else 1
        if table:
            table[-1][1] = start - 1
        table.append([start, LARGEST_BATCH, k])
    return table
