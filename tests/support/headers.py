"""Checkpoints that are all header: their weights are holes in the files, which take no room and no time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from spectui.core.memory_plan.checkpoint import BITS

Shapes = Mapping[str, tuple[int, ...]]


def header_of(shapes: Shapes, dtype: str = "BF16") -> tuple[bytes, int]:
    """A safetensors header for tensors of these shapes, with its length before it; and the bytes of the tensors."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + prod(shape) * BITS[dtype] // 8
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text, end


def write_weights(path: Path, shapes: Shapes, dtype: str = "BF16") -> Path:
    """Write a safetensors file whose tensors are holes."""
    header, size = header_of(shapes, dtype)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + size)
    return path


def write_checkpoint(folder: Path, config: Mapping[str, Any], *files: Shapes) -> Path:
    """Write a checkpoint's folder: its configuration and its weights, in several files with an index if asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if len(files) == 1:
        write_weights(folder / "model.safetensors", files[0])
        return folder
    names = [f"model-{place:05}-of-{len(files):05}.safetensors" for place in range(1, len(files) + 1)]
    for name, shapes in zip(names, files, strict=True):
        write_weights(folder / name, shapes)
    index = {tensor: name for name, shapes in zip(names, files, strict=True) for tensor in shapes}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return folder
