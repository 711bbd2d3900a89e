"""How an engine computes, read from vLLM's configuration and from what its runner captured. Written for vLLM 0.32.

Must not decide what can be compared: see `spectui.core.comparable`.
"""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import Any

from spectui.protocol.events import LaneEngine
from spectui.sources.vllm.compat import parts


def lane_engine(lane: str, engine: Any, k_max: int) -> LaneEngine:
    """Read a loaded engine that can draft ``k_max`` tokens."""
    config = engine.vllm_config
    compilation, model = config.compilation_config, config.model_config
    manager = getattr(_runner(engine), "cudagraph_manager", None)
    mode = compilation.cudagraph_mode if manager is None else manager.cudagraph_mode
    v2 = bool(config.use_v2_model_runner)
    vllm: Any = importlib.import_module("vllm")
    return LaneEngine(
        lane=lane,
        device=str(config.device_config.device_type),
        runner="V2" if v2 else "V1",
        eager=compilation.mode is None or compilation.mode.name == "NONE",
        graphs=mode.mixed_mode().name.lower(),
        whole_graphs=_whole_graphs(mode, manager, k_max, v2=v2),
        scheduling="asynchronous" if config.scheduler_config.async_scheduling else "synchronous",
        attention=_attention(engine),
        dtype=str(model.dtype).removeprefix("torch."),
        quantization=str(model.quantization or "none"),
        cache_dtype=str(config.cache_config.cache_dtype),
        version=str(vllm.__version__),
        tensor_parallel=int(config.parallel_config.tensor_parallel_size),
        vocabulary=int(model.get_vocab_size()),
        draft_vocabulary=_draft_vocabulary(engine),
    )


def _runner(engine: Any) -> Any:
    """The model runner; None if it is in another process."""
    with suppress(AttributeError):
        return parts.model_runner_of(engine)
    return None


def _whole_graphs(mode: Any, manager: Any, k_max: int, *, v2: bool) -> tuple[int, ...]:
    """The K at which a step of one request is replayed as one graph.

    Runner V2 captures them for every K of the lane's table (``vllm/v1/worker/gpu/cudagraph_utils.py``), V1 only for the
    largest (``vllm/v1/cudagraph_dispatcher.py``).
    """
    if mode.decode_mode().name != "FULL":
        return ()
    every = range(k_max + 1)
    if manager is None:
        return tuple(every) if v2 else (k_max,)
    found = {k: manager.dispatch(1, k + 1, k + 1, 0, max_query_len=k + 1) for k in every}
    return tuple(k for k, descriptor in found.items() if descriptor.cg_mode.name == "FULL")


def _attention(engine: Any) -> tuple[str, ...]:
    """The backends of the target's layers; empty if they are in another process."""
    runner = _runner(engine)
    if runner is None:
        return ()
    drafter = _drafter(engine)
    drafting = set() if drafter is None else set(map(id, drafter.modules())) - set(map(id, runner.model.modules()))
    layers = runner.vllm_config.compilation_config.static_forward_context.values()
    asked = (getattr(layer, "get_attn_backend", None) for layer in layers if id(layer) not in drafting)
    return tuple(sorted({str(backend().get_name()) for backend in asked if backend is not None}))


def _draft_vocabulary(engine: Any) -> int | None:
    """Tokens of a drafter with a vocabulary of its own, unless something names them in the target's.

    vLLM gives n-gram drafting the target's configuration. A head with fewer output tokens brings a table that
    translates them (`LocalArgmaxMixin` in ``vllm/model_executor/models/interfaces.py``).
    """
    config = engine.vllm_config
    drafter = getattr(config.speculative_config, "draft_model_config", None)
    if drafter is None or drafter is config.model_config or config.speculative_config.use_heterogeneous_vocab:
        return None
    table = getattr(_drafter(engine), "draft_id_to_target_id", None)
    return int(drafter.get_vocab_size()) if table is None else None


def _drafter(engine: Any) -> Any:
    """The drafter's model; None without one, and if it is in another process."""
    runner = _runner(engine)
    return None if runner is None else getattr(parts.proposer_of(runner), "model", None)
