"""Qwen 3.6 and Qwen 3: targets, and DFlash and EAGLE-3 drafters for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.model_configs.speculators import eagle3

SLIDING, FULL, LINEAR = "sliding_attention", "full_attention", "linear_attention"
FP8 = {
    "quant_method": "fp8",
    "fmt": "e4m3",
    "activation_scheme": "dynamic",
    "weight_block_size": [128, 128],
}


def _hybrid(layers: int, moe: bool, **sizes: Any) -> dict[str, Any]:
    """Qwen 3.6: three Gated DeltaNet layers for each with full attention, and one layer of multi-token prediction."""
    kind = "qwen3_5_moe" if moe else "qwen3_5"
    return {
        "architectures": [f"Qwen3_5{'Moe' if moe else ''}ForConditionalGeneration"],
        "model_type": kind,
        "image_token_id": 248_056,
        "video_token_id": 248_057,
        "vision_start_token_id": 248_053,
        "vision_end_token_id": 248_054,
        "tie_word_embeddings": False,
        "text_config": {
            "model_type": f"{kind}_text",
            "attention_bias": False,
            "attn_output_gate": True,
            "bos_token_id": 248_044,
            "dtype": "bfloat16",
            "eos_token_id": 248_044,
            "full_attention_interval": 4,
            "head_dim": 256,
            "hidden_act": "silu",
            "layer_types": [FULL if layer % 4 == 3 else LINEAR for layer in range(layers)],
            "linear_conv_kernel_dim": 4,
            "linear_key_head_dim": 128,
            "linear_num_key_heads": 16,
            "linear_value_head_dim": 128,
            "mamba_ssm_dtype": "float32",
            "max_position_embeddings": 262_144,
            "mtp_num_hidden_layers": 1,
            "mtp_use_dedicated_embeddings": False,
            "num_hidden_layers": layers,
            "partial_rotary_factor": 0.25,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {
                "mrope_interleaved": True,
                "mrope_section": [11, 11, 10],
                "partial_rotary_factor": 0.25,
                "rope_theta": 10_000_000,
                "rope_type": "default",
            },
            "tie_word_embeddings": False,
            "vocab_size": 248_320,
            **sizes,
        },
        "vision_config": {
            "model_type": kind,
            "deepstack_visual_indexes": [],
            "depth": 27,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 1152,
            "in_channels": 3,
            "intermediate_size": 4304,
            "num_heads": 16,
            "num_position_embeddings": 2304,
            "out_hidden_size": sizes["hidden_size"],
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    }


_27B = _hybrid(
    64,
    False,
    hidden_size=5120,
    intermediate_size=17_408,
    linear_num_value_heads=48,
    num_attention_heads=24,
    num_key_value_heads=4,
)
_35B_A3B = _hybrid(
    40,
    True,
    hidden_size=2048,
    linear_num_value_heads=32,
    moe_intermediate_size=512,
    num_attention_heads=16,
    num_experts=256,
    num_experts_per_tok=8,
    num_key_value_heads=2,
    shared_expert_intermediate_size=512,
)


def _dflash(layers: int, kv_heads: int, window: int, mask: int, taps: list[int], **sizes: Any) -> dict[str, Any]:
    """A drafter of z-lab: all layers but the last have a sliding window, blocks of 16 tokens."""
    return {
        "architectures": ["DFlashDraftModel"],
        "model_type": "qwen3",
        "attention_bias": False,
        "dflash_config": {"mask_token_id": mask, "target_layer_ids": taps},
        "dtype": "bfloat16",
        "head_dim": 128,
        "hidden_act": "silu",
        "layer_types": [SLIDING] * (layers - 1) + [FULL],
        "max_position_embeddings": 262_144,
        "num_attention_heads": 32,
        "num_hidden_layers": layers,
        "num_key_value_heads": kv_heads,
        "rms_norm_eps": 1e-6,
        "sliding_window": window,
        "tie_word_embeddings": False,
        "use_sliding_window": True,
        "vocab_size": 248_320,
        **sizes,
    }


def _dense(layers: int, hidden: int, intermediate: int, heads: int, **more: Any) -> dict[str, Any]:
    """Qwen 3."""
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "attention_bias": False,
        "bos_token_id": 151_643,
        "dtype": "bfloat16",
        "eos_token_id": 151_645,
        "head_dim": 128,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "max_position_embeddings": 40_960,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000,
        "tie_word_embeddings": False,
        "vocab_size": 151_936,
        **more,
    }


def _eagle3_of(target: str, config: Mapping[str, Any]) -> dict[str, Any]:
    sizes = ("hidden_size", "intermediate_size", "num_attention_heads", "vocab_size")
    return eagle3(target, "Qwen3ForCausalLM", **{name: config[name] for name in sizes})


_8B, _14B, _32B = _dense(36, 4096, 12_288, 32), _dense(40, 5120, 17_408, 40), _dense(64, 5120, 25_600, 64)

CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "Qwen/Qwen3.6-27B": _27B,
    "Qwen/Qwen3.6-27B-FP8": {**_27B, "quantization_config": FP8},
    "Qwen/Qwen3.6-35B-A3B": _35B_A3B,
    "Qwen/Qwen3.6-35B-A3B-FP8": {**_35B_A3B, "quantization_config": FP8},
    "z-lab/Qwen3.6-27B-DFlash": _dflash(
        5,
        8,
        2048,
        248_070,
        [1, 16, 31, 46, 61],
        hidden_size=5120,
        intermediate_size=17_408,
        block_size=16,
        rope_theta=10_000_000,
    ),
    # Since June 2026 the block's size and the rotary base are one level deeper.
    "z-lab/Qwen3.6-35B-A3B-DFlash": {
        **_dflash(
            6,
            8,
            4096,
            248_077,
            [1, 6, 11, 16, 22, 27, 32, 37],
            hidden_size=2048,
            intermediate_size=6144,
            rope_parameters={"rope_theta": 10_000_000.0, "rope_type": "default"},
        ),
        "dflash_config": {
            "block_size": 16,
            "mask_token_id": 248_077,
            "target_layer_ids": [1, 6, 11, 16, 22, 27, 32, 37],
        },
    },
    "Qwen/Qwen3-8B": _8B,
    "Qwen/Qwen3-14B": _14B,
    "Qwen/Qwen3-32B": _32B,
    "RedHatAI/Qwen3-8B-speculator.eagle3": _eagle3_of("Qwen/Qwen3-8B", _8B),
    "RedHatAI/Qwen3-14B-speculator.eagle3": _eagle3_of("Qwen/Qwen3-14B", _14B),
    "RedHatAI/Qwen3-32B-speculator.eagle3": _eagle3_of("Qwen/Qwen3-32B", _32B),
    "z-lab/Qwen3-8B-DFlash-b16": {
        **_dense(5, 4096, 12_288, 32),
        "architectures": ["DFlashDraftModel"],
        "block_size": 16,
        "dflash_config": {"mask_token_id": 151_669, "target_layer_ids": [1, 9, 17, 25, 33]},
    },
}
