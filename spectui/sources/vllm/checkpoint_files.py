"""Inspects a checkpoint's files without loading them."""

from __future__ import annotations

import json
from pathlib import Path

from spectui.places import expanded

_LONGEST_HEADER = 100_000_000


def damaged_weights(folder: Path) -> Path | None:
    """The first safetensors file in ``folder`` that is cut short or has no readable header; None if all are complete.

    Reads headers only: a wrong byte among the weights goes unnoticed.
    """
    for path in sorted(folder.glob("*.safetensors")):
        try:
            if not _whole(path):
                return path
        except OSError:
            continue
    return None


def separate_head_layers(folder: Path) -> int | None:
    """Layers of the MTP head in ``folder``; None if the folder has none in MiMo's form."""
    try:
        config = json.loads((expanded(str(folder)) / "config.json").read_text(encoding="utf-8-sig"))
        layers = config["num_nextn_predict_layers"] if "MiMoForCausalLM" in config["architectures"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return layers if isinstance(layers, int) else None


def _whole(path: Path) -> bool:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(_LONGEST_HEADER, size - 8):
            return False
        try:
            entries = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return False
    return bool(size == 8 + length + max(ends, default=0))
