"""What the trainers need of the target: its shape, its embedding, its last layers' weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from demos.drafters.blocks import Shape
from spectui.sources.hardware import cpu_dtype

COMPUTE: torch.dtype = getattr(torch, cpu_dtype())
"""What matrices are multiplied in: the type in which this processor is fast."""


@dataclass(frozen=True, slots=True)
class Target:
    """The target's weights by name, read when they are asked for.

    ``embedding``: `COMPUTE` [V, H], which is the output matrix too (tied).
    """

    directory: Path
    shape: Shape
    layers: int
    embedding: Tensor

    def weight(self, name: str) -> Tensor:
        """A tensor of the checkpoint as float32."""
        with safe_open(self.directory / "model.safetensors", "pt") as file:
            tensor: Tensor = file.get_tensor(name).float()
            return tensor

    def layer(self, index: int) -> dict[str, Tensor]:
        """A decoder layer's tensors by their names within the layer."""
        prefix = f"model.layers.{index}."
        with safe_open(self.directory / "model.safetensors", "pt") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118 - not a dict
            return {name.removeprefix(prefix): file.get_tensor(name).float() for name in names}


def load_target(directory: Path) -> Target:
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    shape = Shape(
        hidden_size=config["hidden_size"],
        intermediate_size=config["intermediate_size"],
        heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"],
        head_dim=config["head_dim"],
        vocab_size=config["vocab_size"],
        eps=config["rms_norm_eps"],
        rope_theta=config["rope_theta"],
    )
    with safe_open(directory / "model.safetensors", "pt") as file:
        embedding = file.get_tensor("model.embed_tokens.weight")
    return Target(directory, shape, config["num_hidden_layers"], embedding.to(COMPUTE))
