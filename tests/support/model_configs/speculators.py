"""Drafters in the format of vLLM's library `speculators`."""

from __future__ import annotations

from typing import Any


def speculator(
    kind: str, k: int, verifier: str, architecture: str, layer: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """A drafter of ``kind`` for ``verifier``, trained to draft ``k`` tokens with layers like ``layer``."""
    return {
        "speculators_model_type": kind,
        "draft_vocab_size": 32_000,
        "dtype": "bfloat16",
        "speculators_config": {
            "algorithm": kind,
            "default_proposal_method": "greedy",
            "proposal_methods": [{"proposal_type": "greedy", "speculative_tokens": k}],
            "verifier": {"architectures": [architecture], "name_or_path": verifier},
        },
        "transformer_layer_config": {"model_type": "llama", "hidden_act": "silu", **layer},
        **more,
    }


def eagle3(verifier: str, architecture: str, **layer: Any) -> dict[str, Any]:
    """A drafter of one layer."""
    usual = {
        "attention_bias": False,
        "head_dim": 128,
        "max_position_embeddings": 40_960,
        "num_hidden_layers": 1,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10_000.0,
    }
    return speculator("eagle3", 3, verifier, architecture, {**usual, **layer}, norm_before_residual=True)
