"""What vLLM's builds cannot run, in sentences for the user."""

from __future__ import annotations

import importlib.util
import json
import re

from spectui.sources.model_configs import config_of
from spectui.sources.vllm.compat import device


class UnsupportedError(RuntimeError):
    """This build of vLLM cannot run the lane; the message is a sentence."""


def refuse_what_aborts(target: str, method: str, drafter: str | None) -> None:
    """Refuse a lane whose engine would end the whole process.

    On a CPU vLLM 0.32 writes beyond a buffer when an MTP head has positions for pictures beside those for text, as that
    of Qwen 3.5 has.

    Args:
        target: Path or id of the target.
        method: vLLM's name of the drafting method.
        drafter: Path or id of the drafter; None if it is built into the target.

    Raises:
        UnsupportedError: It is such a lane.
    """
    if method != "mtp" or not device.on_cpu():
        return
    if "mrope_section" in json.dumps(config_of(drafter or target)):
        raise UnsupportedError(
            "its MTP head also takes image positions (mrope_section in config.json), and vLLM's CPU build crashes on "
            "them: use DFlash, or a GPU"
        )


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
    if found := re.search(r"Model Runner V1 does not support: ([^\[\n]+)", said):
        return (
            f"{found[1].strip()} need vLLM's V2 model runner, which needs Triton: they run on a GPU only, and not with "
            "VLLM_USE_V2_MODEL_RUNNER=0"
        )
    if "same kv cache group" in said:
        return (
            f"{method} does not work with this target on vLLM's V1 model runner, which wants all of a drafter's layers "
            "in one group of the KV cache: use another method, or a GPU, where vLLM takes its V2 runner"
        )
    return None
