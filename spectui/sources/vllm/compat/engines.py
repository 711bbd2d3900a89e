"""Building, entering and closing engines, several of them in one process."""

from __future__ import annotations

import gc
import importlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from spectui.sources.vllm.compat import workers
from spectui.sources.vllm.compat.device import without_memory_check
from spectui.sources.vllm.compat.patches import (
    inspect_models_here,
    join_expert_group,
    register_kernels_once,
    share_no_tokenizers,
)

logger = logging.getLogger(__name__)

WORKER_EXTENSION = "spectui.sources.vllm.worker.TappedWorker"
"""The class that extends every worker of every engine."""

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


@contextmanager
def without_collections() -> Iterator[None]:
    """Keep the garbage collector from searching engines' objects again and again within the block.

    Loading creates millions of objects, none of which is garbage; afterwards they are frozen, so that the collector
    ignores them during steps too. On two CPU cores this saves a fifth of the time until the first token.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def build_engine(*, tapped: bool = True, **engine_args: Any) -> Any:
    """Build an ``LLMEngine`` in this process. Engines must be built and stepped on one thread (the forward context is
    global to the process). Only for ``tapped`` engines, workers hand over the ids of drafted tokens."""
    from vllm import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    keep_process_groups()
    register_kernels_once()
    share_no_tokenizers()
    inspect_models_here()
    join_expert_group()
    # vLLM runs the collector several times while it builds an engine; frozen objects cost it no time.
    gc.freeze()
    engine_args = {**without_memory_check(engine_args), **engine_args, "worker_extension_cls": WORKER_EXTENSION}
    with workers.starting(engine_args):
        engine = LLMEngine.from_engine_args(EngineArgs(**engine_args))
    _alive[id(engine)] = _workspaces()._manager
    try:
        workers.take_charge(engine, tapped=tapped)
    except BaseException:
        close_engine(engine)
        raise
    return engine


def _workspaces() -> Any:
    return importlib.import_module("vllm.v1.worker.workspace")


def enter(engine: Any) -> None:
    """Make ``engine`` the current one; must be called before it does anything.

    vLLM has one manager of scratch memory per process, which a new engine replaces, while the CUDA graphs of older
    engines hold addresses in the one that they were built with (``vllm/v1/worker/workspace.py``).
    """
    _workspaces()._manager = _alive.get(id(engine))


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
        workers.let_go(engine)
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
