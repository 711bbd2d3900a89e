"""What went wrong with a lane, in one sentence that says what to do next. The log has the rest."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from spectui.sources.vllm.lane_spec import LaneSpec


def explain(error: BaseException, spec: LaneSpec, target: str) -> str:
    """One sentence about why a lane could not be built or died."""
    chain = _chain(error)
    text = " ".join(str(e) for e in chain)
    drafter = str(spec.options.get("model", ""))
    if any(isinstance(e, MemoryError) or "out of memory" in str(e).lower() for e in chain):
        return "not enough memory for this lane: use fewer lanes, or a smaller --engine-arg kv_cache_memory_bytes=..."
    if "less than requested memory" in text or "No available memory for the cache" in text:
        return "not enough free memory for its KV cache: --engine-arg kv_cache_memory_bytes=... makes it smaller"
    if any(isinstance(e, OSError) and e.errno == errno.ENOSPC for e in chain):
        return "the disk is full: free some space and start again"
    for model, whose in ((drafter, "drafter"), (target, "model")):
        if model and model != "target" and _missing(model, text):
            return f"{whose} '{model}' was not found: check the path or the Hugging Face id"
    if (
        drafter
        and drafter != "target"
        and re.search(r"size mismatch|shape|hidden_size|expected .* got|assert", text, re.I)
    ):
        return f"drafter '{drafter}' does not fit the target: it needs one trained for it ({_first_line(error)})"
    if re.search(r"num_speculative_tokens", text):
        return f"K={spec.k_max} is not possible here: {_first_line(error)}"
    return f"could not be started: {_first_line(error)}"


def _chain(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    return chain


def _missing(model: str, text: str) -> bool:
    if model not in text:
        return False
    local = model.startswith((".", "/", "~")) or Path(model).is_absolute()
    unknown = re.search(
        r"not a valid model identifier|Repo id must|does not appear to have|not found|Can't load|No such file|"
        r"Invalid repository|couldn't connect|offline|Unrecognized model|config\.json",
        text,
        re.I,
    )
    return bool(unknown) and (not local or not (Path(model).expanduser() / "config.json").exists())


def _first_line(error: BaseException) -> str:
    """The message's first line that says something, without pydantic's preamble."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and "validation error" in lines[0] and len(lines) > 1:
        lines = lines[1:]
    line = re.sub(r"^Value error, |\s*\[type=.*$", "", lines[0]) if lines else type(error).__name__
    return line[:160]
