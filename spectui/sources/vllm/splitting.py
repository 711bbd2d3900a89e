"""What vLLM cannot do with a model that is split among several GPUs, in one sentence each. Written for vLLM 0.32."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from typing import Any

from spectui.sources.vllm.compat.device import on_cpu
from spectui.sources.vllm.compat.workers import parallel_size
from spectui.sources.vllm.lane_spec import LaneSpec

_ONE_SCHEDULER = {
    "data_parallel_size": "a lane has one scheduler, and data_parallel_size={0} would need {0}: leave it out",
    "nnodes": "nnodes={0} cannot be used here, because vLLM's own executor must be started by hand on each machine: "
    "use distributed_executor_backend=ray instead",
}
_PIPELINE_CANNOT_DRAFT = (
    "vLLM's model runner V1 cannot draft if the model is split into a pipeline: use tensor_parallel_size instead, or "
    "race only lanes that do not draft"
)


def refusal(engine_args: Mapping[str, Any], spec: LaneSpec) -> str | None:
    """Say why a lane cannot run with these arguments, before anything is loaded; None if nothing speaks against it."""
    backend = engine_args.get("distributed_executor_backend")
    if backend == "ray" and importlib.util.find_spec("ray") is None:
        return "distributed_executor_backend=ray needs Ray, which is not installed: `pip install ray`, or leave it out"
    if backend == "external_launcher":
        return (
            "distributed_executor_backend=external_launcher starts a scheduler in every process, so that no lane could "
            "show its steps: leave it out"
        )
    for name, sentence in _ONE_SCHEDULER.items():
        if (size := parallel_size(engine_args, name)) > 1:
            return sentence.format(size)
    if parallel_size(engine_args, "pipeline_parallel_size") > 1 and spec.k_max and on_cpu():
        return _PIPELINE_CANNOT_DRAFT
    return None


_SAYINGS = (
    (
        r"attention heads \((\d+)\) must be divisible by tensor parallel size \((\d+)\)",
        "the model has {0} attention heads, which cannot be split among {1} GPUs: choose a tensor_parallel_size that "
        "divides them",
    ),
    (
        r"World size \((\d+)\) is larger than the number of available GPUs \((\d+)\)",
        "it needs {0} GPUs, and there are {1}: lower tensor_parallel_size or pipeline_parallel_size",
    ),
    (r"has no attribute 'drafter'", _PIPELINE_CANNOT_DRAFT),
    (
        r"WorkerProc initialization failed",
        "a worker process could not load its part of the model: the log has its error message",
    ),
)


def explain_split(text: str) -> str | None:
    """Explain an error that splitting the model caused; None if it is another."""
    for pattern, sentence in _SAYINGS:
        if match := re.search(pattern, text):
            return sentence.format(*match.groups())
    return None
