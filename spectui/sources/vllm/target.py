"""Finds a target that the user named: a folder, or a model on Hugging Face."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spectui.places import expanded
from spectui.protocol.events import StageName

Report = Callable[[StageName, str, int | None, int | None], None]


class TargetError(Exception):
    """The target is not available; the message is one sentence: what happened, where, what to do."""


def is_path(model: str) -> bool:
    """Whether ``model`` can only be a path."""
    return model.startswith((".", "/", "~"))


def folder_fault(model: str) -> str | None:
    """What is wrong with a target given as a path; None if nothing is, or if it is not a path."""
    path = expanded(model)
    if path.is_file():
        # GGUF files and the like: vLLM knows which of them it supports.
        return None
    if path.is_dir():
        # Mistral's own format comes without config.json.
        if any((path / name).is_file() for name in ("config.json", "params.json")):
            return None
        return f"model '{model}' has no config.json: it must be the folder of a Hugging Face checkpoint"
    return f"model '{model}' was not found: no such folder, check the path" if is_path(model) else None


def find_target(model: str, report: Report) -> str:
    """The path or id to pass to vLLM. Asks Hugging Face once, before every lane does.

    Raises:
        TargetError: It was not found.
    """
    if (fault := folder_fault(model)) is not None:
        raise TargetError(fault)
    path = expanded(model)
    if path.exists():
        return str(path)
    if "://" not in model and ":" not in model:
        _ask_hugging_face(model, report)
    return model


def _ask_hugging_face(model: str, report: Report) -> None:
    # This comes with vLLM, and takes a quarter of a second to import.
    import huggingface_hub
    from huggingface_hub import errors

    try:
        if isinstance(huggingface_hub.try_to_load_from_cache(model, "config.json"), str):
            return
        report("downloading", f"config.json of {model}", None, None)
        huggingface_hub.hf_hub_download(model, "config.json")
    except Exception as error:
        if (sentence := refusal(model, error, errors)) is not None:
            raise TargetError(sentence) from error


def refusal(model: str, error: Exception, errors: Any) -> str | None:
    """What Hugging Face's answer means for the user; None if vLLM should find out by itself."""
    match error:
        case errors.HFValidationError():
            return f"model '{model}' was not found: it is neither a folder nor the form owner/name, check the spelling"
        case errors.GatedRepoError():
            return (
                f"model '{model}' needs its licence accepted at https://huggingface.co/{model}: do that, then "
                "`hf auth login`"
            )
        case errors.RepositoryNotFoundError():
            return f"model '{model}' was not found: neither a folder nor a model on Hugging Face, check the spelling"
        case errors.LocalEntryNotFoundError():
            offline = "HF_HUB_OFFLINE is set" if "ffline" in repr(error.__cause__) else "Hugging Face does not answer"
            return (
                f"model '{model}' was not found: no folder of that name, not in the local Hugging Face cache, and "
                f"{offline}; check the spelling and the network"
            )
    return None
