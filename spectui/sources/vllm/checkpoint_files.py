"""Inspects a checkpoint's files without loading them."""

from __future__ import annotations

import json
from pathlib import Path

from spectui.places import expanded
from spectui.sources.checkpoints.headers import header


def damaged_weights(folder: Path) -> Path | None:
    """The first safetensors file in ``folder`` that is cut short or has no readable header; None if all are complete.

    Reads headers only: a wrong byte among the weights goes unnoticed.
    """
    for path in sorted(folder.glob("*.safetensors")):
        try:
            header(path)
        except ValueError:
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
