"""The result of tuning as something to paste: the ``vllm serve`` line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

LARGEST_BATCH = 1024
"""Where the last range of a table ends: beyond what servers run at once."""


def serve_line(
    model: str,
    drafting: Mapping[str, Any],
    best: Mapping[int, int],
    template_arguments: Mapping[str, Any] | None = None,
    engine_args: Mapping[str, Any] | None = None,
    measured: Sequence[str] = (),
) -> str:
    """The command that serves ``model`` at the best K, as the search had it; perhaps with a comment line before it.

    Args:
        model: Path or id of the target.
        drafting: vLLM's ``speculative_config``, whose K is replaced.
        best: Requests in flight -> best K, for each concurrency that was measured. With several, K follows the batch
            size (``num_speculative_tokens_per_batch_size``): each range ends where the next measured one begins.
        template_arguments: What the chat template was told, since acceptance was measured so.
        engine_args: vLLM's engine arguments that the user set, and what the target needs to take the drafter.
        measured: What the search had that the line does not ask for, such as ``in float32``.
    """
    words = [
        "vllm",
        "serve",
        model,
        *(word for name, value in (engine_args or {}).items() for word in flag(name, value)),
    ]
    most = max(best.values(), default=0)
    if most:
        config: dict[str, Any] = {**drafting, "num_speculative_tokens": most}
        if len(set(best.values())) > 1:
            config["num_speculative_tokens_per_batch_size"] = _table(best)
        words += ["--speculative-config", json.dumps(config)]
    if template_arguments:
        words += ["--default-chat-template-kwargs", json.dumps(dict(template_arguments))]
    line = shlex.join(words)
    return f"# measured {', '.join(measured)}; the server's defaults differ\n{line}" if measured else line


def flag(name: str, value: Any) -> list[str]:
    """An engine argument as vLLM's command line takes it: ``tensor_parallel_size=2`` is ``--tensor-parallel-size 2``.

    Truth is a flag, untruth one with ``no-`` before it, what has parts is JSON, and what is None is left out.
    """
    option = f"--{name.replace('_', '-')}"
    match value:
        case None:
            return []
        case bool():
            return [option] if value else [f"--no-{option[2:]}"]
        case list() if value and not any(isinstance(one, list | dict) for one in value):
            return [option, *map(str, value)]
        case list() | dict():
            return [option, json.dumps(value)]
    text = str(value)
    # Behind an option of its own a value with a hyphen would be one.
    return [f"{option}={text}"] if text.startswith("-") else [option, text]


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
