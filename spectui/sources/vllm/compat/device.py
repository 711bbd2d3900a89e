"""What an engine must be told about its device, and how to wait for it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

LEAST_UTILIZATION = 0.01
"""A share of a GPU's memory so small that it is free whenever any memory is."""

GRAPH_ARGUMENTS = frozenset(
    {"compilation_config", "cudagraph_capture_sizes", "max_cudagraph_capture_size", "performance_mode"}
)


def on_cpu() -> bool:
    return bool(importlib.import_module("vllm.platforms").current_platform.is_cpu())


def free_memory() -> int | None:
    """Bytes that are free on the device, or on a CPU those that processes can get; None if that is not known."""
    if not on_cpu():
        torch: Any = importlib.import_module("torch")
        return int(torch.cuda.mem_get_info()[0]) if torch.cuda.is_available() else None
    try:
        import psutil  # type: ignore[import-untyped]

        return int(psutil.virtual_memory().available)
    except (ImportError, OSError):
        return None


def without_memory_check(engine_args: Mapping[str, Any]) -> Mapping[str, Any]:
    """Disable vLLM's check of a GPU's free memory if the size of the KV cache is given.

    Before it loads anything, vLLM requires ``gpu_memory_utilization`` of a GPU's whole memory to be free, even if
    nothing is derived from that share (``vllm/v1/worker/utils.py``, `request_memory`). Beside two other lanes a third
    one would not start.
    """
    sized = engine_args.get("kv_cache_memory_bytes") is not None
    return {"gpu_memory_utilization": LEAST_UTILIZATION} if sized and not on_cpu() else {}


def graphs(engine_args: Mapping[str, Any], sizes: Sequence[int]) -> Mapping[str, Any]:
    """Capture whole steps of ``sizes`` tokens as CUDA graphs, unless the user chose the sizes; a CPU has no graphs."""
    theirs = engine_args.get("enforce_eager") or GRAPH_ARGUMENTS & engine_args.keys()
    return {} if theirs or on_cpu() else {"cudagraph_capture_sizes": list(sizes)}


def waiting(engine: Any) -> Callable[[], None]:
    """Return a function that waits until the GPU of an engine in this process has finished its work.

    It does nothing on a CPU, and for workers in other processes, each of which waits before it says that it is done.
    """
    worker = getattr(engine.model_executor, "driver_worker", None)
    return waiting_for(None if worker is None else getattr(worker.worker.model_runner, "device", None))


def waiting_for(device: Any) -> Callable[[], None]:
    """Return a function that waits until a device has finished its work; on a CPU it does nothing.

    Model runner V2 starts the copy of the sampled ids before the drafter runs, and one of vLLM's steps waits only for
    that copy (``vllm/v1/worker/gpu/model_runner.py``, ``sample_tokens``).
    """
    if getattr(device, "type", "cpu") != "cuda":
        return lambda: None
    torch: Any = importlib.import_module("torch")

    def wait() -> None:
        # A query costs a microsecond; synchronising a device that is already idle costs a hundred.
        if not (stream := torch.cuda.current_stream(device)).query():
            stream.synchronize()

    return wait
