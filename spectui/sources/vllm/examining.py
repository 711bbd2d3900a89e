"""What is asked of a lane's engine only when it is examined. Written for vLLM 0.32."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from spectui.sources.vllm.compat.parts import model_runner_of
from spectui.sources.vllm.lane import Lane

COUNTED = {"disable_log_stats": False}
"""The engine argument without which vLLM has no totals."""


def draft_totals(lane: Lane) -> tuple[int, int, int] | None:
    """Return vLLM's ``vllm:spec_decode_*`` counters of a lane: drafts, drafted and accepted tokens; None without them.

    They are read from the engine itself: each new engine takes the others' out of the registry that ``get_metrics``
    reads (``vllm/v1/metrics/prometheus.py``).
    """
    manager = getattr(lane._engine, "logger_manager", None)
    loggers = getattr(manager, "stat_loggers", None)
    counters = getattr(loggers[-1], "spec_decoding_prom", None) if loggers else None
    if counters is None or not lane.info.k_max:
        return None
    drafts, drafted, accepted = (
        sum(int(sample.value) for sample in counter[0].collect()[0].samples if sample.name.endswith("_total"))
        for counter in (
            counters.counter_spec_decode_num_drafts,
            counters.counter_spec_decode_num_draft_tokens,
            counters.counter_spec_decode_num_accepted_tokens,
        )
    )
    return drafts, drafted, accepted


def finishing(lane: Lane) -> Callable[[], None] | None:
    """Return a function that waits until the lane's GPU has nothing to do in any stream; None without a GPU here."""
    device = None
    with suppress(AttributeError):
        device = model_runner_of(lane._engine).device
    if getattr(device, "type", "cpu") != "cuda":
        return None
    torch: Any = importlib.import_module("torch")
    return lambda: torch.cuda.synchronize(device)
