"""The published configurations of the models that presets name, without their weights: real sizes, real layer types.

Sizes are facts about the published checkpoints, taken from their public config.json (vision and audio towers are left
at transformers' defaults where their sizes are not known). `write_hub` lays them out as Hugging Face's cache does, so
that vLLM and everything else finds a model by its id without a network.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.support.model_configs import gemma, llama, qwen

CONFIGS: Mapping[str, Mapping[str, Any]] = {**gemma.CONFIGS, **qwen.CONFIGS, **llama.CONFIGS}
"""The config.json of each model, by its id on Hugging Face."""

REVISION = "0123456789abcdef0123456789abcdef01234567"


def write_model(folder: Path, model: str) -> Path:
    """Write the config.json of ``model`` into ``folder``, which is created; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIGS[model]), encoding="utf-8")
    return folder


def write_hub(hub: Path, models: Iterable[str] = CONFIGS) -> Path:
    """Write a Hugging Face cache (what ``HF_HUB_CACHE`` names) that holds the config.json of each of ``models``."""
    for model in models:
        place = hub / f"models--{model.replace('/', '--')}"
        write_model(place / "snapshots" / REVISION, model)
        (place / "refs").mkdir(parents=True, exist_ok=True)
        (place / "refs" / "main").write_text(REVISION, encoding="utf-8")
    return hub
