"""Parts of an engine, wherever vLLM keeps them."""

from __future__ import annotations

from typing import Any


def scheduler_of(engine: Any) -> Any:
    return engine.engine_core.engine_core.scheduler


def in_flight(engine: Any) -> list[int]:
    """The tokens of every step whose results an asynchronous engine has not looked at, the next one to end first."""
    waiting = engine.engine_core.engine_core.batch_queue or ()
    return [scheduled.total_num_scheduled_tokens for _, scheduled, *_ in reversed(waiting)]


def model_runner_of(engine: Any) -> Any:
    """The model runner of an engine that runs in this process; see `workers.ask` for others."""
    return engine.model_executor.driver_worker.worker.model_runner


def proposer_of(runner: Any) -> Any:
    """Return the object that drafts, None if there is none: V1's model runner calls it drafter, V2's speculator."""
    return getattr(runner, "drafter", None) or getattr(runner, "speculator", None)


def cache_layers_of(runner: Any) -> dict[str, tuple[Any, Any]]:
    """Return every layer that reads a cache in a forward pass, by name: its module and vLLM's spec of its cache.

    The spec is the layer's own. The groups' specs describe how blocks are allocated: with the hybrid allocator off,
    they treat a layer with a sliding window like one without. A layer that shares another's cache reads that cache.
    """
    modules = runner.vllm_config.compilation_config.static_forward_context
    specs = dict(runner.get_kv_cache_spec())
    for name, module in modules.items():
        if (owner := getattr(module, "kv_sharing_target_layer_name", None)) in specs:
            specs[name] = specs[owner]
    return {name: (modules[name], spec) for name, spec in specs.items()}
