"""Which lanes share the target's weights, and what is said if they do not."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from spectui.setup.config import host_config
from spectui.setup.options import add_engine_options
from spectui.sources.vllm import sharing, vllm_options
from spectui.sources.vllm.compat import device
from spectui.sources.vllm.sharing import Borrowing, SharedTarget

pytestmark = pytest.mark.unit


class Model:
    pass


@pytest.mark.parametrize(
    ("engine_args", "obstacle"),
    [
        ({}, None),
        ({"tensor_parallel_size": 1, "load_format": "Safetensors", "quantization": "fp8"}, None),
        ({"tensor_parallel_size": 2}, "each lane's model is spread over processes of its own"),
        ({"pipeline_parallel_size": 2}, "each lane's model is spread over processes of its own"),
        ({"prefill_context_parallel_size": 2}, "each lane's model is spread over processes of its own"),
        ({"data_parallel_size": 2}, "each lane's model is spread over processes of its own"),
        # vLLM says what it thinks of that.
        ({"tensor_parallel_size": "many"}, None),
        ({"distributed_executor_backend": "ray"}, "each lane's model is in a process of its own"),
        ({"enable_lora": True}, "LoRA changes a lane's layers"),
        ({"cpu_offload_gb": 4}, "weights are offloaded to the host's memory"),
        ({"offload_group_size": 8}, "vLLM has one offloader of weights for the whole process"),
        ({"offload_backend": "uva"}, "vLLM has one offloader of weights for the whole process"),
        ({"offload_backend": "auto", "offload_group_size": 0}, None),
        ({"load_format": "tensorizer"}, "load_format is tensorizer"),
    ],
)
def test_what_keeps_lanes_from_sharing_is_said_once(engine_args: dict[str, Any], obstacle: str | None) -> None:
    shared = SharedTarget(engine_args)
    assert shared.obstacle("model") == obstacle
    said = [shared.own_copy(shared.borrowing("model"), "model") for _ in range(3)]
    assert said == ["", "" if obstacle is None else f"every lane has its own copy of the target: {obstacle}", ""]


def test_weights_in_an_object_store_are_not_shared() -> None:
    assert SharedTarget({}).obstacle("s3://bucket/model") == "its weights are not files"


def test_a_target_is_borrowed_from_a_lane_of_its_kind_that_is_still_there() -> None:
    models: dict[int, Any] = {}
    first = Borrowing(models)
    assert first.donor("plain") is None
    model = Model()
    first.loaded("plain", model)
    assert (first.done, first.shared, first.unlike) == (True, False, False)

    second, other = Borrowing(models), Borrowing(models)
    assert second.donor("plain") is model
    assert (second.shared, second.unlike) == (True, False)
    assert other.donor("overridden") is None
    assert (other.shared, other.unlike) == (False, True)
    shared = SharedTarget({})
    assert shared.own_copy(other, "model").startswith("this lane has its own copy of the target: ")

    del model
    assert not models
    assert Borrowing(models).donor("plain") is None


@pytest.mark.parametrize(
    ("free", "said"),
    [
        (None, None),
        (1100, None),
        (1099, "another copy with its cache takes about 1.10 kB, and 1.10 kB are free"),
        (650, "another copy with its cache takes about 1.10 kB, and 650 B are free"),
    ],
)
def test_another_copy_needs_room_for_its_cache_and_some_more(
    monkeypatch: pytest.MonkeyPatch, free: int | None, said: str | None
) -> None:
    monkeypatch.setattr(sharing, "weight_bytes", lambda model: 600)
    monkeypatch.setattr(device, "free_memory", lambda: free)
    shared, model = SharedTarget({}), Model()
    assert shared.shortage(400) is None
    shared.borrowing("model").loaded("plain", model)
    assert shared.shortage(400) == said


@pytest.mark.parametrize(("arguments", "share"), [([], True), (["--no-share"], False)])
def test_no_share_is_the_users_choice(monkeypatch: pytest.MonkeyPatch, arguments: list[str], share: bool) -> None:
    monkeypatch.setattr(vllm_options, "engine_folder", lambda: "somewhere")
    parser = argparse.ArgumentParser()
    add_engine_options(parser)
    assert host_config(parser.parse_args(arguments), gpu=False).share is share
