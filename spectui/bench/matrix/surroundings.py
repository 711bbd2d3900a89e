"""What a benchmark's header says of the code and the machine, so that others can find and judge both."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import spectui
from spectui.bench.harness import ENGINE_VARIABLES
from spectui.figures import size_text
from spectui.sources.hardware import processor_features
from spectui.telemetry.free_memory import host_memory

WITH_CHANGES = " with changes"
"""Behind a commit whose files were changed."""

_LONGEST_S = 2.0
"""A file system may be slow, and no benchmark waits for git."""


def surroundings(set_by_user: Sequence[str]) -> dict[str, Any]:
    """Entries for the environment in a header; what is not known is left out.

    Args:
        set_by_user: The result of `variables_of_user`.
    """
    memory = host_memory().total
    known = {
        "commit": commit(),
        "memory": None if memory is None else size_text(memory),
        "processor_features": ", ".join(processor_features()),
    }
    return {**{name: value for name, value in known.items() if value}, "set_by_user": list(set_by_user)}


def variables_of_user(ours: Collection[str]) -> list[str]:
    """The engines' environment variables that are set, but not by the program, which set ``ours``; to be called before
    vLLM is imported, which sets some too."""
    return [name for name in ENGINE_VARIABLES if os.environ.get(name) and name not in ours]


def commit(package: Path | None = None) -> str | None:
    """The git commit of the program, with `WITH_CHANGES` if its code or the demo's drafters were changed.

    Args:
        package: The folder of the program's package.

    Returns:
        None if the program does not run from a checkout, or if git does not say.
    """
    package = package or Path(spectui.__file__).resolve().parent
    # An installed package may lie in somebody else's checkout, where git does not know its files.
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    found = _git(package, "rev-parse", "HEAD")
    changed = _git(package, "status", "--porcelain", "--", ".", "../demos/drafters/weights")
    return f"{found}{WITH_CHANGES if changed else ''}" if found else None


def _git(folder: Path, *words: str) -> str | None:
    """What git prints; None if it fails, or is not there."""
    here = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *words],
            env=here,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LONGEST_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip()
