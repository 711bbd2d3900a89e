"""Tiny random checkpoints of real architectures, each with drafters that fit it.

A target's output matrix prefers one token after each; its layers, which listen to the whole text, often decide
otherwise. So greedy text depends on all that was read, and the drafters, which know the preference alone, are right in
part. Qwen 3.5 is stored in bfloat16, as vLLM's CPU kernels for Gated DeltaNet take nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.support import tiny_drafters as drafters
from tests.support import torchvision_stub
from tests.support.tiny_weights import (
    HEAD,
    HEADS,
    HIDDEN,
    INNER,
    KV_HEADS,
    VOCABULARY,
    Weights,
    embedding,
    output_matrix,
)

EXPERTS, ACTIVE = 4, 2
GLOBAL_HEAD = 128
"""Gemma 4's full layers have one head of twice the size, so that a token takes as much of either kind's cache."""


@dataclass(frozen=True)
class Tiny:
    """A target's folder, and lane specs by method; in all of them K is at most 3."""

    target: Path
    lanes: Mapping[str, str]
    dtype: str


def make(kind: str, folder: Path) -> Tiny:
    """Write the checkpoints of a kind, one of `KINDS`, into ``folder``: the same bytes each time."""
    if kind.startswith("qwen3.5"):
        torchvision_stub.stand_in()
    tiny = _MAKERS[kind](folder)
    lanes = {"ar": "ar", **tiny.lanes, "draft_model": "draft_model:model=target,k=3", "ngram": "ngram:k=3,min=1,max=3"}
    return Tiny(tiny.target, MappingProxyType(lanes), tiny.dtype)


def _llama(folder: Path, model: str = "Llama") -> Tiny:
    norms = 1.0 if model == "Qwen3" else None
    weights, layers = Weights(model), 4
    table = embedding(weights, "model.embed_tokens.weight", scale=0.5)
    for layer in range(layers):
        prefix = f"model.layers.{layer}"
        weights.attention(f"{prefix}.self_attn", norms=norms, loud=0.6)
        weights.mlp(f"{prefix}.mlp", loud=0.4)
        weights.norms(f"{prefix}.", "input_layernorm", "post_attention_layernorm")
    weights.norms("", "model.norm")
    output = output_matrix(weights, "lm_head.weight", table)
    config = {
        "architectures": [f"{model}ForCausalLM"],
        "model_type": model.lower(),
        "num_hidden_layers": layers,
        **drafters.common(),
    }
    dtype = "float32"
    lanes = {
        "eagle3": drafters.eagle3(folder / "eagle3", dtype, f"Eagle3{model}ForCausalLM", model.lower(), output),
        "dflash": drafters.dflash(folder / "dflash", dtype, [1, 2]),
    }
    if model == "Llama":
        lanes["mtp"] = drafters.mimo_mtp(folder / "mtp", dtype)
    return Tiny(weights.save(folder / "target", config, dtype), _specs(lanes), dtype)


def _qwen3(folder: Path) -> Tiny:
    return _llama(folder, "Qwen3")


def _gemma4(folder: Path, *, moe: bool = False, e2b: bool = False) -> Tiny:
    weights = Weights(f"gemma4{moe}{e2b}")
    kinds = ["sliding_attention", "full_attention"] * 2 if e2b else ["sliding_attention"] * 3 + ["full_attention"]
    # The last two layers of the small models read the keys and values of those before them.
    shared = 2 if e2b else 0
    per_layer = 16 if e2b else 0
    table = embedding(weights, "model.embed_tokens.weight", scale=0.25)
    for layer, kind in enumerate(kinds):
        prefix = f"model.layers.{layer}"
        sliding = kind == "sliding_attention"
        reads_others = layer >= len(kinds) - shared
        head, kv_heads = (HEAD, 1 if e2b else KV_HEADS) if sliding else (GLOBAL_HEAD, 1)
        weights.attention(f"{prefix}.self_attn", kv_heads=kv_heads, head=head, norms=1.0)
        absent = ["k_proj.weight", "v_proj.weight", "k_norm.weight"] if reads_others else []
        # The larger models' full layers take their keys for values too.
        absent += ["v_proj.weight"] if not (sliding or e2b) else []
        for name in absent:
            weights.tensors.pop(f"{prefix}.self_attn.{name}", None)
        weights.mlp(f"{prefix}.mlp", inner=2 * INNER if reads_others else INNER)
        weights.norms(f"{prefix}.", "input_layernorm", "pre_feedforward_layernorm")
        weights.norms(f"{prefix}.", "post_attention_layernorm", "post_feedforward_layernorm", value=4.5)
        weights.full(f"{prefix}.layer_scalar", 1, value=1.0)
        if moe:
            weights.full(f"{prefix}.router.scale", HIDDEN, value=1.0)
            weights.full(f"{prefix}.router.per_expert_scale", EXPERTS, value=1.0)
            weights.random(f"{prefix}.router.proj.weight", EXPERTS, HIDDEN, scale=HIDDEN**0.5)
            weights.experts(f"{prefix}.experts", EXPERTS, INNER // 2, loud=1.0)
            weights.norms(
                f"{prefix}.", "post_feedforward_layernorm_1", "post_feedforward_layernorm_2",
                "pre_feedforward_layernorm_2",
            )  # fmt: skip
        if per_layer:
            weights.random(f"{prefix}.per_layer_input_gate.weight", per_layer, HIDDEN)
            weights.random(f"{prefix}.per_layer_projection.weight", HIDDEN, per_layer)
            weights.norms(f"{prefix}.", "post_per_layer_input_norm", value=2.0)
    if per_layer:
        width = per_layer * len(kinds)
        weights.random("model.embed_tokens_per_layer.weight", VOCABULARY, width, scale=width**0.5)
        weights.random("model.per_layer_model_projection.weight", width, HIDDEN)
        weights.norms("model.", "per_layer_projection_norm", size=per_layer)
    weights.norms("", "model.norm")
    text: dict[str, Any] = {
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": len(kinds),
        "layer_types": kinds,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 1 if e2b else KV_HEADS,
        "head_dim": HEAD,
        "global_head_dim": GLOBAL_HEAD,
        "num_global_key_value_heads": 1,
        "attention_k_eq_v": not e2b,
        "num_kv_shared_layers": shared,
        "use_double_wide_mlp": e2b,
        "hidden_size_per_layer_input": per_layer,
        "vocab_size_per_layer_input": VOCABULARY,
        "sliding_window": 32,
        "max_position_embeddings": 2048,
        "final_logit_softcapping": 30.0,
        "tie_word_embeddings": True,
    }
    if moe:
        text |= {
            "enable_moe_block": True,
            "num_experts": EXPERTS,
            "top_k_experts": ACTIVE,
            "moe_intermediate_size": INNER // 2,
        }
    dtype = "float32"
    config = {"architectures": ["Gemma4ForCausalLM"], "model_type": "gemma4_text", **text}
    lanes = {
        "mtp": drafters.gemma4_assistant(folder / "assistant", dtype, text, table),
        "dflash": drafters.dflash(folder / "dflash", dtype, [1, 2], kv_heads=1),
    }
    return Tiny(weights.save(folder / "target", config, dtype), _specs(lanes), dtype)


def _gemma4_moe(folder: Path) -> Tiny:
    return _gemma4(folder, moe=True)


def _gemma4_e2b(folder: Path) -> Tiny:
    return _gemma4(folder, e2b=True)


def _qwen3_5(folder: Path, *, moe: bool = False) -> Tiny:
    """Three Gated DeltaNet layers and one with full attention, and an MTP layer. Norms add one to their weights."""
    import torch

    weights, state, dtype = Weights(f"qwen3.5{moe}"), 128, "bfloat16"
    keys, values, layers = 1, 2, 4
    mixed = (2 * keys + values) * state

    def feed_forward(prefix: str, loud: float) -> None:
        if not moe:
            weights.mlp(prefix, loud=loud)
            return
        weights.random(f"{prefix}.gate.weight", EXPERTS, HIDDEN, scale=HIDDEN**0.5)
        weights.experts(f"{prefix}.experts", EXPERTS, INNER // 2, loud)
        weights.mlp(f"{prefix}.shared_expert", INNER // 2, loud)
        weights.random(f"{prefix}.shared_expert_gate.weight", 1, HIDDEN)

    table = embedding(weights, "model.embed_tokens.weight", scale=0.5)
    for layer in range(layers):
        prefix = f"model.layers.{layer}"
        if layer < layers - 1:
            mixer = f"{prefix}.linear_attn"
            weights.random(f"{mixer}.in_proj_qkv.weight", mixed, HIDDEN, scale=1.5)
            weights.random(f"{mixer}.in_proj_z.weight", values * state, HIDDEN)
            weights.random(f"{mixer}.in_proj_a.weight", values, HIDDEN)
            weights.random(f"{mixer}.in_proj_b.weight", values, HIDDEN)
            weights.random(f"{mixer}.conv1d.weight", mixed, 1, 4, scale=2.0)
            weights.put(f"{mixer}.A_log", torch.linspace(-2.0, 0.0, values))
            weights.full(f"{mixer}.dt_bias", values, value=-1.0)
            weights.full(f"{mixer}.norm.weight", state, value=1.0)
            weights.random(f"{mixer}.out_proj.weight", HIDDEN, values * state, scale=0.5)
        else:
            weights.attention(f"{prefix}.self_attn", gated=True, norms=0.0)
        feed_forward(f"{prefix}.mlp", 0.5)
        weights.norms(f"{prefix}.", "input_layernorm", "post_attention_layernorm", value=0.0)
    weights.norms("", "model.norm", value=0.0)
    output_matrix(weights, "lm_head.weight", table)
    drafters.qwen3_5_mtp(weights, feed_forward, norm=0.0)
    config: dict[str, Any] = {
        "architectures": [f"Qwen3_5{'Moe' if moe else ''}ForCausalLM"],
        "model_type": f"qwen3_5_{'moe_' if moe else ''}text",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": layers,
        "full_attention_interval": layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD,
        "linear_num_key_heads": keys,
        "linear_num_value_heads": values,
        "linear_key_head_dim": state,
        "linear_value_head_dim": state,
        "linear_conv_kernel_dim": 4,
        "mtp_num_hidden_layers": 1,
        "mamba_ssm_dtype": "float32",
        "max_position_embeddings": 2048,
        "tie_word_embeddings": False,
        # The published models' `mrope_section` makes vLLM's CPU build abort the process.
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.25},
    }
    if moe:
        config |= {
            "num_experts": EXPERTS,
            "num_experts_per_tok": ACTIVE,
            "moe_intermediate_size": INNER // 2,
            "shared_expert_intermediate_size": INNER // 2,
        }
    lanes = _specs({"dflash": drafters.dflash(folder / "dflash", dtype, [1, 2])}) | {"mtp": "mtp:k=3"}
    return Tiny(weights.save(folder / "target", config, dtype), lanes, dtype)


def _qwen3_5_moe(folder: Path) -> Tiny:
    return _qwen3_5(folder, moe=True)


def _specs(drafting: Mapping[str, Path]) -> dict[str, str]:
    return {method: f'{method}:model="{folder}",k=3' for method, folder in drafting.items()}


_MAKERS: Mapping[str, Callable[[Path], Tiny]] = {
    "llama": _llama,
    "qwen3": _qwen3,
    "gemma4": _gemma4,
    "gemma4-moe": _gemma4_moe,
    "gemma4-e2b": _gemma4_e2b,
    "qwen3.5": _qwen3_5,
    "qwen3.5-moe": _qwen3_5_moe,
}
KINDS = tuple(_MAKERS)
