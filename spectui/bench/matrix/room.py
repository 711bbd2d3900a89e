"""The longest context that the lanes of a benchmark need."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from spectui.core.memory_plan.checkpoint import Checkpoint
from spectui.errors import UsageError
from spectui.setup import config
from spectui.sources.checkpoints.reading import read_checkpoint
from spectui.sources.demo_model.known import known_checkpoint
from spectui.sources.vllm.target import TargetError

PROMPT_TOKENS = 1536
"""Room for prompts that are not padded, beside the answer."""


def context_arguments(
    options: argparse.Namespace,
    tokens: int,
    read: Callable[[str], Checkpoint] = read_checkpoint,
) -> list[tuple[str, int]]:
    """The engine argument ``max_model_len`` if the prompts and answers need more than the lanes would take otherwise.

    Args:
        options: The options, with what a preset adds.
        tokens: Completion tokens of a request.
        read: Reads a checkpoint's configuration.

    Raises:
        UsageError: The demo's model does not take that many.
    """
    usual = dict(options.engine_arg).get("max_model_len", config.MAX_MODEL_LEN)
    padded = max((context + tokens for context in options.context if context), default=0)
    needed = max(padded, tokens + PROMPT_TOKENS)
    if not isinstance(usual, int) or needed <= usual:
        return []
    most = _longest_context(options.model, read)
    if most is not None:
        if options.model is None and padded > most:
            raise UsageError(
                f"--context {padded - tokens} leaves no room for an answer of {tokens} tokens: the demo's model takes "
                f"{most} tokens in all, so use a --context of {max(0, most - tokens)} at most"
            )
        # A model may take longer contexts than this, as with scaled positions: it is asked for what padding needs.
        needed = max(padded, min(needed, most))
    return [("max_model_len", needed)] if needed > usual else []


def _longest_context(model: str | None, read: Callable[[str], Checkpoint]) -> int | None:
    """The most tokens that a model takes by its configuration, the demo's if None; None if that cannot be read."""
    try:
        checkpoint = known_checkpoint() if model is None else read(model)
    except TargetError:
        return None
    return checkpoint.number("max_position_embeddings", 0) or None
