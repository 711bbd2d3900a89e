"""The command that serves what a server runs, with another K."""

from __future__ import annotations

import json
from typing import Any

from spectui.core.serve_line import serve_line
from spectui.wire.messages import About


def serving(about: About, k: int) -> str:
    """A ``vllm serve`` line: the server's model, how it is split, and its drafter with ``k`` tokens."""
    split = {"tensor_parallel_size": about.tensor_parallel, "pipeline_parallel_size": about.pipeline_parallel}
    others = {name: size for name, size in split.items() if size > 1}
    return serve_line(about.model, _drafting(about), {1: k}, engine_args=others)


def _drafting(about: About) -> dict[str, Any]:
    try:
        said = json.loads(about.speculative)
    except (ValueError, RecursionError):
        said = None
    return said if isinstance(said, dict) else {"method": about.method}
