"""Whether a benchmark can be continued here: only what was measured on the same things makes one result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spectui.bench.reports.document import listed
from spectui.core.bench.results import Header
from spectui.errors import RunError


def check_same(folder: Path, before: Header, now: Header) -> None:
    """Refuse to continue the benchmark in a folder on anything else.

    Raises:
        RunError: The model, machine, software or prompts are not those that it was measured on.
    """
    for what, was, is_ in (
        ("model", before.target, now.target),
        ("machine", before.environment["machine"], now.environment["machine"]),
        ("device", before.device, now.device),
    ):
        if was != is_:
            raise RunError(f"{folder} was measured on another {what} ({was}; this is {is_}): start a new benchmark")
    was, is_ = before.environment["versions"], now.environment["versions"]
    if was != is_:
        raise RunError(f"{folder} was measured with {_other_software(was, is_)}, or start a new benchmark")
    if before.prompts.digest != now.prompts.digest:
        raise RunError(
            f"the prompts are not those {folder} was measured on: use the same prompts, or start a new benchmark"
        )


def _other_software(was: Mapping[str, str], is_: Mapping[str, str]) -> str:
    """``vllm 0.32.0, and vllm 0.33.0 is installed: install vllm 0.32.0``."""
    names = [name for name in {**was, **is_} if was.get(name) != is_.get(name)]
    had, has = (listed(f"{name} {of[name]}" if name in of else f"no {name}" for name in names) for of in (was, is_))
    fix = f"install {had}" if set(names) <= set(was) else "install what it was measured with"
    return f"{had}, and {has} {'is' if len(names) == 1 else 'are'} installed: {fix}"
