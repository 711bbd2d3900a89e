"""Everything that depends on vLLM's internals, so that a new release changes only this file. Written for vLLM 0.32."""

from __future__ import annotations

import gc
import importlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from spectui.protocol.events import Sampling

logger = logging.getLogger(__name__)

LEAST_UTILIZATION = 0.01
"""A share of a GPU's memory so small that it is free whenever any memory is."""

WORKER_EXTENSION = "spectui.sources.vllm.worker.TappedWorker"
"""The class that extends every worker of an engine."""

_alive: dict[int, Any] = {}
"""Engines that were built and not yet closed, by identity, each with its workspaces."""


def keep_process_groups() -> None:
    """Let one engine shut down without affecting the others.

    vLLM tears down the process-wide parallel groups when any in-process engine is shut down or collected
    (``vllm/v1/engine/core.py``, ``EngineCore.shutdown``); with several engines only the last one may do that.
    """
    core: Any = importlib.import_module("vllm.v1.engine.core")
    original = core.cleanup_dist_env_and_memory
    if getattr(original, "guarded", False):
        return

    def cleanup(*args: Any, **kwargs: Any) -> None:
        if not _alive:
            original(*args, **kwargs)

    cleanup.guarded = True  # type: ignore[attr-defined]
    core.cleanup_dist_env_and_memory = cleanup


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
    if _on_cpu():
        registry: Any = importlib.import_module("vllm.model_executor.models.registry")
        registry._run_in_subprocess = lambda inspect: inspect()


@contextmanager
def without_collections() -> Iterator[None]:
    """Keep the garbage collector from searching engines' objects again and again within the block.

    Loading creates millions of objects, none of which is garbage; afterwards they are frozen, so that the collector
    ignores them during steps too. On the reference machine this saves a fifth of the time until the first token.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def build_engine(**engine_args: Any) -> Any:
    """Build an ``LLMEngine`` in this process. Engines must be built and stepped on one thread (the forward context is
    global to the process)."""
    from vllm import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    keep_process_groups()
    register_kernels_once()
    share_no_tokenizers()
    inspect_models_here()
    # vLLM runs the collector several times while it builds an engine; frozen objects cost it no time.
    gc.freeze()
    engine_args = {**_without_memory_check(engine_args), **engine_args, "worker_extension_cls": WORKER_EXTENSION}
    engine = LLMEngine.from_engine_args(EngineArgs(**engine_args))
    _alive[id(engine)] = _workspaces()._manager
    try:
        engine.collective_rpc("show_drafts")
    except BaseException:
        close_engine(engine)
        raise
    return engine


def _without_memory_check(engine_args: Mapping[str, Any]) -> Mapping[str, Any]:
    """Disable vLLM's check of a GPU's free memory if the size of the KV cache is given.

    Before it loads anything, vLLM requires ``gpu_memory_utilization`` of a GPU's whole memory to be free, even if
    nothing is derived from that share (``vllm/v1/worker/utils.py``, `request_memory`). Beside two other lanes a third
    one would not start.
    """
    sized = engine_args.get("kv_cache_memory_bytes") is not None
    return {"gpu_memory_utilization": LEAST_UTILIZATION} if sized and not _on_cpu() else {}


GRAPH_ARGUMENTS = frozenset(
    {"compilation_config", "cudagraph_capture_sizes", "max_cudagraph_capture_size", "performance_mode"}
)


def graphs(engine_args: Mapping[str, Any], sizes: Sequence[int]) -> Mapping[str, Any]:
    """Capture whole steps of ``sizes`` tokens as CUDA graphs, unless the user chose the sizes; a CPU has no graphs."""
    theirs = engine_args.get("enforce_eager") or GRAPH_ARGUMENTS & engine_args.keys()
    return {} if theirs or _on_cpu() else {"cudagraph_capture_sizes": list(sizes)}


def _on_cpu() -> bool:
    return bool(importlib.import_module("vllm.platforms").current_platform.is_cpu())


def _workspaces() -> Any:
    return importlib.import_module("vllm.v1.worker.workspace")


def enter(engine: Any) -> None:
    """Make ``engine`` the current one; must be called before it does anything.

    vLLM has one manager of scratch memory per process, which a new engine replaces, while the CUDA graphs of older
    engines hold addresses in the one that they were built with (``vllm/v1/worker/workspace.py``).
    """
    _workspaces()._manager = _alive.get(id(engine))


def waiting(engine: Any) -> Callable[[], None]:
    """Return a function that waits until the engine's GPU has finished its work; on a CPU it does nothing.

    Model runner V2 starts the copy of the sampled ids before the drafter runs, and one of vLLM's steps waits only for
    that copy (``vllm/v1/worker/gpu/model_runner.py``, ``sample_tokens``).
    """
    device = getattr(model_runner_of(engine), "device", None)
    if getattr(device, "type", "cpu") != "cuda":
        return lambda: None
    torch: Any = importlib.import_module("torch")

    def wait() -> None:
        # A query costs a microsecond; synchronising a device that is already idle costs a hundred.
        if not (stream := torch.cuda.current_stream(device)).query():
            stream.synchronize()

    return wait


def close_engine(engine: Any) -> None:
    """Shut an engine down, even one that died; the last one also ends the process groups. Closing twice does nothing.

    `reclaim` frees its memory, once nothing refers to it any more.
    """
    if id(engine) not in _alive:
        return
    enter(engine)
    del _alive[id(engine)]
    try:
        engine.engine_core.shutdown()
    except Exception:
        logger.exception("an engine could not be shut down")
    finally:
        # Nothing may keep the workspaces of a closed engine; the next one to do anything brings its own.
        _workspaces()._manager = None


def reclaim() -> None:
    """Free the memory of engines that were closed or could not be built.

    An engine is full of reference cycles and frozen, so only a full collection finds its weights and its cache.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def scheduler_of(engine: Any) -> Any:
    return engine.engine_core.engine_core.scheduler


def model_runner_of(engine: Any) -> Any:
    return engine.model_executor.driver_worker.worker.model_runner


def proposer_of(engine: Any) -> Any:
    """Return the object that drafts, None if the engine has none: V1's runner calls it drafter, V2's speculator."""
    runner = model_runner_of(engine)
    return getattr(runner, "drafter", None) or getattr(runner, "speculator", None)


def cache_layers_of(engine: Any) -> dict[str, tuple[Any, Any]]:
    """Return every layer that reads a cache in a forward pass, by name: its module and vLLM's spec of its cache.

    The spec is the layer's own. The groups' specs describe how blocks are allocated: with the hybrid allocator off,
    they treat a layer with a sliding window like one without. A layer that shares another's cache reads that cache.
    """
    runner = model_runner_of(engine)
    modules = runner.vllm_config.compilation_config.static_forward_context
    specs = dict(runner.get_kv_cache_spec())
    for name, module in modules.items():
        if (owner := getattr(module, "kv_sharing_target_layer_name", None)) in specs:
            specs[name] = specs[owner]
    return {name: (modules[name], spec) for name, spec in specs.items()}


def render_chat(
    engine: Any, messages: list[dict[str, str]], template: str | None, arguments: Mapping[str, Any]
) -> str | list[int] | None:
    """Return a conversation as vLLM's server passes it to the model: with content parts if the template wants them, and
    if ``template`` is None, with the template of the model's processor or vLLM's own for its family. None if the model
    has no template."""
    from vllm.renderers.chat_utils import ChatTemplateResolutionError
    from vllm.renderers.params import ChatParams

    params = ChatParams(chat_template=template, chat_template_kwargs={**arguments, "add_generation_prompt": True})
    try:
        _, prompt = engine.renderer.render_messages(messages, params)
    except ChatTemplateResolutionError:
        return None
    rendered: str | list[int] = prompt["prompt_token_ids"] if "prompt_token_ids" in prompt else prompt["prompt"]
    return rendered


def unknown_template_arguments(
    tokenizer: Any, template: str, arguments: Mapping[str, Any]
) -> Mapping[str, Sequence[str]]:
    """Return the arguments that vLLM would not pass on as the template does not use them, each with those it does."""
    hf: Any = importlib.import_module("vllm.renderers.hf")
    taken = hf.resolve_chat_template_kwargs(tokenizer, template, dict(arguments))
    unknown = [name for name in arguments if name not in taken]
    known = sorted(hf._cached_resolve_chat_template_kwargs(template)) if unknown else ()
    return dict.fromkeys(unknown, known)


def probing_params(likeliest: int, *, prompt: bool = False) -> Any:
    """Return ``SamplingParams`` that ask for the most likely tokens after a prompt; with ``prompt`` also at each of its
    positions, for which the engine computes the probabilities of the whole vocabulary everywhere."""
    from vllm import SamplingParams

    return SamplingParams(
        temperature=0.0,
        max_tokens=1,
        ignore_eos=True,
        detokenize=False,
        logprobs=likeliest,
        prompt_logprobs=likeliest if prompt else None,
    )


def sampling_params(sampling: Sampling, slot: int) -> Any:
    """Return vLLM's ``SamplingParams``; each step's output carries only the tokens of that step."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    schema = sampling.json_schema

    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        seed=None if sampling.seed is None else sampling.seed + slot,
        max_tokens=sampling.max_tokens,
        ignore_eos=sampling.ignore_eos,
        stop=list(sampling.stop) or None,
        structured_outputs=None if schema is None else StructuredOutputsParams(json=schema),
        output_kind=RequestOutputKind.DELTA,
    )
