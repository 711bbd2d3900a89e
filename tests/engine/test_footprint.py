"""What an engine holds, held against the checkpoints that it was loaded from."""

from __future__ import annotations

import json
import struct
from math import prod
from pathlib import Path

import pytest

from spectui.core.traffic import pass_bytes
from spectui.sources.demo_model.drafters import demo_drafter
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
    assert pass_bytes(memory, rows=1, drafted=0, context=0) == pytest.approx(read, rel=0.01)
    assert memory.expert_bytes == memory.experts == 0


@pytest.mark.parametrize(("spec", "parallel"), [("mtp:k=3", False), ("dflash:k=5", True)])
def test_the_drafter_is_what_its_checkpoint_holds(make_lane: LaneMaker, spec: str, parallel: bool) -> None:
    memory = make_lane(spec).memory()
    weights = tensor_bytes(demo_drafter(spec.partition(":")[0]) / "model.safetensors")
    held = sum(weights.values()) * BYTES_NOW // BYTES["BF16"]
    assert memory.drafter_bytes == pytest.approx(held, rel=0.01)
    output = 0 if "lm_head.weight" in weights else OUTPUT_MATRIX
    assert memory.draft_read == pytest.approx(held + output, rel=0.01)
    assert memory.draft_parallel is parallel


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
