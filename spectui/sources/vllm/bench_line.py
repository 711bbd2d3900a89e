"""The command that measures the lanes of a race without a screen."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from typing import Any

from spectui.protocol.events import Sampling
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.lane_spec import LaneSpec, at_k


def bench_line(
    config: HostConfig, lanes: Iterable[tuple[LaneSpec, int | None]], requests: int, sampling: Sampling
) -> str:
    """``spectui bench`` for lanes at their K, None for an automatic one, with the run's model, prompts, requests in
    flight and sampling; the length of answers is the command's own."""
    words = ["spectui", "bench"]
    if config.model is not None:
        words += ["--model", config.model]
    for spec, k in lanes:
        words += ["--lane", at_k(spec, k)]
    words += [*config.prompt_words, "--concurrency", str(requests)]
    if config.chat.system is not None:
        words += ["--system", config.chat.system]
    for name, value in config.chat.arguments.items():
        words += ["--chat-template-arg", f"{name}={_typed(value)}"]
    words += ["--raw"] if config.chat.raw else []
    usual = Sampling(seed=0)
    for name in ("temperature", "top_p", "top_k", "seed"):
        if (value := getattr(sampling, name)) not in (getattr(usual, name), None):
            words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
    for name, value in config.asked_args.items():
        words += ["--engine-arg", f"{name}={_typed(value)}"]
    return shlex.join(words)


def _typed(value: Any) -> str:
    """A value as it is typed: text as it is, unless it would be read as something else."""
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        json.loads(value)
    except ValueError:
        return value
    return json.dumps(value)
