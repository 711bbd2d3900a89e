"""What vLLM does once more for every engine, done once."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from spectui.sources.vllm.compat.device import on_cpu


def register_kernels_once() -> None:
    """Let vLLM's CPU platform replace its kernels for the first engine only.

    vLLM repeats this for every engine, inspecting each attribute of each loaded module
    (``vllm/triton_utils/dispatcher.py``), which is slow, and fails once numba's ``llvmlite`` is loaded.
    """
    dispatcher: Any = importlib.import_module("vllm.triton_utils.dispatcher")
    original = dispatcher.register_kernels
    if getattr(original, "once", False):
        return

    def register(overrides: Mapping[str, Callable[..., Any]]) -> None:
        fresh = {name: kernel for name, kernel in overrides.items() if name not in dispatcher._registry}
        if fresh:
            original(fresh)

    register.once = True  # type: ignore[attr-defined]
    dispatcher.register_kernels = register


def join_expert_group() -> None:
    """Give engines with experts the group of processes that vLLM makes for the first engine of a process only.

    If that one was dense, it has none, and Qwen's experts fail (``initialize_model_parallel`` in
    ``vllm/distributed/parallel_state.py``). Engines in this process have no other process beside them.
    """
    groups: Any = importlib.import_module("vllm.distributed.parallel_state")
    if groups.model_parallel_is_initialized() and groups._EP is None:
        world = groups.get_world_group()
        backend = groups.torch.distributed.get_backend(world.device_group)
        groups._EP = groups.init_model_parallel_group([[0]], world.local_rank, backend, group_name="ep")


def share_no_tokenizers() -> None:
    """Stop vLLM from making deep copies of each engine's tokenizer.

    vLLM keeps a pool of copies for servers that tokenize on several threads (``vllm/tokenizers/hf.py``). Here one
    thread owns all engines, so the copies would waste half a second per lane.
    """
    renderer: Any = importlib.import_module("vllm.renderers.hf")
    renderer.maybe_make_thread_pool = lambda tokenizer, copies=1: tokenizer


def inspect_models_here() -> None:
    """Avoid a second import of vLLM for each model class on the first run.

    vLLM inspects a class that it has not seen before in another process, so that CUDA stays uninitialised in this one
    (``vllm/model_executor/models/registry.py``); a CPU engine needs the class here anyway.
    """
    if on_cpu():
        registry: Any = importlib.import_module("vllm.model_executor.models.registry")
        registry._run_in_subprocess = lambda inspect: inspect()


def give_drafts_their_settings() -> None:
    """Let vLLM judge each draft at the temperature, top-k and top-p of its request, on a CPU too.

    There vLLM 0.32 writes what ``expand_batch_to_tokens`` is to return into a copy that it throws away, so that drafts
    are judged by whatever the memory holds (https://github.com/vllm-project/vllm/issues/55005).
    """
    if on_cpu():
        sampler: Any = importlib.import_module("vllm.v1.sample.rejection_sampler")
        sampler.expand_batch_to_tokens = each_for_its_drafts


def each_for_its_drafts(
    x: Any, cu_num_tokens: Any, num_tokens: int, replace_from: float = 0, replace_to: float = 0
) -> Any:
    """Repeat each request's value for all of its drafts, ``replace_to`` in place of ``replace_from``.

    Args:
        x: A value for each request.
        cu_num_tokens: How many drafts there are up to and with each request.
        num_tokens: How many there are in all.
        replace_from: What is replaced.
        replace_to: What takes its place.
    """
    counts = cu_num_tokens.diff(prepend=cu_num_tokens.new_zeros(1))
    return x.masked_fill(x == replace_from, replace_to).repeat_interleave(counts, output_size=num_tokens)
