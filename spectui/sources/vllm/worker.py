"""Extends an engine's workers, in whichever process they run. Written for vLLM 0.32."""

from __future__ import annotations

from typing import Any


class TappedWorker:
    """Mixed into vLLM's worker class (``worker_extension_cls``); the engine calls it with ``collective_rpc``."""

    model_runner: Any

    def show_drafts(self) -> None:
        """Make the model runner pass the drafted ids to the scheduler.

        Model runner V2 passes them on only if a grammar needs them, and otherwise ``-1`` for each
        (``vllm/v1/worker/gpu/spec_decode/utils.py``, ``DraftTokensHandler``). The price is a copy that has to complete
        before a step ends. The V1 runner always passes them on.
        """
        handler = getattr(self.model_runner, "draft_tokens_handler", None)
        if handler is None:
            return
        hand_over = handler.set_draft_tokens

        def set_draft_tokens(input_batch: Any, draft_tokens: Any) -> None:
            grammar = input_batch.has_structured_output_reqs
            input_batch.has_structured_output_reqs = True
            try:
                hand_over(input_batch, draft_tokens)
            finally:
                input_batch.has_structured_output_reqs = grammar

        handler.set_draft_tokens = set_draft_tokens
