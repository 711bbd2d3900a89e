"""Which layers of a model keep something for each request, and how much, from its configuration.

A model whose configuration has signs of layers that are not described here is unknown: no figure is better than a wrong
one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from spectui.core.memory_plan.checkpoint import BYTES, Checkpoint


@dataclass(frozen=True, slots=True)
class Attention:
    """A layer that keeps keys and values of every token.

    Attributes:
        heads: Heads of keys.
        key_size: Numbers of a key.
        value_size: Numbers of a value; 0 where keys and values are one (MLA).
        number_bytes: Bytes of a number in the cache.
        window: How many tokens it reaches; None for all.
    """

    heads: int
    key_size: int
    value_size: int
    number_bytes: int
    window: int | None = None

    @property
    def token_bytes(self) -> int:
        return self.heads * (self.key_size + self.value_size) * self.number_bytes


@dataclass(frozen=True, slots=True)
class State:
    """A layer that keeps one state for each request (gated delta net).

    Attributes:
        channels: Channels of its convolution, which keeps ``kept`` inputs, and one more for every drafted token.
        recurrent_bytes: Bytes of its recurrent state.
        number_bytes: Bytes of a number of the convolution's inputs.
    """

    channels: int
    kept: int
    recurrent_bytes: int
    number_bytes: int

    def bytes(self, k: int) -> int:
        """Bytes of one state in an engine built for ``k`` drafted tokens (``gated_delta_net_state_shape`` in
        ``vllm/model_executor/layers/mamba/mamba_utils.py``)."""
        return (self.kept + k) * self.channels * self.number_bytes + self.recurrent_bytes


Layer: TypeAlias = Attention | State

FULL, SLIDING, LINEAR = "full_attention", "sliding_attention", "linear_attention"

_UNKNOWN = (
    "attention_chunk_size",
    "attn_layer_indices",
    "attn_layer_period",
    "attn_type_list",
    "compress_ratios",
    "hybrid_override_pattern",
    "index_topk",
    "is_encoder_decoder",
    "layers_block_type",
    "linear_attn_config",
    "mamba_d_ssm",
    "ssm_cfg",
)
"""Signs of layers that are not described here."""


def target_layers(model: Checkpoint, *, dtype: str | None, cache_dtype: str, shards: int = 1) -> list[Layer] | None:
    """The layers of a target, without those that use another layer's cache; None if they are not known.

    Args:
        model: The model.
        dtype: The number format that was asked for; None for the model's own.
        cache_dtype: The cache's number format as vLLM's ``kv_cache_dtype`` has it.
        shards: GPUs that share every layer (tensor parallel).
    """
    kinds = _kinds(model)
    if kinds is None:
        return None
    own = BYTES[model.dtype(dtype)]
    stored = cache_number_bytes(model, cache_dtype, own)
    shared = model.number("num_kv_shared_layers")
    layers: list[Layer] = []
    for place, kind in enumerate(kinds[: len(kinds) - shared] if 0 < shared < len(kinds) else kinds):
        if kind == LINEAR:
            layers.append(_delta_net(model, own, shards))
        else:
            layers.append(_attention(model, place, kind, stored, shards))
    return layers


def drafter_layers(
    model: Checkpoint, method: str, *, dtype: str | None, cache_dtype: str, shards: int = 1
) -> list[Layer] | None:
    """The layers of a drafter with a checkpoint of its own; None if they are not known."""
    named = str(model.config.get("model_type"))
    if named.startswith("gemma4") and named.endswith("assistant"):
        # All of its layers read the target's cache (``Gemma4MTPAttention`` in vLLM's ``gemma4_mtp.py``).
        return []
    if method in ("medusa", "mlp_speculator"):
        return []
    if method == "mtp":
        return built_in_layers(model, dtype=dtype, cache_dtype=cache_dtype, shards=shards)
    layers = target_layers(model, dtype=dtype, cache_dtype=cache_dtype, shards=shards)
    if method != "dflash" or layers is None:
        return layers
    # ``_resolve_layer_attention`` in vLLM's ``qwen3_dflash.py``.
    own: Any = model.text.get("dflash_config")
    settings: Mapping[str, Any] = own if isinstance(own, Mapping) else {}
    kinds = model.text.get("layer_types")
    sliding = [kind == SLIDING for kind in kinds] if isinstance(kinds, list) else [False] * len(layers)
    if settings.get("use_swa") and not any(sliding):
        sliding = [True] * len(layers)
    window = settings.get("swa_window_size", model.text.get("sliding_window"))
    return [
        Attention(one.heads, one.key_size, one.value_size, one.number_bytes, window if slides else None)
        for one, slides in zip(layers, sliding, strict=True)
        if isinstance(one, Attention)
    ]


def built_in_layers(model: Checkpoint, *, dtype: str | None, cache_dtype: str, shards: int = 1) -> list[Layer] | None:
    """The layers of a model's built-in MTP head: as many as it names, with full attention; None if it names none."""
    if not model.mtp_layers or _kinds(model) is None:
        return None
    stored = cache_number_bytes(model, cache_dtype, BYTES[model.dtype(dtype)])
    return [_attention(model, -1, FULL, stored, shards)] * model.mtp_layers


def cache_number_bytes(model: Checkpoint, cache_dtype: str, own: int) -> int:
    """Bytes of a number in the cache: the model's own, or 1 if an 8-bit cache was asked for, or belongs to a quantised
    checkpoint (``resolve_kv_cache_dtype_string`` in ``vllm/utils/torch_utils.py``)."""
    if cache_dtype == "auto":
        quantized: Any = model.config.get("quantization_config")
        scheme: Any = {}
        if isinstance(quantized, Mapping):
            scheme = quantized.get("kv_cache_scheme") or quantized.get("kv_cache_quant_algo")
        if isinstance(scheme, Mapping):
            return 1 if scheme.get("num_bits") == 8 else own
        return 1 if str(scheme).upper() == "FP8" else own
    if cache_dtype.startswith(("fp8", "int8")):
        return 1
    return BYTES.get(cache_dtype, own)


def _kinds(model: Checkpoint) -> list[str] | None:
    """What each layer is; None if one of them is not known."""
    text = model.text
    count = model.number("num_hidden_layers")
    if not count or not model.number("num_attention_heads") or any(text.get(sign) for sign in _UNKNOWN):
        return None
    named = text.get("layer_types")
    if isinstance(named, list):
        kinds = [str(kind) for kind in named]
        if model.is_gemma4 and kinds:
            # Transformers turns the last one into full attention.
            kinds[-1] = FULL
    else:
        kinds = _implied_kinds(model, count)
    return kinds if len(kinds) == count and set(kinds) <= {FULL, SLIDING, LINEAR} else None


def _implied_kinds(model: Checkpoint, count: int) -> list[str]:
    """The kinds of layers of a configuration that does not list them, by Transformers' defaults."""
    kind = model.model_type
    if kind.startswith(("qwen3_5", "qwen3_next")):
        return _pattern(LINEAR, model.number("full_attention_interval", 4), count)
    if model.is_gemma4 or kind.startswith("gemma3"):
        kinds = _pattern(SLIDING, model.number("sliding_window_pattern", 6), count)
        return [*kinds[:-1], FULL] if model.is_gemma4 else kinds
    if kind.startswith("gemma2"):
        return _pattern(SLIDING, 2, count)
    slides = model.number("sliding_window") and model.text.get("use_sliding_window") is not False
    return [SLIDING if slides else FULL] * count


def _pattern(kind: str, every: int, count: int) -> list[str]:
    return [FULL if (place + 1) % max(1, every) == 0 else kind for place in range(count)]


def _attention(model: Checkpoint, place: int, kind: str, number_bytes: int, shards: int) -> Attention:
    text = model.text
    window = model.number("sliding_window") or None if kind == SLIDING else None
    if (latent := model.number("kv_lora_rank")) and model.number("qk_rope_head_dim"):
        # MLA keeps one latent vector for all heads.
        return Attention(1, latent + model.number("qk_rope_head_dim"), 0, number_bytes, window)
    heads = model.number("num_key_value_heads") or model.number("num_attention_heads")
    size = model.number("head_dim") or model.number("hidden_size") // model.number("num_attention_heads", 1)
    if kind == FULL and model.is_gemma4:
        size = model.number("global_head_dim", 512)
        if model.keys_are_values:
            heads = model.number("num_global_key_value_heads") or heads
    changed = _overrides(text, place)
    heads, size = changed.get("num_key_value_heads") or heads, changed.get("head_dim") or size
    return Attention(max(1, heads // shards), size, size, number_bytes, window)


def _overrides(text: Mapping[str, Any], place: int) -> Mapping[str, Any]:
    """What a configuration says about one layer alone, as Transformers writes it."""
    named: Any = text.get("per_layer_config")
    if isinstance(named, list) and 0 <= place < len(named):
        found = named[place]
    else:
        found = (named.get(str(place)) or named.get(place)) if isinstance(named, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _delta_net(model: Checkpoint, number_bytes: int, shards: int) -> State:
    key_heads, value_heads = model.number("linear_num_key_heads", 16), model.number("linear_num_value_heads", 32)
    key, value = model.number("linear_key_head_dim", 128), model.number("linear_value_head_dim", 128)
    recurrent = BYTES.get(str(model.text.get("mamba_ssm_dtype")), number_bytes)
    return State(
        channels=(2 * key * key_heads + value * value_heads) // shards,
        kept=model.number("linear_conv_kernel_dim", 4) - 1,
        recurrent_bytes=value_heads // shards * value * key * recurrent,
        number_bytes=number_bytes,
    )
