"""Parts of an engine, wherever vLLM keeps them."""

from __future__ import annotations

from typing import Any


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
