"""What vLLM's builds cannot run, in sentences for the user."""

from __future__ import annotations

import importlib.util


def unsupported(said: str, target: str, method: str) -> str | None:
    """What a message of vLLM's means if it is about something that this build cannot run; None if it is not.

    Args:
        said: The message, with those of its causes.
        target: Path or id of the target.
        method: The drafting method's name for the user.
    """
    if "failed to be inspected" in said and importlib.util.find_spec("torchvision") is None:
        return (
            f"model '{target}' also reads pictures, and vLLM needs torchvision for that, which is not installed: "
            "pip install torchvision --index-url https://download.pytorch.org/whl/cpu"
        )
    if "does not support: diffusion models" in said:
        return "this build of vLLM cannot run diffusion models: they need a GPU with Triton; leave this lane out"
    if "same kv cache group" in said:
        return (
            f"{method} does not work with this target on vLLM's V1 model runner, which wants all of a drafter's layers "
            "in one group of the KV cache: use another method, or a GPU, where vLLM takes its V2 runner"
        )
    return None
