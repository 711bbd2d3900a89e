"""The memory plan of engines, held against what the engines then hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from spectui.core.memory_plan.plan import Device, LanePlan
from spectui.protocol.samples import LaneMemory
from spectui.setup.planning import plan
from spectui.sources.checkpoints.reading import read_checkpoint
from spectui.sources.demo_model.known import known_checkpoint
from spectui.sources.vllm.compat import engines
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from tests.conftest import ENGINE_ARGS, LaneMaker
from tests.support import tiny_checkpoints

HERE = Device("here", None, None)


def planned(model: str | None, texts: Sequence[str], arguments: Mapping[str, Any]) -> tuple[HostConfig, list[LanePlan]]:
    """The plan of lanes with engine arguments of which the user set the size of the cache."""
    specs = [parse_lane_spec(text, demo=model is None) for text in texts]
    config = HostConfig(
        "made",
        lambda report: str(model),
        specs,
        [],
        engine_args=arguments,
        asked_args=arguments,
        model=model,
        share=False,
    )
    return config, list(plan(config, gpu=False, device=HERE).lanes)


def held_against(memory: LaneMemory, lane: LanePlan) -> None:
    assert lane.target == pytest.approx(memory.target_bytes, rel=0.005)
    assert lane.drafter == pytest.approx(memory.drafter_bytes, rel=0.005)
    # The cache is a matter of vLLM's arithmetic alone: every byte of it is known.
    assert lane.kv == memory.kv_reserved


@pytest.mark.parametrize("text", ["ar", "mtp:k=3", "dflash:k=5", "ngram:k=5"])
def test_the_plan_of_the_demo_is_what_its_lanes_hold(make_lane: LaneMaker, text: str) -> None:
    _, (lane,) = planned(None, [text], ENGINE_ARGS)
    held_against(make_lane(text).memory(), lane)


@pytest.mark.engine
@pytest.mark.parametrize(
    ("kind", "methods"),
    [
        ("llama", ["eagle3"]),
        ("gemma4", ["dflash"]),
        ("gemma4-moe", ["ar"]),
        ("gemma4-e2b", ["mtp"]),
        ("qwen3.5", ["mtp"]),
    ],
)
def test_the_plan_of_an_architecture_is_what_its_lanes_hold(kind: str, methods: list[str], tmp_path: Path) -> None:
    """Windows, shared caches, experts, Gated DeltaNet states: with the least cache that the plan says starts a lane."""
    tiny = tiny_checkpoints.make(kind, tmp_path)
    arguments = {**ENGINE_ARGS, "dtype": tiny.dtype, "max_model_len": 256, "max_num_seqs": 2}
    texts = [tiny.lanes[method] for method in methods]
    _, (least, *_) = planned(str(tiny.target), texts, arguments)
    assert least.kv_least is not None
    arguments["kv_cache_memory_bytes"] = least.kv_least
    config, lanes = planned(str(tiny.target), texts, arguments)
    for spec, info, lane in zip(config.specs, lane_infos(config.specs), lanes, strict=True):
        built = Lane(info, spec, str(tiny.target), arguments)
        try:
            memory = built.memory()
        finally:
            built.close()
            engines.reclaim()
        held_against(memory, lane)
        assert memory.kv_reserved == lane.kv_least


def test_the_demo_target_is_known_before_it_is_made(demo_model: Path) -> None:
    made, known = read_checkpoint(str(demo_model)), known_checkpoint()
    assert {(tensor.name, tensor.dtype, tensor.shape) for tensor in made.tensors} == {
        (tensor.name, tensor.dtype, tensor.shape) for tensor in known.tensors
    }
    assert {key: made.config[key] for key in known.config} == known.config
