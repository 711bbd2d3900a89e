"""Tiny checkpoints for tests: drafters that do not fit the demo target, and files that are damaged."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

HIDDEN, VOCABULARY = 576, 49152
"""Of the demo target."""


def dflash_drafter(
    folder: Path, *, hidden: int = HIDDEN, features: int | None = None, layers: tuple[int, ...] = (1,)
) -> Path:
    """A DFlash drafter of one layer, all zeros. ``features`` is the width of what its first matrix takes; ``layers``
    are the target's layers whose hidden states it wants."""
    heads, kv_heads, size, inner = hidden // 64, max(1, hidden // 192), 64, 64
    config = {
        "architectures": ["DFlashDraftModel"],
        "model_type": "qwen3",
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": 1,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": size,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "attention_bias": False,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "block_size": 8,
        "num_target_layers": 30,
        "dflash_config": {"mask_token_id": 0, "target_layer_ids": list(layers)},
    }
    layer = {
        "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
        "self_attn.q_proj": (heads * size, hidden),
        "self_attn.k_proj": (kv_heads * size, hidden),
        "self_attn.v_proj": (kv_heads * size, hidden),
        "self_attn.o_proj": (hidden, heads * size),
        "self_attn.q_norm": (size,),
        "self_attn.k_norm": (size,),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    shapes = {"fc": (hidden, features or hidden * len(layers)), "hidden_norm": (hidden,), "norm": (hidden,)}
    return _written(folder, config, {**shapes, **{f"layers.0.{name}": shape for name, shape in layer.items()}})


def mtp_head(folder: Path, demo_model: Path, *, predicts: int) -> Path:
    """The config of an MTP head that predicts ``predicts`` tokens at once; its weights are never reached."""
    config = json.loads((demo_model / "config.json").read_text())
    config |= {"architectures": ["MiMoForCausalLM"], "num_nextn_predict_layers": predicts}
    return _written(folder, config, {"model.mtp_layers.0.token_layernorm": (HIDDEN,)})


def draft_model(folder: Path, demo_model: Path, **changes: Any) -> Path:
    """A copy of the demo target's config with ``changes``; its weights are never reached."""
    config = json.loads((demo_model / "config.json").read_text()) | changes
    return _written(folder, config, {"model.norm": (HIDDEN,)})


def target_copy(folder: Path, demo_model: Path, *without: str) -> Path:
    """A copy of the demo target that lacks some files; the others are links, but for the ones that tests damage."""
    folder.mkdir()
    for path in demo_model.iterdir():
        if path.name not in without:
            (folder / path.name).symlink_to(path)
    return folder


def cut_in_half(path: Path) -> None:
    """Truncate a file, as an interrupted download does."""
    os.truncate(path, path.stat().st_size // 2)


def flip_bytes(path: Path, at: int, count: int = 64) -> None:
    """Turn every bit of some bytes over."""
    with path.open("r+b") as file:
        file.seek(at)
        data = file.read(count)
        file.seek(at)
        file.write(bytes(byte ^ 0xFF for byte in data))


def own_weights(folder: Path, demo_model: Path) -> Path:
    """A copy of the demo target whose weights file is its own; returns that file."""
    target_copy(folder, demo_model, "model.safetensors")
    return Path(shutil.copy2(demo_model / "model.safetensors", folder))


def _written(folder: Path, config: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> Path:
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {f"{name}.weight": torch.zeros(shape, dtype=torch.bfloat16) for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors")
    return folder
