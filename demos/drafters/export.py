"""The drafters as vLLM loads them: config, bf16 weights and a card, no copy of the target's embedding.

DFlash brings the rows of the output matrix that it drafts with: multiplying by all of the target's would take longer
than the drafter itself (``DFlashQwen3ForCausalLM.compute_logits`` in ``vllm/model_executor/models/qwen3_dflash.py``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from demos.drafters.blocks import Shape
from demos.drafters.objective import Vocabulary

WEIGHTS = "model.safetensors"
MTP_PREFIX = "model.mtp_layers.0."
MASK_TOKEN = 0
"""``<|endoftext|>``, which is never the last token before a draft; its place in a block takes the trained mask
embedding of ``mask_embedding.pt``."""
MASK_FILE = "mask_embedding.pt"
OUTPUT_ROWS, OUTPUT_MAP = "lm_head.weight", "d2t"


def mtp_tensors(head: nn.Module) -> dict[str, Tensor]:
    """The head's weights under the names of a MiMo checkpoint."""
    return {MTP_PREFIX + name: _shipped(tensor) for name, tensor in head.state_dict().items()}


def dflash_tensors(drafter: nn.Module) -> tuple[dict[str, Tensor], Tensor]:
    """The drafter's weights under vLLM's names, and its mask embedding."""
    state = {name: _shipped(tensor) for name, tensor in drafter.state_dict().items()}
    mask = state.pop("mask_embedding")
    return state, mask


def output_tensors(drafted: Vocabulary) -> dict[str, Tensor]:
    """The output matrix over the tokens that can be drafted, and how far each one's id lies behind its row."""
    return {OUTPUT_ROWS: _shipped(drafted.matrix), OUTPUT_MAP: drafted.ids - torch.arange(len(drafted.ids))}


def export_mtp(head: nn.Module, shape: Shape, directory: Path, card: str = "") -> None:
    """Write a directory for ``{"method": "mtp", "model": directory}`` beside a target that is started with
    ``hf_overrides={"num_nextn_predict_layers": 1}``."""
    config = {
        **_common(shape),
        "architectures": ["MiMoForCausalLM"],
        "model_type": "qwen2",
        "num_hidden_layers": 1,
        "num_nextn_predict_layers": 1,
        "attention_bias": True,
    }
    _write(directory, config, mtp_tensors(head), card)


def export_dflash(
    drafter: nn.Module,
    shape: Shape,
    layers: tuple[int, ...],
    directory: Path,
    card: str = "",
    drafted: Vocabulary | None = None,
) -> None:
    """Write a directory for ``{"method": "dflash", "model": directory}``.

    ``drafted`` holds the tokens that it can draft; None for all, with the target's output matrix.
    """
    tensors, mask = dflash_tensors(drafter)
    config = {
        **_common(shape),
        "architectures": ["DFlashDraftModel"],
        "model_type": "qwen3",
        "num_hidden_layers": sum(name.endswith("q_proj.weight") for name in tensors),
        "num_target_layers": len(layers),
        "attention_bias": False,
        "block_size": 8,
        "dflash_config": {"mask_token_id": MASK_TOKEN, "target_layer_ids": list(layers)},
    }
    if drafted is not None:
        config["draft_vocab_size"] = len(drafted.ids)
        tensors |= output_tensors(drafted)
    _write(directory, config, tensors, card)
    torch.save({"embedding": mask, "mask_token_id": MASK_TOKEN}, directory / MASK_FILE)


def load_exported(name: str, directory: Path) -> dict[str, Tensor]:
    """The state of an exported drafter's model, in float32."""
    tensors = load_file(directory / WEIGHTS)
    for own in (OUTPUT_ROWS, OUTPUT_MAP):
        tensors.pop(own, None)
    if name == "dflash":
        tensors["mask_embedding"] = torch.load(directory / MASK_FILE, weights_only=True)["embedding"]
    return {key.removeprefix(MTP_PREFIX): tensor.float() for key, tensor in tensors.items()}


def _shipped(tensor: Tensor) -> Tensor:
    return tensor.detach().to(torch.bfloat16).contiguous()


def _common(shape: Shape) -> dict[str, Any]:
    return {
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.intermediate_size,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "vocab_size": shape.vocab_size,
        "hidden_act": "silu",
        "max_position_embeddings": 8192,
        "rms_norm_eps": shape.eps,
        "rope_theta": shape.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta},
        "bos_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
    }


def _write(directory: Path, config: dict[str, Any], tensors: dict[str, Tensor], card: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    temporary = directory / f"{WEIGHTS}.partial"
    save_file(tensors, temporary, metadata={"format": "pt"})
    temporary.replace(directory / WEIGHTS)
    if card:
        (directory / "README.md").write_text(card, encoding="utf-8")
