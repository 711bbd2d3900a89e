"""Turns the result of tuning into a ``vllm serve`` command to paste."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

LARGEST_BATCH = 1024
"""Upper end of a table's last range: more requests than servers run at once."""


def serve_line(
    model: str,
    drafting: Mapping[str, Any],
    best: Mapping[int, int],
    template_arguments: Mapping[str, Any] | None = None,
    engine_args: Mapping[str, Any] | None = None,
    measured: Sequence[str] = (),
) -> str:
    """The command that serves ``model`` at the best K under the conditions of the search, if necessary after a comment
    line.

    Args:
        model: Path or id of the target.
        drafting: vLLM's ``speculative_config``, whose K is replaced.
        best: The best K for each number of requests in flight that was measured. If there are several, K follows the
            batch size (``num_speculative_tokens_per_batch_size``): each range ends where the next measured number
            begins.
        template_arguments: The chat template's arguments, because acceptance was measured with them.
        engine_args: vLLM's engine arguments that the user set, and those that the target needs to accept the drafter.
        measured: Conditions of the search that the command does not reproduce, such as ``in float32``.
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
    """An engine argument in the form of vLLM's command line: ``tensor_parallel_size=2`` is
    ``--tensor-parallel-size 2``.

    True becomes a flag, False a flag with ``no-`` in front, lists and mappings become JSON, and None is left out.
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
    # As a separate word, a value that begins with a hyphen would be taken for an option.
    return [f"{option}={text}"] if text.startswith("-") else [option, text]


def _table(best: Mapping[int, int]) -> list[list[int]]:
    """Inclusive ranges of batch sizes with their K; neighbours with the same K are merged."""
    table: list[list[int]] = []
    for requests, k in sorted(best.items()):
        if table and table[-1][2] == k:
            continue
        start = requests if table else 1
        if table:
            table[-1][1] = start - 1
        table.append([start, LARGEST_BATCH, k])
    return table
