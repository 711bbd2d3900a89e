"""What an engine holds and what one of its steps has to read, derived from the modules that vLLM loaded. Written for
vLLM 0.32.

Weights are counted once, however many modules share them. On a CPU vLLM may keep a matrix in its own form and leave an
empty parameter behind (``dispatch_cpu_unquantized_gemm`` in ``vllm/model_executor/layers/utils.py``); its size is then
computed from the layer's shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spectui.core.memory_plan.weights import TOWERS
from spectui.protocol.samples import CacheLayers, LaneMemory
from spectui.sources.vllm.cache_layers import cache_groups, cache_layers, summed
from spectui.sources.vllm.compat import parts, workers
from spectui.sources.vllm.compat.device import on_cpu


@dataclass(frozen=True, slots=True)
class _Part:
    """A module with weights of its own."""

    name: str
    module: Any
    bytes: int


@dataclass(frozen=True, slots=True)
class _Weights:
    """Bytes of a model: all of them, those that every pass reads, its experts, and its output matrix, which is part
    of what is read."""

    all: int
    read: int
    experts: int
    output: int


@dataclass(frozen=True, slots=True)
class _Holding:
    """What one worker holds: its share of the model if that is split. ``layers`` is None if one of them reads the cache
    in an unknown way."""

    target: _Weights
    drafts: _Weights
    draft_output: int
    experts: tuple[int, int]
    draft_experts: tuple[int, int]
    at_once: bool
    layers: tuple[CacheLayers, ...] | None
    reserved: int


def lane_memory(lane: str, engine: Any, *, shared: bool = False) -> LaneMemory:
    """Measure a loaded engine, with all its workers. ``shared`` means that an earlier lane holds the same target in the
    same memory."""
    scheduler, held = parts.scheduler_of(engine), workers.ask(engine, _holding)
    cache = scheduler.kv_cache_config
    known = [one.layers for one in held if one.layers is not None]
    layers = summed(known) if len(known) == len(held) else None
    experts, active = max(one.experts for one in held)
    draft_experts, draft_active = max(one.draft_experts for one in held)
    reserved = sum(one.reserved for one in held)
    return LaneMemory(
        lane=lane,
        target_bytes=sum(one.target.all for one in held),
        target_shared=shared,
        target_read=sum(one.target.read for one in held),
        expert_bytes=sum(one.target.experts for one in held),
        experts=experts,
        experts_active=active,
        drafter_bytes=sum(one.drafts.all for one in held),
        draft_read=sum(one.drafts.read + one.draft_output - one.drafts.output for one in held),
        draft_parallel=any(one.at_once for one in held),
        kv_token_bytes=None if layers is None else sum(one.token_bytes for one in layers),
        kv_reserved=reserved,
        block_tokens=scheduler.block_size,
        draft_output=sum(one.draft_output for one in held),
        draft_expert_bytes=sum(one.drafts.experts for one in held),
        draft_experts=draft_experts,
        draft_experts_active=draft_active,
        layers=layers or (),
        groups=cache_groups(group.kv_cache_spec for group in cache.kv_cache_groups),
        block_bytes=reserved // cache.num_blocks,
        devices=1 if on_cpu() else len(held),
    )


def _holding(runner: Any) -> _Holding:
    """What one worker's model runner holds."""
    target = _weights(runner.model, _tied(runner.model_config), known=set())
    proposer = parts.proposer_of(runner)
    drafter = getattr(proposer, "model", None)
    drafts, draft_output, draft_experts = _Weights(0, 0, 0, 0), 0, (0, 0)
    own_modules: frozenset[int] = frozenset()
    if drafter is not None:
        drafts = _weights(drafter, tied=False, known={id(p) for p in runner.model.parameters()})
        draft_output = drafts.output or target.output
        draft_experts = _experts(drafter)
        own_modules = frozenset(map(id, drafter.modules())) - frozenset(map(id, runner.model.modules()))
    return _Holding(
        target,
        drafts,
        draft_output,
        _experts(runner.model),
        draft_experts,
        _drafts_at_once(proposer),
        cache_layers(parts.cache_layers_of(runner), own_modules),
        # vLLM puts all groups into one allocation, and each of its tensors has the size of the whole.
        max((tensor.size for tensor in runner.kv_cache_config.kv_cache_tensors), default=0),
    )


def weight_bytes(model: Any) -> int:
    """Bytes of a loaded model's weights."""
    return _weights(model, tied=False, known=set()).all


def _drafts_at_once(proposer: Any) -> bool:
    """Whether one pass drafts all tokens, as in a parallel drafter or with Medusa's heads."""
    # V2's proposers say so by the id that stands where a token is to be drafted.
    at_once = getattr(proposer, "parallel_drafting", hasattr(proposer, "parallel_drafting_token_id"))
    return bool(at_once) or type(proposer).__name__ == "MedusaProposer"


def _weights(model: Any, tied: bool, known: set[int]) -> _Weights:
    """Count a model's weights except those in ``known``; if ``tied``, the embedding is read as the output matrix."""
    total = read = experts = output = 0
    for part in _parts(model, known):
        total += part.bytes
        kind = _kind(part, tied)
        experts += part.bytes if kind == "experts" else 0
        output += part.bytes if kind == "output" else 0
        read += part.bytes if kind in ("output", "layer") else 0
    return _Weights(total, read, experts, output)


def _parts(model: Any, known: set[int]) -> Iterator[_Part]:
    for name, module in model.named_modules():
        fresh = [p for p in module._parameters.values() if p is not None and id(p) not in known]
        known.update(id(p) for p in fresh)
        size = sum(p.numel() * p.element_size() for p in fresh)
        if any(not p.numel() for p in fresh) and getattr(module, "cpu_linear", None) is not None:
            size += _packed_bytes(module)
        if size:
            yield _Part(name, module, size)


def _packed_bytes(module: Any) -> int:
    rows = getattr(module, "output_size_per_partition", None) or module.output_size
    columns = getattr(module, "input_size_per_partition", None) or module.input_size
    return int(rows * columns * module.params_dtype.itemsize)


def _kind(part: _Part, tied: bool) -> str:
    if any(tower in part.name.split(".") for tower in TOWERS):
        return "tower"
    kinds = {cls.__name__ for cls in type(part.module).__mro__}
    if "ParallelLMHead" in kinds:
        return "output"
    if "VocabParallelEmbedding" in kinds or "Embedding" in kinds:
        return "output" if tied and part.name.rpartition(".")[2] == "embed_tokens" else "embedding"
    if "RoutedExperts" in kinds:
        return "experts"
    return "layer"


def _tied(model_config: Any) -> bool:
    text = getattr(model_config, "hf_text_config", model_config.hf_config)
    return bool(getattr(text, "tie_word_embeddings", False))


def _experts(model: Any) -> tuple[int, int]:
    """Experts in a layer, and how many of them a token uses; zeros for a dense model."""
    for module in model.modules():
        if (config := getattr(module, "moe_config", None)) is not None:
            return int(config.num_experts), int(config.experts_per_token)
    return 0, 0
