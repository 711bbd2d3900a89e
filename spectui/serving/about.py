"""Says what a server runs, read from vLLM's configuration. Written for vLLM 0.32."""

from __future__ import annotations

import importlib
import json
import os
import socket
from typing import Any

from spectui import __version__
from spectui.serving.settings import ServingSettings
from spectui.sources.vllm.fixed_k import needs_all_drafts, stays
from spectui.wire.messages import About

WORKER = "spectui.serving.TracingWorker"
WORKERS = frozenset({WORKER, "spectui.serving.worker.TracingWorker"})
"""How an operator may name our extension of vLLM's workers."""


def about(config: Any, kv_cache_config: Any, settings: ServingSettings) -> About:
    """Say what a server runs.

    Args:
        config: Its ``VllmConfig``.
        kv_cache_config: The ``KVCacheConfig`` of its scheduler.
        settings: What its operator has set.
    """
    model, parallel, scheduling = config.model_config, config.parallel_config, config.scheduler_config
    method, k_max = drafting(config)
    rank, ranks = place_among_ranks(parallel)
    why = why_hidden(config, k_max)
    names = model.served_model_name
    vllm: Any = importlib.import_module("vllm")
    return About(
        model=str(model.model),
        tokenizer=str(model.tokenizer),
        revision=str(model.tokenizer_revision or ""),
        served_names=[names] if isinstance(names, str) else [*map(str, names or ())],
        method=method,
        k_max=k_max,
        redaction=settings.redaction,
        share=settings.share,
        drafts=not why,
        why=why,
        control=settings.control,
        fixed_k=why_fixed(config, kv_cache_config, k_max),
        host=socket.gethostname(),
        pid=os.getpid(),
        dp_rank=rank,
        dp_size=ranks,
        tensor_parallel=int(parallel.tensor_parallel_size),
        pipeline_parallel=int(parallel.pipeline_parallel_size),
        seats=int(scheduling.max_num_active_seqs or scheduling.max_num_seqs),
        asynchronous=bool(scheduling.async_scheduling),
        runner="V2" if config.use_v2_model_runner else "V1",
        device=str(config.device_config.device_type),
        dtype=str(model.dtype).removeprefix("torch."),
        vocabulary=int(model.get_vocab_size()),
        versions={"spectui": __version__, "vllm": str(vllm.__version__)},
        speculative=json.dumps(drafter(config)) if k_max else "",
    )


def place_among_ranks(parallel: Any) -> tuple[int, int]:
    """The rank among data-parallel engines, and how many there are at least.

    vLLM makes those of a dense model independent (``reconfigure_for_independent_dp_rank``): each knows its number, and
    counts itself alone.
    """
    rank = int(parallel.data_parallel_index)
    return rank, max(int(parallel.data_parallel_size), rank + 1)


def drafting(config: Any) -> tuple[str, int]:
    """vLLM's name of the method, and how many tokens the server was built to draft."""
    if config.model_config.is_diffusion:
        return "diffusion", 0
    speculation = config.speculative_config
    return ("ar", 0) if speculation is None else (str(speculation.method), int(config.num_speculative_tokens))


def drafter(config: Any) -> dict[str, Any]:
    """What names the drafter in vLLM's ``speculative_config``: the method, and its model or what it looks up."""
    speculation = config.speculative_config
    found: dict[str, Any] = {"method": str(speculation.method)}
    # A drafter that is part of the target, or has no weights, has the target's name.
    if speculation.model and str(speculation.model) != str(config.model_config.model):
        found["model"] = str(speculation.model)
    if speculation.method == "ngram":
        found["prompt_lookup_max"] = speculation.prompt_lookup_max
        found["prompt_lookup_min"] = speculation.prompt_lookup_min
    return found


def extended(config: Any) -> bool:
    """Whether the server's workers are extended by ours."""
    return config.parallel_config.worker_extension_cls in WORKERS


def why_hidden(config: Any, k_max: int) -> str:
    """Say why vLLM hides the drafted tokens from its scheduler, and what to do; empty if it does not.

    Drafts stay on the GPU if steps are scheduled before their results are known, and always with model runner V2
    (``DraftTokensHandler`` in ``vllm/v1/worker/gpu/spec_decode/utils.py``).
    """
    asynchronous = config.scheduler_config.async_scheduling
    if not k_max or not (asynchronous or config.use_v2_model_runner) or extended(config):
        return ""
    because = "it schedules steps before it knows their drafts" if asynchronous else "model runner V2 keeps them"
    return f"the server's drafts are not visible, since {because}; start it with --worker-extension-cls {WORKER}"


def why_fixed(config: Any, kv_cache_config: Any, k_max: int) -> str:
    """Say why K cannot change; empty if it can."""
    if not k_max:
        return "this server drafts nothing"
    if needs_all_drafts(kv_cache_config):
        return stays(k_max)
    if config.parallel_config.data_parallel_size > 1:
        # As `_maybe_disable_dynamic_sd_for_data_parallel` in vllm/config/vllm.py has it.
        return f"K stays {k_max}: the data-parallel ranks of this model must all draft the same number of tokens"
    graphs = config.compilation_config.cudagraph_mode
    if not config.use_v2_model_runner and graphs is not None and graphs.has_full_cudagraphs():
        # As `_maybe_override_dynamic_sd_cudagraph_mode` there has it.
        return (
            f"K stays {k_max}: model runner V1 has whole CUDA graphs for this K alone; start the server with "
            "num_speculative_tokens_per_batch_size in its --speculative-config"
        )
    return ""
