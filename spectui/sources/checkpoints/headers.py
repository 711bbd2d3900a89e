"""Headers of safetensors files: names, formats and shapes of tensors, at the beginning of every file.

The format: eight bytes with the header's length, the header as JSON, then the numbers
(https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spectui.core.memory_plan.checkpoint import Tensor

INDEX = "model.safetensors.index.json"
_LONGEST_HEADER = 100_000_000


def header(path: Path) -> Mapping[str, Any]:
    """The header of a file, without its metadata.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not a safetensors file, or is cut short.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(_LONGEST_HEADER, size - 8):
            raise ValueError(f"{path} has no safetensors header")
        entries = json.loads(file.read(length))
    try:
        entries = {name: entry for name, entry in entries.items() if name != "__metadata__"}
        end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    except (KeyError, TypeError, AttributeError, IndexError):
        raise ValueError(f"{path} has a safetensors header that cannot be read") from None
    if size != 8 + length + end:
        raise ValueError(f"{path} is cut short")
    return entries


def tensors_in(folder: Path) -> tuple[Tensor, ...]:
    """The tensors of a checkpoint's folder: of the files that its index lists, or of all of them.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is not a safetensors file, or is cut short.
    """
    return tuple(tensor for path in weight_files(folder) for tensor in _tensors(header(path).items()))


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that vLLM would load; those of an index need not exist."""
    index = folder / INDEX
    if index.is_file():
        listed: Any = json.loads(index.read_text(encoding="utf-8"))
        names = listed.get("weight_map") if isinstance(listed, dict) else None
        if isinstance(names, dict):
            return [folder / name for name in sorted(set(map(str, names.values())))]
    return sorted(folder.glob("*.safetensors"))


def _tensors(entries: Iterable[tuple[str, Any]]) -> Iterable[Tensor]:
    for name, entry in entries:
        try:
            yield Tensor(name, str(entry["dtype"]), tuple(map(int, entry["shape"])))
        except (KeyError, TypeError):
            raise ValueError(f"tensor {name} has no format or no shape") from None
