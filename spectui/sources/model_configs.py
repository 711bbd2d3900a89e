"""Reads the configuration of a model that is on this machine: of a folder, or of Hugging Face's cache.

Asks no network and imports nothing heavy, so that a command can look at a model before it starts anything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spectui.places import expanded

_CONFIG = "config.json"


def config_of(model: str) -> Mapping[str, Any] | None:
    """The configuration of ``model``, a folder or an id on Hugging Face; None if it is not here or cannot be read."""
    folder = model_folder(model)
    if folder is None:
        return None
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None
    return config if isinstance(config, dict) else None


def model_folder(model: str) -> Path | None:
    """The folder that has the configuration of ``model``; None if it is not on this machine."""
    try:
        folder = expanded(model)
        if (folder / _CONFIG).is_file():
            return folder
        return None if folder.exists() else _cached(model)
    except (OSError, ValueError):
        return None


def _cached(model: str) -> Path | None:
    """The newest revision in the cache, which is laid out as ``models--OWNER--NAME/snapshots/REVISION``."""
    owner, slash, name = model.partition("/")
    if not (owner and slash and name) or "/" in name:
        return None
    place = hub() / f"models--{owner}--{name}"
    try:
        main = (place / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    folder = place / "snapshots" / main
    return folder if main and (folder / _CONFIG).is_file() else None


def hub() -> Path:
    """Where Hugging Face keeps models (``huggingface_hub/constants.py``); it need not exist."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if value := os.environ.get(variable):
            return expanded(value)
    if home := os.environ.get("HF_HOME"):
        return expanded(home) / "hub"
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return expanded(cache) / "huggingface" / "hub"


def block_tokens(config: Mapping[str, Any]) -> int | None:
    """How many tokens a DFlash drafter was trained to draft at once; None if its configuration does not say.

    The first token of a block is the last one that is known, unless the drafter samples from it too
    (``vllm/transformers_utils/configs/speculators/algos.py``). z-lab has put the size in both of these places.
    """
    block = config.get("dflash_config")
    nested: Mapping[str, Any] = block if isinstance(block, dict) else {}
    size = config.get("block_size", nested.get("block_size"))
    if not isinstance(size, int) or isinstance(size, bool) or size < 2:
        return None
    return size if config.get("sample_from_anchor", nested.get("sample_from_anchor")) is True else size - 1


_MTP_COUNTS = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules")


def mtp_layers(config: Mapping[str, Any]) -> tuple[str, int] | None:
    """The entry of a target's configuration that counts its layers of multi-token prediction, and the count; None if
    it has none. Names as in ``hf_config_override`` of ``vllm/config/speculative.py``."""
    inner = (config.get(name) for name in ("text_config", "mtp_config"))
    for part in (config, *(part for part in inner if isinstance(part, dict))):
        for name in _MTP_COUNTS:
            count = part.get(name)
            if isinstance(count, int) and not isinstance(count, bool) and count > 0:
                return name, count
    return None


def kinds(config: Mapping[str, Any]) -> frozenset[str]:
    """The model types and architectures that the configuration names, of the whole model and of its text model."""
    text = config.get("text_config")
    parts = (config, text if isinstance(text, dict) else {})
    named = [part.get("model_type") for part in parts]
    for part in parts:
        listed = part.get("architectures")
        named += listed if isinstance(listed, list) else []
    return frozenset(name for name in named if isinstance(name, str))
