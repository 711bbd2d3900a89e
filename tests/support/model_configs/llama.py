"""Llama 3 and gpt-oss: targets, and EAGLE-3 and DFlash drafters for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.model_configs.speculators import eagle3


def _llama(layers: int, hidden: int, intermediate: int, heads: int) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "bos_token_id": 128_000,
        "dtype": "bfloat16",
        "eos_token_id": [128_001, 128_008, 128_009],
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "max_position_embeddings": 131_072,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-5,
        "rope_scaling": {
            "factor": 8.0,
            "high_freq_factor": 4.0,
            "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192,
            "rope_type": "llama3",
        },
        "rope_theta": 500_000.0,
        "tie_word_embeddings": False,
        "vocab_size": 128_256,
    }


def _gpt_oss(layers: int, experts: int) -> dict[str, Any]:
    return {
        "architectures": ["GptOssForCausalLM"],
        "model_type": "gpt_oss",
        "attention_bias": True,
        "eos_token_id": 200_002,
        "head_dim": 64,
        "hidden_act": "silu",
        "hidden_size": 2880,
        "initial_context_length": 4096,
        "intermediate_size": 2880,
        "layer_types": ["full_attention" if layer % 2 else "sliding_attention" for layer in range(layers)],
        "max_position_embeddings": 131_072,
        "num_attention_heads": 64,
        "num_experts_per_tok": 4,
        "num_hidden_layers": layers,
        "num_key_value_heads": 8,
        "num_local_experts": experts,
        "pad_token_id": 199_999,
        "quantization_config": {
            "modules_to_not_convert": [
                "model.layers.*.self_attn",
                "model.layers.*.mlp.router",
                "model.embed_tokens",
                "lm_head",
            ],
            "quant_method": "mxfp4",
        },
        "rms_norm_eps": 1e-5,
        "rope_scaling": {
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "factor": 32.0,
            "original_max_position_embeddings": 4096,
            "rope_type": "yarn",
            "truncate": False,
        },
        "rope_theta": 150_000,
        "sliding_window": 128,
        "swiglu_limit": 7.0,
        "tie_word_embeddings": False,
        "vocab_size": 201_088,
    }


_LLAMA_8B, _LLAMA_70B = _llama(32, 4096, 14_336, 32), _llama(80, 8192, 28_672, 64)

CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "meta-llama/Llama-3.1-8B-Instruct": _LLAMA_8B,
    "meta-llama/Llama-3.3-70B-Instruct": _LLAMA_70B,
    "openai/gpt-oss-20b": _gpt_oss(24, 32),
    "openai/gpt-oss-120b": _gpt_oss(36, 128),
    "RedHatAI/Llama-3.1-8B-Instruct-speculator.eagle3": eagle3(
        "meta-llama/Llama-3.1-8B-Instruct",
        "LlamaForCausalLM",
        hidden_size=4096,
        intermediate_size=14_336,
        num_attention_heads=32,
        vocab_size=128_256,
    ),
    "RedHatAI/Llama-3.3-70B-Instruct-speculator.eagle3": eagle3(
        "meta-llama/Llama-3.3-70B-Instruct",
        "LlamaForCausalLM",
        hidden_size=8192,
        intermediate_size=28_672,
        num_attention_heads=64,
        vocab_size=128_256,
    ),
    "RedHatAI/gpt-oss-20b-speculator.eagle3": {
        **eagle3(
            "openai/gpt-oss-20b",
            "GptOssForCausalLM",
            head_dim=64,
            hidden_size=2880,
            intermediate_size=2880,
            num_attention_heads=64,
            vocab_size=201_088,
        ),
        "draft_vocab_size": 64_000,
        "norm_before_fc": True,
    },
    # A drafter's own vocabulary and width; the other sizes are the target's.
    "nvidia/gpt-oss-120b-Eagle3-v3": {
        "architectures": ["LlamaForCausalLMEagle3"],
        "model_type": "llama",
        "draft_vocab_size": 201_088,
        "dtype": "bfloat16",
        "head_dim": 64,
        "hidden_act": "silu",
        "hidden_size": 2880,
        "intermediate_size": 17_280,
        "max_position_embeddings": 131_072,
        "num_attention_heads": 64,
        "num_hidden_layers": 1,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-5,
        "rope_theta": 150_000,
        "tie_word_embeddings": False,
        "vocab_size": 201_088,
    },
}
