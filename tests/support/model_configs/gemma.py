"""Gemma 4: targets, Google's assistants, and DFlash and EAGLE-3 drafters for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.model_configs.speculators import speculator

SLIDING, FULL = "sliding_attention", "full_attention"
VOCABULARY = 262_144
ROPE = {
    FULL: {"partial_rotary_factor": 0.25, "rope_theta": 1_000_000.0, "rope_type": "proportional"},
    SLIDING: {"rope_theta": 10_000.0, "rope_type": "default"},
}
TOKENS = {
    "audio_token_id": 258_881,
    "boa_token_id": 256_000,
    "boi_token_id": 255_999,
    "eoa_token_index": 258_883,
    "eoi_token_id": 258_882,
    "eos_token_id": [1, 106],
    "image_token_id": 258_880,
    "video_token_id": 258_884,
}
LARGE_VISION = {
    "model_type": "gemma4_vision",
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "head_dim": 72,
    "global_head_dim": 72,
    "standardize": True,
    "rope_parameters": {"rope_theta": 100.0, "rope_type": "default"},
}
SMALL_VISION = {"model_type": "gemma4_vision", "use_clipped_linears": True}


def _text(layers: int, every: int, **sizes: Any) -> dict[str, Any]:
    """A text model whose every ``every``-th layer has full attention."""
    return {
        "model_type": "gemma4_text",
        "attention_bias": False,
        "attention_k_eq_v": False,
        "bos_token_id": 2,
        "dtype": "bfloat16",
        "enable_moe_block": False,
        "eos_token_id": 1,
        "final_logit_softcapping": 30.0,
        "global_head_dim": 512,
        "head_dim": 256,
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size_per_layer_input": 0,
        "layer_types": [SLIDING if (layer + 1) % every else FULL for layer in range(layers)],
        "max_position_embeddings": 262_144,
        "num_global_key_value_heads": None,
        "num_hidden_layers": layers,
        "num_kv_shared_layers": 0,
        "pad_token_id": 0,
        "rms_norm_eps": 1e-6,
        "rope_parameters": ROPE,
        "sliding_window": 1024,
        "tie_word_embeddings": True,
        "use_double_wide_mlp": False,
        "vocab_size": VOCABULARY,
        "vocab_size_per_layer_input": VOCABULARY,
        **sizes,
    }


def _target(text: dict[str, Any], vision: dict[str, Any], audio: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "architectures": ["Gemma4ForConditionalGeneration"],
        "model_type": "gemma4",
        "dtype": "bfloat16",
        "tie_word_embeddings": True,
        "text_config": text,
        "vision_config": vision,
        "audio_config": audio,
        **TOKENS,
    }


def _assistant(hidden: int, backbone: int, unified: bool = False, **sizes: Any) -> dict[str, Any]:
    """A drafter of four layers, all of which read the target's cache."""
    text = _text(4, 4, hidden_size=hidden, num_kv_shared_layers=4, final_logit_softcapping=None, **sizes)
    text["vocab_size_per_layer_input"] = 0
    if unified:
        text["model_type"] = "gemma4_unified_text"
    return {
        "architectures": [f"Gemma4{'Unified' if unified else ''}AssistantForCausalLM"],
        "model_type": f"gemma4_{'unified_' if unified else ''}assistant",
        "backbone_hidden_size": backbone,
        "centroid_intermediate_top_k": 32,
        "dtype": "bfloat16",
        "num_centroids": 2048,
        "tie_word_embeddings": True,
        "use_ordered_embeddings": hidden == 256,
        "text_config": text,
    }


def _dflash(hidden: int, intermediate: int, heads: int, target_layers: int, taps: list[int]) -> dict[str, Any]:
    """A drafter of z-lab: four layers with a sliding window, one without, blocks of 16 tokens."""
    return {
        "architectures": ["DFlashDraftModel"],
        "model_type": "qwen3",
        "attention_bias": False,
        "block_size": 16,
        "dflash_config": {"mask_token_id": 4, "target_layer_ids": taps},
        "dtype": "bfloat16",
        "final_logit_softcapping": 30.0,
        "head_dim": 128,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "layer_types": [SLIDING] * 4 + [FULL],
        "max_position_embeddings": 262_144,
        "num_attention_heads": heads,
        "num_hidden_layers": 5,
        "num_key_value_heads": 8,
        "num_target_layers": target_layers,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000,
        "rope_scaling": None,
        "sliding_window": 2048,
        "tie_word_embeddings": True,
        "use_sliding_window": True,
        "vocab_size": VOCABULARY,
    }


def _speculator(kind: str, k: int, layers: int, **more: Any) -> dict[str, Any]:
    """A drafter of Red Hat for the 31B."""
    layer = {
        "head_dim": 256,
        "hidden_size": 5376,
        "intermediate_size": 21_504,
        "max_position_embeddings": 262_144,
        "num_attention_heads": 32,
        "num_hidden_layers": layers,
        "num_key_value_heads": 16,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_theta": 10_000.0, "rope_type": "default"},
        "vocab_size": VOCABULARY,
    }
    return speculator(kind, k, "google/gemma-4-31B-it", "Gemma4ForConditionalGeneration", layer, **more)


_SMALL = {"sliding_window": 512, "max_position_embeddings": 131_072, "num_attention_heads": 8}
_ASSISTANT_OF_SMALL = {**_SMALL, "intermediate_size": 2048, "num_attention_heads": 4}
_LARGE_ASSISTANT = {"attention_k_eq_v": True, "intermediate_size": 8192}

CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "google/gemma-4-E2B-it": _target(
        _text(
            35,
            5,
            hidden_size=1536,
            intermediate_size=6144,
            num_key_value_heads=1,
            hidden_size_per_layer_input=256,
            num_kv_shared_layers=20,
            use_double_wide_mlp=True,
            **_SMALL,
        ),
        SMALL_VISION,
        {"model_type": "gemma4_audio"},
    ),
    "google/gemma-4-E4B-it": _target(
        _text(
            42,
            6,
            hidden_size=2560,
            intermediate_size=10_240,
            num_key_value_heads=2,
            hidden_size_per_layer_input=256,
            num_kv_shared_layers=18,
            **_SMALL,
        ),
        SMALL_VISION,
        {"model_type": "gemma4_audio"},
    ),
    "google/gemma-4-12B-it": {
        **_target(
            _text(
                48,
                6,
                model_type="gemma4_unified_text",
                hidden_size=3840,
                intermediate_size=15_360,
                num_attention_heads=16,
                num_key_value_heads=8,
                num_global_key_value_heads=1,
                attention_k_eq_v=True,
            ),
            {
                "model_type": "gemma4_unified_vision",
                "mm_embed_dim": 3840,
                "mm_posemb_size": 1120,
                "model_patch_size": 48,
                "num_soft_tokens": 280,
                "output_proj_dims": 3840,
                "patch_size": 16,
                "pooling_kernel_size": 3,
                "rms_norm_eps": 1e-6,
            },
            {"model_type": "gemma4_unified_audio", "audio_embed_dim": 640, "rms_norm_eps": 1e-6},
        ),
        "architectures": ["Gemma4UnifiedForConditionalGeneration"],
        "model_type": "gemma4_unified",
    },
    "google/gemma-4-26B-A4B-it": _target(
        _text(
            30,
            6,
            hidden_size=2816,
            intermediate_size=2112,
            num_attention_heads=16,
            num_key_value_heads=8,
            num_global_key_value_heads=2,
            attention_k_eq_v=True,
            enable_moe_block=True,
            num_experts=128,
            top_k_experts=8,
            moe_intermediate_size=704,
            use_bidirectional_attention="vision",
        ),
        LARGE_VISION,
    ),
    "google/gemma-4-31B-it": _target(
        _text(
            60,
            6,
            hidden_size=5376,
            intermediate_size=21_504,
            num_attention_heads=32,
            num_key_value_heads=16,
            num_global_key_value_heads=4,
            attention_k_eq_v=True,
            use_bidirectional_attention="vision",
        ),
        LARGE_VISION,
    ),
    "google/gemma-4-E2B-it-assistant": _assistant(256, 1536, num_key_value_heads=1, **_ASSISTANT_OF_SMALL),
    "google/gemma-4-E4B-it-assistant": _assistant(256, 2560, num_key_value_heads=2, **_ASSISTANT_OF_SMALL),
    "google/gemma-4-12B-it-assistant": _assistant(
        1024,
        3840,
        unified=True,
        num_attention_heads=16,
        num_key_value_heads=8,
        num_global_key_value_heads=1,
        **_LARGE_ASSISTANT,
    ),
    "google/gemma-4-26B-A4B-it-assistant": _assistant(
        1024,
        2816,
        num_attention_heads=16,
        num_key_value_heads=8,
        num_global_key_value_heads=2,
        **_LARGE_ASSISTANT,
    ),
    "google/gemma-4-31B-it-assistant": _assistant(
        1024,
        5376,
        num_attention_heads=32,
        num_key_value_heads=16,
        num_global_key_value_heads=4,
        **_LARGE_ASSISTANT,
    ),
    # Of the 12B drafter only the size of its checkpoint is known (1,455,000,120 bytes), which these sizes give.
    "z-lab/gemma4-12B-it-DFlash": _dflash(3840, 7680, 32, 48, [1, 10, 19, 27, 36, 45]),
    "z-lab/gemma-4-26B-A4B-it-DFlash": _dflash(2816, 5632, 32, 30, [1, 6, 11, 17, 22, 27]),
    "z-lab/gemma-4-31B-it-DFlash": _dflash(5376, 10_752, 64, 60, [1, 12, 23, 35, 46, 57]),
    "RedHatAI/gemma-4-31B-it-speculator.dflash": _speculator(
        "dflash",
        7,
        5,
        aux_hidden_state_layer_ids=[1, 17, 29, 47, 58],
        block_size=8,
        mask_token_id=4,
    ),
    "RedHatAI/gemma-4-31B-it-speculator.eagle3": _speculator(
        "eagle3", 3, 1, eagle_aux_hidden_state_layer_ids=[2, 30, 57], norm_before_residual=True
    ),
}
