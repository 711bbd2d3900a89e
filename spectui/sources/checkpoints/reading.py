"""Finds a checkpoint, in a folder, in Hugging Face's local cache or on Hugging Face, and reads its configuration and
headers: some hundred kilobytes of many gigabytes."""

from __future__ import annotations

import importlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from spectui.core.memory_plan.checkpoint import Checkpoint, Tensor
from spectui.places import expanded
from spectui.sources.checkpoints.headers import tensors_in, weight_files
from spectui.sources.vllm.target import TargetError, folder_fault, refusal

logger = logging.getLogger(__name__)

CONFIG = "config.json"
_PLAIN_WEIGHTS = ("*.bin", "*.pt", "*.gguf")


class Hub(Protocol):
    """What is asked of Hugging Face, in the words of ``huggingface_hub``."""

    def try_to_load_from_cache(self, repo_id: str, filename: str) -> Any: ...

    def hf_hub_download(self, repo_id: str, filename: str) -> str: ...

    def get_safetensors_metadata(self, repo_id: str) -> Any: ...


def read_checkpoint(model: str, hub: Hub | None = None) -> Checkpoint:
    """Read what the checkpoint ``model``, a path or an id, says about itself.

    Args:
        model: A folder, a file (GGUF), or a model on Hugging Face.
        hub: Hugging Face; its client library if None.

    Raises:
        TargetError: There is no such checkpoint, or it cannot be read; the message is one sentence.
    """
    if (fault := folder_fault(model)) is not None:
        raise TargetError(fault)
    path = expanded(model)
    if path.is_file():
        return Checkpoint(model, {}, file_bytes=path.stat().st_size)
    if path.is_dir():
        return _in_folder(model, path)
    return _on_the_hub(model, hub or _client(model))


def _client(model: str) -> Hub:
    try:
        client: Any = importlib.import_module("huggingface_hub")
    except ImportError:
        raise TargetError(
            f"model '{model}' is not a folder, and huggingface_hub, which could ask Hugging Face for it, is not "
            "installed: pip install huggingface_hub"
        ) from None
    hub: Hub = client
    return hub


def _in_folder(model: str, folder: Path) -> Checkpoint:
    try:
        config = _config(folder / CONFIG)
        tensors = tensors_in(folder)
        plain = 0 if tensors else sum(path.stat().st_size for kind in _PLAIN_WEIGHTS for path in folder.glob(kind))
    except (OSError, ValueError) as error:
        raise TargetError(f"model '{model}' cannot be read: {error}; fetch it again") from error
    return Checkpoint(model, config, tensors, plain)


def _config(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    config = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(config, dict):
        raise ValueError(f"{path} is not a configuration")
    return config


def _on_the_hub(model: str, hub: Hub) -> Checkpoint:
    errors: Any = importlib.import_module("huggingface_hub.errors")
    try:
        cached = hub.try_to_load_from_cache(model, CONFIG)
        path = Path(cached if isinstance(cached, str) else hub.hf_hub_download(model, CONFIG))
        if (files := weight_files(path.parent)) and all(file.is_file() for file in files):
            return _in_folder(model, path.parent)
        config = _config(path)
        tensors = _headers_of(hub.get_safetensors_metadata(model))
    except errors.NotASafetensorsRepoError:
        return Checkpoint(model, config)
    except TargetError:
        raise
    except Exception as error:
        logger.info("the headers of %s cannot be read", model, exc_info=True)
        said = refusal(model, error, errors) or f"model '{model}' cannot be read on Hugging Face: {error}"
        raise TargetError(said) from error
    return Checkpoint(model, config, tensors)


def _headers_of(metadata: Any) -> tuple[Tensor, ...]:
    """The tensors in ``huggingface_hub``'s ``SafetensorsRepoMetadata``."""
    return tuple(
        Tensor(name, str(info.dtype), tuple(info.shape))
        for file in metadata.files_metadata.values()
        for name, info in file.tensors.items()
    )
