"""What weights take once they are loaded, from the headers of their files.

vLLM converts plain floating-point numbers to the model's format and keeps quantised ones as they are, so a checkpoint's
tensors have the sizes of the loaded ones, but for what this module describes: what a model does not use, what is stored
once and held twice, and what is quantised while it is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spectui.core.memory_plan.checkpoint import BITS, BYTES, FLOATS, Checkpoint, Tensor

TOWERS = ("visual", "vision_tower", "vision_model", "audio_tower", "embed_vision", "embed_audio")
"""Parts of a model that text never passes through."""

_MTP = ("mtp", "mtp_layers")
_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_SHARED_WITH_TARGET = ("embed_tokens", "embedding", "lm_head", "shared_head")
_KEPT_WHOLE = ("embed_tokens", "embed_tokens_per_layer", "embedding", "lm_head", "router", "gate", "conv1d", *TOWERS)
"""Parts whose matrices load-time quantisation leaves alone: they are no linear layers to vLLM, or are excluded."""

_VOCABULARY_PAD = 64
"""Rows of an embedding are padded to a multiple of it (``DEFAULT_VOCAB_PADDING_SIZE``)."""

_LOAD_TIME_BITS = {"fp8": 8, "mxfp8": 8, "int8": 8, "bitsandbytes": 4.5, "mxfp4": 4.25}
"""Bits of a weight by the beginning of the name of a quantisation that vLLM does while it loads, scales included."""


@dataclass(frozen=True, slots=True)
class LoadRules:
    """How weights are loaded.

    Attributes:
        dtype: The number format that was asked for; None for the model's own.
        quantization: vLLM's engine argument of that name.
        text_only: Whether parts for images and sound are left out (``language_model_only``).
    """

    dtype: str | None = None
    quantization: str | None = None
    text_only: bool = False

    def bits(self, model: Checkpoint) -> float | None:
        """Bits of a weight in linear layers; None where they are loaded as they are."""
        if self.quantization is None or model.quantized:
            return None
        return next((bits for name, bits in _LOAD_TIME_BITS.items() if self.quantization.startswith(name)), None)


AS_IT_IS = LoadRules()


def target_bytes(model: Checkpoint, rules: LoadRules) -> int | None:
    """Bytes of a target; None if its weights could not be looked at."""
    if not model.tensors:
        return model.file_bytes or None
    return _bytes(_of_target(model, rules), model, rules)


def tower_bytes(model: Checkpoint, rules: LoadRules) -> int:
    """Bytes of the parts for images and sound, as far as they are loaded."""
    return _bytes((one for one in _of_target(model, rules) if _in_tower(one)), model, rules)


def built_in_bytes(model: Checkpoint, rules: LoadRules) -> int | None:
    """Bytes of a target's built-in MTP head, which uses the target's embedding and output matrix."""
    if not model.tensors:
        return None
    own = (one for one in model.tensors if _in_head(one, model) and not _is_of(one, _SHARED_WITH_TARGET))
    return _bytes(own, model, rules)


def drafter_bytes(model: Checkpoint, method: str, dtype: str) -> int | None:
    """Bytes of a drafter with a checkpoint of its own, which no quantisation of the target's changes.

    Whatever is in it counts, but for an embedding that vLLM replaces by the target's. Whether an EAGLE drafter's is a
    copy of the target's is known only when both are loaded: it counts, so that the figure is an upper bound.
    """
    if not model.tensors:
        return model.file_bytes or None
    rules = LoadRules(dtype)
    if method == "mtp" and "MiMoForCausalLM" in model.architectures:
        return built_in_bytes(model, rules)
    return _bytes(_used(model.tensors, model), model, rules)


def _of_target(model: Checkpoint, rules: LoadRules) -> Iterator[Tensor]:
    blind = rules.text_only or not any(model.config.get(part) for part in ("vision_config", "audio_config"))
    for tensor in _used(model.tensors, model):
        if _in_head(tensor, model) or (blind and _in_tower(tensor)):
            continue
        yield tensor


def _used(tensors: Iterable[Tensor], model: Checkpoint) -> Iterator[Tensor]:
    """The tensors that are loaded, those that are held twice two times."""
    tied = bool(model.text.get("tie_word_embeddings", model.config.get("tie_word_embeddings", _tied(model))))
    embedded = any(_is_of(tensor, ("embed_tokens",)) for tensor in model.tensors)
    layers, shared = model.number("num_hidden_layers"), model.number("num_kv_shared_layers")
    names = {tensor.name for tensor in model.tensors}
    for tensor in tensors:
        if tied and embedded and _is_of(tensor, ("lm_head",)):
            continue
        place = _layer(tensor)
        key = ".self_attn.k_proj." in tensor.name
        cached = key or any(f".self_attn.{part}." in tensor.name for part in ("v_proj", "k_norm", "v_norm"))
        if cached and 0 < shared <= layers and place is not None and place >= layers - shared:
            # Such a layer reads the cache of another one, and has neither keys nor values.
            continue
        yield tensor
        if key and model.keys_are_values and tensor.name.replace(".k_proj.", ".v_proj.") not in names:
            # Gemma 4 stores such a matrix once; vLLM loads it for keys and for values.
            yield tensor


def _tied(model: Checkpoint) -> bool:
    """What Transformers assumes where the configuration does not say."""
    return model.model_type.startswith("gemma") or model.is_gemma4


def _bytes(tensors: Iterable[Tensor], model: Checkpoint, rules: LoadRules) -> int:
    bits = rules.bits(model)
    own = BYTES[model.dtype(rules.dtype)]
    return sum(_loaded(tensor, own, bits, quantized=model.quantized) for tensor in tensors)


def _loaded(tensor: Tensor, own: int, bits: float | None, *, quantized: bool) -> int:
    numbers = tensor.numbers
    if tensor.dtype not in FLOATS:
        return tensor.bytes
    if tensor.shape and _is_of(tensor, ("embed_tokens", "lm_head")):
        rows = tensor.shape[0]
        numbers = numbers // max(1, rows) * (-(-rows // _VOCABULARY_PAD) * _VOCABULARY_PAD)
    elif bits is not None and len(tensor.shape) > 1 and not _is_of(tensor, _KEPT_WHOLE):
        return int(numbers * bits / 8)
    if quantized and BITS[tensor.dtype] == 32:
        # Scales stay as they are.
        return numbers * 4
    return numbers * own


def _is_of(tensor: Tensor, parts: Iterable[str]) -> bool:
    return not set(parts).isdisjoint(tensor.parts)


def _in_tower(tensor: Tensor) -> bool:
    return _is_of(tensor, TOWERS)


def _in_head(tensor: Tensor, model: Checkpoint) -> bool:
    """Whether a tensor belongs to a built-in MTP head: by its name, or as a layer after the model's last."""
    if _is_of(tensor, _MTP):
        return True
    place, layers = _layer(tensor), model.number("num_hidden_layers")
    return bool(layers and place is not None and place >= layers and model.number("num_nextn_predict_layers"))


def _layer(tensor: Tensor) -> int | None:
    if _in_tower(tensor):
        return None
    found = _LAYER.search(tensor.name)
    return int(found[1]) if found else None
