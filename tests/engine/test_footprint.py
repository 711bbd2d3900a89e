"""What an engine holds, held against the checkpoints that it was loaded from."""

from __future__ import annotations

import json
import struct
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spectui.core.traffic import step_bytes
from spectui.protocol.samples import CacheGroup, CacheLayers, LaneMemory
from spectui.sources.demo_model.drafters import demo_drafter
from spectui.sources.vllm.footprint import lane_memory
from tests.conftest import ENGINE_ARGS, LaneMaker

BYTES = {"BF16": 2, "F32": 4, "I64": 8}
BYTES_NOW = {"bfloat16": 2, "float32": 4}[ENGINE_ARGS["dtype"]]
OUTPUT_MATRIX = 49152 * 576 * BYTES_NOW
"""Of the demo target, which uses its embedding for it."""


def tensor_bytes(path: Path) -> dict[str, int]:
    """Sizes of a safetensors file's tensors, read from its header alone."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    return {name: prod(one["shape"]) * BYTES[one["dtype"]] for name, one in header.items() if name != "__metadata__"}


@pytest.mark.parametrize("spec", ["ar", "mtp:k=3", "dflash:k=5", "ngram:k=5"])
def test_the_target_is_what_its_checkpoint_holds(make_lane: LaneMaker, demo_model: Path, spec: str) -> None:
    memory = make_lane(spec).memory()
    (checkpoint,) = demo_model.glob("*.safetensors")
    read = sum(tensor_bytes(checkpoint).values()) * BYTES_NOW // BYTES["BF16"]
    assert memory.target_bytes == pytest.approx(read, rel=0.01)
    # The tied embedding is read once a step, as the output matrix; its rows for the step's tokens are not counted.
    assert memory.target_read == pytest.approx(read, rel=0.01)
    # At K = 0 a drafter's pass ends before the output matrix.
    assert memory.draft_read is not None
    assert memory.draft_output is not None
    drafting = memory.draft_read - memory.draft_output
    assert step_bytes(memory, [0], rows=1, k=0) == pytest.approx(read + drafting, rel=0.01)
    assert memory.expert_bytes == memory.experts == 0


@pytest.mark.parametrize(("spec", "parallel"), [("mtp:k=3", False), ("dflash:k=5", True)])
def test_the_drafter_is_what_its_checkpoint_holds(make_lane: LaneMaker, spec: str, parallel: bool) -> None:
    memory = make_lane(spec).memory()
    weights = tensor_bytes(demo_drafter(spec.partition(":")[0]) / "model.safetensors")
    held = sum(weights.values()) * BYTES_NOW // BYTES["BF16"]
    assert memory.drafter_bytes == pytest.approx(held, rel=0.01)
    output = 0 if "lm_head.weight" in weights else OUTPUT_MATRIX
    assert memory.draft_read == pytest.approx(held + output, rel=0.01)
    own_output = weights.get("lm_head.weight", 0) * BYTES_NOW // BYTES["BF16"]
    assert memory.draft_output == pytest.approx(own_output or OUTPUT_MATRIX, rel=0.01)
    assert memory.draft_parallel is parallel
    assert memory.draft_expert_bytes == memory.draft_experts == 0


@pytest.mark.parametrize("spec", ["ar", "mtp:k=3", "dflash:k=5"])
def test_the_drafter_s_layers_are_told_from_the_target_s(make_lane: LaneMaker, spec: str) -> None:
    memory = make_lane(spec).memory()
    [of_target] = [layers for layers in memory.layers if not layers.drafter]
    assert of_target == CacheLayers(False, 30 * 3 * 64 * 2 * BYTES_NOW)
    of_drafter = [layers for layers in memory.layers if layers.drafter]
    assert bool(of_drafter) == (spec != "ar")
    assert memory.kv_token_bytes == sum(layers.token_bytes for layers in memory.layers)


def test_a_lane_without_a_drafter_model_holds_none(make_lane: LaneMaker) -> None:
    for spec in ("ar", "ngram:k=5"):
        memory = make_lane(spec).memory()
        assert (memory.drafter_bytes, memory.draft_read) == (0, 0)


def test_the_cache_is_what_was_asked_for(make_lane: LaneMaker) -> None:
    memory = make_lane("ar").memory()
    # 30 layers x 3 heads x 64 numbers x key and value.
    assert memory.kv_token_bytes == 30 * 3 * 64 * 2 * BYTES_NOW
    asked = ENGINE_ARGS["kv_cache_memory_bytes"]
    block = memory.kv_token_bytes * memory.block_tokens
    assert memory.kv_reserved is not None
    assert asked - block < memory.kv_reserved <= asked
    assert memory.groups == (CacheGroup(memory.block_tokens),)
    assert memory.block_bytes == block


@pytest.mark.engine
def test_experts_of_a_drafter_are_told_from_its_other_weights() -> None:
    """A made engine: a mixture as the drafter, whose output matrix is the target's, and a cache in two groups."""
    import torch
    from torch import nn
    from vllm.v1.kv_cache_interface import (
        FullAttentionSpec,
        KVCacheConfig,
        KVCacheGroupSpec,
        KVCacheTensor,
        SlidingWindowSpec,
    )

    class RoutedExperts(nn.Linear):
        moe_config = SimpleNamespace(num_experts=8, experts_per_token=2)

    class ParallelLMHead(nn.Linear):
        pass

    class Attention(nn.Module):
        pass

    def linear(kind: type[nn.Linear], numbers: int) -> nn.Linear:
        return kind(numbers, 1, bias=False, dtype=torch.bfloat16)

    head = linear(ParallelLMHead, 30)
    target = nn.ModuleDict({"attention": Attention(), "layer": linear(nn.Linear, 100), "lm_head": head})
    drafter = nn.ModuleDict(
        {
            "attention": Attention(),
            "layer": linear(nn.Linear, 10),
            "experts": linear(RoutedExperts, 400),
            "lm_head": head,
        }
    )
    alike: dict[str, Any] = {"block_size": 16, "num_kv_heads": 1, "head_size": 4, "dtype": torch.bfloat16}
    full, sliding = FullAttentionSpec(**alike), SlidingWindowSpec(**alike, sliding_window=64)
    page = full.page_size_bytes
    tensors = [KVCacheTensor(page * 5, [name], page, page) for name in ("target", "draft")]
    groups = [KVCacheGroupSpec(["target"], full), KVCacheGroupSpec(["draft"], sliding)]
    context = {"target": target["attention"], "draft": drafter["attention"]}
    runner = SimpleNamespace(
        model=target,
        model_config=SimpleNamespace(hf_config=SimpleNamespace(tie_word_embeddings=False)),
        drafter=SimpleNamespace(model=drafter, parallel_drafting=False),
        vllm_config=SimpleNamespace(compilation_config=SimpleNamespace(static_forward_context=context)),
        get_kv_cache_spec=lambda: {"target": full, "draft": sliding},
    )
    scheduler = SimpleNamespace(kv_cache_config=KVCacheConfig(5, tensors, groups), block_size=16)
    runner.kv_cache_config = scheduler.kv_cache_config
    engine = SimpleNamespace(
        collective_rpc=lambda call: [call(SimpleNamespace(model_runner=runner))],
        engine_core=SimpleNamespace(engine_core=SimpleNamespace(scheduler=scheduler)),
    )
    assert lane_memory("mtp", engine) == LaneMemory(
        lane="mtp",
        target_bytes=260,
        target_shared=False,
        target_read=260,
        expert_bytes=0,
        experts=0,
        experts_active=0,
        drafter_bytes=820,
        draft_read=20 + 60,
        draft_parallel=False,
        kv_token_bytes=32,
        kv_reserved=page * 5,
        block_tokens=16,
        draft_output=60,
        draft_expert_bytes=800,
        draft_experts=8,
        draft_experts_active=2,
        layers=(CacheLayers(False, 16), CacheLayers(True, 16, window=64)),
        groups=(CacheGroup(16), CacheGroup(16, 64)),
        block_bytes=page,
    )
