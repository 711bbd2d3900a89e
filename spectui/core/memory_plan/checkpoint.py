"""A checkpoint as its configuration and the headers of its weights describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

BITS: Mapping[str, int] = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "I8", "U8", "BOOL"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
"""Bits of a number in each format that a safetensors header names."""

FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
"""Formats that vLLM converts to the model's own while it loads; it takes all others as they are."""

BYTES: Mapping[str, int] = {"float32": 4, "float": 4, "bfloat16": 2, "float16": 2, "half": 2}
"""Bytes of a number in the formats that a model can be loaded in."""

_DEFAULT = "bfloat16"

_TEXT_PARTS = ("text_config", "llm_config", "language_config", "transformer_layer_config")
"""Where configurations keep the language model's part; the last one is that of drafters made with `speculators`."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor, as a header describes it.

    Attributes:
        name: Its name in the checkpoint.
        dtype: The format of its numbers, as safetensors names it.
        shape: Its dimensions; empty for a single number.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def numbers(self) -> int:
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes in the file; a format that is not known counts as 16 bits."""
        return self.numbers * BITS.get(self.dtype, 16) // 8

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.name.split("."))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model that has not been loaded.

    Attributes:
        name: What the user calls it: a path or an id.
        config: The content of ``config.json``; empty if there is none (a GGUF file).
        tensors: What the headers list; empty if the weights have no headers that can be read.
        file_bytes: The size of weights without such headers.
    """

    name: str
    config: Mapping[str, Any]
    tensors: tuple[Tensor, ...] = ()
    file_bytes: int = 0

    @property
    def text(self) -> Mapping[str, Any]:
        """The configuration of the language model, which a model for images too has in a part of its own."""
        for part in _TEXT_PARTS:
            if isinstance(found := self.config.get(part), Mapping):
                return found
        return self.config

    @property
    def model_type(self) -> str:
        return str(self.text.get("model_type") or self.config.get("model_type") or "")

    @property
    def is_gemma4(self) -> bool:
        """Whether its layers are Gemma 4's; so are DiffusionGemma's (vLLM's ``diffusion_gemma.py``)."""
        return self.model_type.startswith(("gemma4", "diffusion_gemma"))

    @property
    def keys_are_values(self) -> bool:
        """Whether layers that reach everything use their keys as values."""
        return bool(self.text.get("attention_k_eq_v")) or self.model_type.startswith("diffusion_gemma")

    @property
    def architectures(self) -> tuple[str, ...]:
        named = self.config.get("architectures")
        return tuple(map(str, named)) if isinstance(named, (list, tuple)) else ()

    @property
    def quantized(self) -> bool:
        """Whether the weights are quantised in the checkpoint itself."""
        return bool(self.config.get("quantization_config") or self.config.get("compression_config"))

    def dtype(self, asked: str | None = None) -> str:
        """The number format that vLLM loads it in.

        Without a wish it is the checkpoint's own; float32 becomes bfloat16 (``_resolve_auto_dtype`` in
        ``vllm/config/model.py``).
        """
        if asked in BYTES:
            return str(asked)
        for config in (self.config, self.text):
            named = str(config.get("dtype") or config.get("torch_dtype") or "").removeprefix("torch.")
            if named in BYTES:
                return _DEFAULT if BYTES[named] == BYTES["float32"] else named
        return _DEFAULT

    @property
    def mtp_layers(self) -> int:
        """Layers of the built-in MTP head; 0 if there is none."""
        return self.number("mtp_num_hidden_layers") or self.number("num_nextn_predict_layers")

    def number(self, key: str, default: int = 0) -> int:
        """A whole number of the text's configuration."""
        value = self.text.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else default
