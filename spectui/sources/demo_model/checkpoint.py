"""Turns the demo target's GGUF file into the files of a Hugging Face Llama checkpoint."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from spectui.sources.demo_model.gguf_file import GgufError, GgufFile, GgufTensor, Metadata, read_gguf
from spectui.sources.demo_model.safetensors_file import WEIGHTS_FILE, BfloatTensor, write_bfloat16
from spectui.sources.demo_model.tokenizer_files import tokenizer_config_json, tokenizer_json
from spectui.sources.demo_model.weights import interleaved_rows_to_halves, tensor_to_bfloat16

BytesProgress: TypeAlias = Callable[[int, int], None]

_TOP_LEVEL = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
_IN_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_BLOCK_TENSOR = re.compile(r"blk\.(\d+)\.(\w+)\.weight")


def _number(metadata: Metadata, key: str) -> int | float:
    value = metadata.get(key)
    if not isinstance(value, int | float):
        raise GgufError(f"GGUF metadata has no number {key}")
    return value


def _shortest_float32(value: float) -> float:
    """GGUF stores float32, and its shortest spelling (1e-05) is the published one."""
    return float(str(np.float32(value)))


def config_json(gguf: GgufFile) -> dict[str, object]:
    """The content of config.json: a Llama with tied embeddings in bfloat16."""
    metadata = gguf.metadata
    hidden = _number(metadata, "llama.embedding_length")
    heads = _number(metadata, "llama.attention.head_count")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": _number(metadata, "llama.vocab_size"),
        "hidden_size": hidden,
        "intermediate_size": _number(metadata, "llama.feed_forward_length"),
        "num_hidden_layers": _number(metadata, "llama.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": _number(metadata, "llama.attention.head_count_kv"),
        "head_dim": _number(metadata, "llama.rope.dimension_count"),
        "max_position_embeddings": _number(metadata, "llama.context_length"),
        "rms_norm_eps": _shortest_float32(_number(metadata, "llama.attention.layer_norm_rms_epsilon")),
        "rope_theta": _number(metadata, "llama.rope.freq_base"),
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": "output.weight" not in gguf.tensors,
        **_token_ids(metadata),
        "torch_dtype": "bfloat16",
    }


def _token_ids(metadata: Metadata) -> dict[str, object]:
    roles = {"bos_token_id": "bos", "eos_token_id": "eos", "pad_token_id": "padding"}
    return {key: _number(metadata, f"tokenizer.ggml.{role}_token_id") for key, role in roles.items()}


def hugging_face_name(gguf_name: str) -> str:
    """The checkpoint's name for a GGUF tensor.

    Raises:
        GgufError: A Llama has no such tensor.
    """
    if match := _BLOCK_TENSOR.fullmatch(gguf_name):
        layer, part = match.groups()
        if part in _IN_BLOCK:
            return f"model.layers.{layer}.{_IN_BLOCK[part]}.weight"
    elif (stem := gguf_name.removesuffix(".weight")) in _TOP_LEVEL:
        return f"{_TOP_LEVEL[stem]}.weight"
    raise GgufError(f"tensor {gguf_name} does not belong in a Llama checkpoint")


def _reader(tensor: GgufTensor, name: str, heads: int, kv_heads: int) -> Callable[[], memoryview]:
    def read() -> memoryview:
        bits = tensor_to_bfloat16(tensor)
        if name.endswith("q_proj.weight"):
            bits = interleaved_rows_to_halves(bits, heads)
        elif name.endswith("k_proj.weight"):
            bits = interleaved_rows_to_halves(bits, kv_heads)
        return bits.data.cast("B")

    return read


def _bfloat_tensors(gguf: GgufFile) -> list[BfloatTensor]:
    heads = int(_number(gguf.metadata, "llama.attention.head_count"))
    kv_heads = int(_number(gguf.metadata, "llama.attention.head_count_kv"))
    named = [(hugging_face_name(tensor.name), tensor) for tensor in gguf.tensors.values()]
    return [(name, tensor.shape, _reader(tensor, name, heads, kv_heads)) for name, tensor in named]


def _write_json(path: Path, content: dict[str, object]) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=2)
        file.flush()
        os.fsync(file.fileno())


def write_checkpoint(gguf_bytes: bytes, directory: Path, progress: BytesProgress) -> str:
    """Convert a GGUF file into ``directory``, which exists and is empty; returns the sha256 of the weights file.

    ``progress`` is called with (bytes of weights written, bytes in total).

    Raises:
        GgufError: The file belongs to another model family.
        OSError: The disk refused to write.
    """
    gguf = read_gguf(gguf_bytes)
    _write_json(directory / "config.json", config_json(gguf))
    _write_json(directory / "generation_config.json", _token_ids(gguf.metadata))
    _write_json(directory / "tokenizer.json", tokenizer_json(gguf.metadata))
    _write_json(directory / "tokenizer_config.json", tokenizer_config_json(gguf.metadata))
    return write_bfloat16(directory / WEIGHTS_FILE, _bfloat_tensors(gguf), progress)
