"""What an engine holds and what a step of it has to read, from the modules that vLLM loaded. Written for vLLM 0.32.

Weights are counted once, whatever shares them. On a CPU vLLM may keep a matrix in a form of its own and leave an empty
parameter behind (``dispatch_cpu_unquantized_gemm`` in ``vllm/model_executor/layers/utils.py``); its size then comes
from the layer's shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spectui.samples import LaneMemory
from spectui.sources.vllm import compat

UNREAD_TOWERS = ("visual", "vision_tower", "vision_model", "audio_tower", "embed_vision", "embed_audio")
"""Parts of a model that text never goes through."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A module with weights of its own."""

    name: str
    module: Any
    bytes: int


@dataclass(frozen=True, slots=True)
class _Weights:
    """Bytes of a model: all, what every pass reads, its experts, and its output matrix as part of what is read."""

    all: int
    read: int
    experts: int
    output: int


def lane_memory(lane: str, engine: Any, *, shared: bool = False) -> LaneMemory:
    """Look through a loaded engine. ``shared`` says that another lane holds the same target in the same place."""
    runner, scheduler = compat.model_runner_of(engine), compat.scheduler_of(engine)
    target = _weights(runner.model, _tied(runner.model_config), known=set())
    experts, active = _experts(runner.model)
    drafter = getattr(getattr(runner, "drafter", None), "model", None)
    drafter_bytes = draft_read = 0
    if drafter is not None:
        own = _weights(drafter, tied=False, known={id(p) for p in runner.model.parameters()})
        drafter_bytes = own.all
        draft_read = own.read + (0 if own.output else target.output)
    cache = scheduler.kv_cache_config
    return LaneMemory(
        lane=lane,
        target_bytes=target.all,
        target_shared=shared,
        target_read=target.read,
        expert_bytes=target.experts,
        experts=experts,
        experts_active=active,
        drafter_bytes=drafter_bytes,
        draft_read=draft_read,
        draft_parallel=bool(getattr(getattr(runner, "drafter", None), "parallel_drafting", False)),
        kv_token_bytes=_token_bytes(cache),
        kv_reserved=sum(tensor.size for tensor in cache.kv_cache_tensors),
        block_tokens=scheduler.block_size,
    )


def _weights(model: Any, tied: bool, known: set[int]) -> _Weights:
    """Count a model's weights without those in ``known``; ``tied`` reads the embedding as the output matrix."""
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
    if any(tower in part.name.split(".") for tower in UNREAD_TOWERS):
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
    """Experts of a layer, and how many of them a token goes through; zeros in a dense model."""
    for module in model.modules():
        if (config := getattr(module, "moe_config", None)) is not None:
            return int(config.num_experts), int(config.experts_per_token)
    return 0, 0


def _token_bytes(cache: Any) -> int:
    """Cache of one token in the layers that keep one for every token, the drafter's included."""
    total = 0.0
    for group in cache.kv_cache_groups:
        if hasattr(group.kv_cache_spec, "num_kv_heads"):
            total += group.kv_cache_spec.page_size_bytes / group.kv_cache_spec.block_size * len(group.layer_names)
    return round(total)
