"""Drafters for tiny targets. They only look at the last token, and draft what the target's output matrix answers it
with: as the targets listen to the whole text, some of their drafts are accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.tiny_weights import (
    HEAD,
    HEADS,
    HIDDEN,
    INNER,
    KV_HEADS,
    MASK,
    VOCABULARY,
    Weights,
)

QUIET = 0.05
"""How loud the layers of a drafter are that add nothing to it."""


def _taking(columns: int, first: int) -> Any:
    """A matrix that takes `HIDDEN` of ``columns`` numbers, from ``first`` on."""
    import torch

    matrix = torch.zeros(HIDDEN, columns)
    matrix[:, first : first + HIDDEN] = torch.eye(HIDDEN)
    return matrix


def _out_of_heads(loud: float, kv_heads: int = KV_HEADS) -> Any:
    """An output projection that puts the first query head of each key's together again."""
    import torch

    head = HIDDEN // kv_heads
    matrix = torch.zeros(HIDDEN, HEADS * head)
    for kv_head in range(kv_heads):
        first = kv_head * (HEADS // kv_heads) * head
        matrix[kv_head * head : (kv_head + 1) * head, first : first + head] = torch.eye(head) * loud
    return matrix


def common(rope: Any = None) -> dict[str, Any]:
    """What the configurations of Llama-like models say alike."""
    return {
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": False,
        "rope_parameters": rope or {"rope_type": "default", "rope_theta": 10_000.0},
    }


def dflash(folder: Path, dtype: str, layers_seen: list[int], kv_heads: int = KV_HEADS) -> Path:
    """A DFlash drafter with the target's embedding and output matrix: each mask attends to the last token.

    vLLM's CPU build wants all of its layers in one group of the KV cache: with the ``kv_heads`` of the target's layers
    with full attention, they are in theirs.
    """
    import torch

    head = HIDDEN // kv_heads
    weights = Weights("dflash")
    weights.random("fc.weight", HIDDEN, HIDDEN * len(layers_seen))[0] = 0
    weights.norms("", "hidden_norm", "norm")
    for layer in range(2):
        prefix = f"layers.{layer}"
        weights.attention(
            f"{prefix}.self_attn", kv_heads=kv_heads, head=head, norms=1.5 if layer == 0 else 1.0, loud=QUIET
        )
        weights.mlp(f"{prefix}.mlp", loud=QUIET)
        weights.norms(f"{prefix}.", "input_layernorm", "post_attention_layernorm")
    for name, heads, sign in (("q_proj", HEADS, -1.0), ("k_proj", kv_heads, 1.0)):
        matrix = torch.zeros(heads * head, HIDDEN)
        # In each head the number that rotary embeddings turn least.
        matrix[head // 2 - 1 :: head, 0] = sign
        weights.put(f"layers.0.self_attn.{name}.weight", matrix)
    weights.put("layers.0.self_attn.v_proj.weight", torch.eye(HIDDEN))
    weights.put("layers.0.self_attn.o_proj.weight", _out_of_heads(20.0, kv_heads))
    config = {
        **common(),
        "architectures": ["DFlashDraftModel"],
        "model_type": "qwen3",
        "num_key_value_heads": kv_heads,
        "head_dim": head,
        "num_hidden_layers": 2,
        "block_size": 8,
        "dflash_config": {"mask_token_id": MASK, "target_layer_ids": layers_seen},
    }
    return weights.save(folder, config, dtype)


def eagle3(folder: Path, dtype: str, architecture: str, model_type: str, output: Any) -> Path:
    """An EAGLE-3 head with an output matrix of its own for a part of the vocabulary, as published ones have."""
    import torch

    weights = Weights("eagle3")
    weights.random("fc.weight", HIDDEN, 3 * HIDDEN, scale=QUIET)
    weights.norms("", "norm")
    prefix = "midlayer"
    weights.attention(f"{prefix}.self_attn", reads=2 * HIDDEN, norms=2.0 if model_type == "qwen3" else None, loud=QUIET)
    weights.mlp(f"{prefix}.mlp", loud=QUIET)
    weights.norms(f"{prefix}.", "input_layernorm", "post_attention_layernorm")
    weights.norms(f"{prefix}.", "hidden_norm", value=QUIET)
    # A token's query is its key, so that it attends to itself, and copies its own embedding.
    same = _taking(2 * HIDDEN, 0)
    per_head = same.view(KV_HEADS, 1, HEAD, 2 * HIDDEN).expand(-1, HEADS // KV_HEADS, -1, -1)
    weights.put(f"{prefix}.self_attn.q_proj.weight", per_head.reshape(HEADS * HEAD, 2 * HIDDEN).clone())
    weights.put(f"{prefix}.self_attn.k_proj.weight", same.clone())
    weights.put(f"{prefix}.self_attn.v_proj.weight", same.clone())
    weights.put(f"{prefix}.self_attn.o_proj.weight", _out_of_heads(4.0))
    drafted = torch.arange(VOCABULARY // 4, VOCABULARY)
    weights.put("lm_head.weight", output[drafted].clone())
    weights.put("d2t", drafted - torch.arange(len(drafted)))
    config = {
        **common(),
        "architectures": [architecture],
        "model_type": model_type,
        "num_hidden_layers": 1,
        "draft_vocab_size": len(drafted),
        "norm_before_residual": True,
        # Model runner V1 reads them in either place, V2 only in the first.
        "eagle_aux_hidden_state_layer_ids": [1, 2, 3],
        "eagle_config": {"eagle_aux_hidden_state_layer_ids": [1, 2, 3]},
    }
    return weights.save(folder, config, dtype)


def mimo_mtp(folder: Path, dtype: str) -> Path:
    """An MTP head in MiMo's form, which vLLM lends the target's embedding and output matrix."""
    weights = Weights("mtp")
    prefix = "model.mtp_layers.0"
    weights.norms(
        f"{prefix}.", "token_layernorm", "hidden_layernorm", "input_layernorm", "post_attention_layernorm",
        "final_layernorm",
    )  # fmt: skip
    weights.put(f"{prefix}.input_proj.weight", _taking(2 * HIDDEN, HIDDEN))
    # vLLM's Qwen2 layer has the target's number of heads, and divides the hidden size among them.
    weights.attention(f"{prefix}.self_attn", head=HIDDEN // HEADS, biases=True, loud=QUIET)
    weights.mlp(f"{prefix}.mlp", loud=QUIET)
    config = {
        **common(),
        "architectures": ["MiMoForCausalLM"],
        "model_type": "qwen2",
        "num_hidden_layers": 1,
        "num_nextn_predict_layers": 1,
        "attention_bias": True,
    }
    return weights.save(folder, config, dtype)


def gemma4_assistant(folder: Path, dtype: str, text: dict[str, Any], output: Any) -> Path:
    """Gemma 4's assistant: two layers without keys and values, which read those of the target."""
    weights = Weights("assistant")
    weights.put("model.embed_tokens.weight", output.clone())
    kinds = ("sliding_attention", "full_attention")
    for layer, kind in enumerate(kinds):
        prefix = f"model.layers.{layer}"
        head = text["head_dim"] if kind == "sliding_attention" else text["global_head_dim"]
        weights.random(f"{prefix}.self_attn.q_proj.weight", HEADS * head, HIDDEN)
        weights.random(f"{prefix}.self_attn.o_proj.weight", HIDDEN, HEADS * head)
        weights.norms(f"{prefix}.self_attn.", "q_norm", size=head)
        weights.mlp(f"{prefix}.mlp")
        weights.norms(f"{prefix}.", "input_layernorm", "pre_feedforward_layernorm")
        weights.norms(f"{prefix}.", "post_attention_layernorm", "post_feedforward_layernorm", value=QUIET)
        weights.full(f"{prefix}.layer_scalar", 1, value=1.0)
    weights.norms("", "model.norm")
    weights.put("pre_projection.weight", _taking(2 * HIDDEN, 0))
    weights.random("post_projection.weight", HIDDEN, HIDDEN)
    own = {**text, "num_hidden_layers": len(kinds), "layer_types": list(kinds), "num_kv_shared_layers": len(kinds)}
    for absent in ("num_experts", "top_k_experts", "moe_intermediate_size", "enable_moe_block", "use_double_wide_mlp"):
        own.pop(absent, None)
    own |= {"hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0}
    config = {
        "architectures": ["Gemma4AssistantForCausalLM"],
        "model_type": "gemma4_assistant",
        "backbone_hidden_size": HIDDEN,
        "text_config": {**own, "model_type": "gemma4_text", "vocab_size": VOCABULARY},
    }
    return weights.save(folder, config, dtype)


def qwen3_5_mtp(weights: Weights, feed_forward: Any, norm: float) -> None:
    """The MTP layer that Qwen 3.5 brings in the target's own checkpoint."""
    weights.put("mtp.fc.weight", _taking(2 * HIDDEN, 0))
    weights.norms("mtp.", "norm", "pre_fc_norm_hidden", "pre_fc_norm_embedding", value=norm)
    weights.attention("mtp.layers.0.self_attn", gated=True, norms=norm, loud=QUIET)
    feed_forward("mtp.layers.0.mlp", QUIET)
    weights.norms("mtp.layers.0.", "input_layernorm", "post_attention_layernorm", value=norm)
