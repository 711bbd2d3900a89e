"""Which lanes share the target's weights, and what is said if they do not."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Mapping
from typing import Any

import pytest

from spectui.setup.config import host_config
from spectui.setup.options import add_engine_options
from spectui.sources.vllm import loading, sharing, vllm_options
from spectui.sources.vllm.compat import device, engines
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from spectui.sources.vllm.sharing import ALONE, Borrowing, SharedTarget
from tests.support.fake_lanes import FakeLane, fake_engine

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


class GraftedLane(FakeLane):
    """A lane that draws on the shared weights unless it has its own, and says one token on and on."""

    tokens: Mapping[tuple[str, bool], int]
    """What lanes say, by name and whether they share."""

    def __init__(self, info: Any, spec: Any, target: str, engine_args: Any, borrowing: Borrowing = ALONE) -> None:
        super().__init__(info, spec, target, engine_args, borrowing)
        borrowing.shared = self.shares_target = borrowing is not ALONE and info.name != "ar"
        self._token = self.tokens[info.name, self.shares_target]


@pytest.mark.parametrize(
    ("shared", "own", "short", "own_copy", "alone"),
    [
        (7, 7, None, "", False),
        (
            99,
            7,
            None,
            "n-gram has its own copy of the target: its self-test fails with the shared one and passes with its own; "
            "please report this",
            True,
        ),
        (
            99,
            99,
            None,
            "n-gram has its own copy of the target: its self-test fails with that too, so sharing is not the cause",
            True,
        ),
        (99, 7, "no room", "", False),
    ],
    ids=("right", "sharing", "not sharing", "no memory"),
)
def test_a_lane_whose_text_is_wrong_with_shared_weights_tries_its_own(
    monkeypatch: pytest.MonkeyPatch, shared: int, own: int, short: str | None, own_copy: str, alone: bool
) -> None:
    fake_engine(monkeypatch, {})
    tokens = {("ar", False): 7, ("ngram", True): shared, ("ngram", False): own}
    monkeypatch.setattr(GraftedLane, "tokens", tokens, raising=False)
    monkeypatch.setattr(loading, "Lane", GraftedLane)
    monkeypatch.setattr(SharedTarget, "shortage", lambda self, cache_bytes: short)
    left: list[set[str]] = []

    def reclaim() -> None:
        gc.collect()
        left.append({lane.info.name for lane in FakeLane.made})

    monkeypatch.setattr(engines, "reclaim", reclaim)
    loader = loading.Loader(lambda report: "fake", {}, self_test=True)
    loader.find_target()
    specs = [parse_lane_spec(text) for text in ("ar", "ngram:k=3")]
    _, lane = (loader.lane(info, spec) for info, spec in zip(lane_infos(specs), specs, strict=True))
    assert lane.checked is not None
    assert lane.checked.warning.startswith("do not trust") == (99 in ((own,) if alone else (shared,)))
    assert (lane.own_copy, lane.shares_target) == (own_copy, not alone)
    assert left == ([{"ar"}] if alone else []), "the first one is closed and freed before the next is built"
    assert FakeLane.closed == (["ngram"] if alone else [])


@pytest.mark.parametrize(("arguments", "share"), [([], True), (["--no-share"], False)])
def test_no_share_is_the_users_choice(monkeypatch: pytest.MonkeyPatch, arguments: list[str], share: bool) -> None:
    monkeypatch.setattr(vllm_options, "engine_folder", lambda: "somewhere")
    parser = argparse.ArgumentParser()
    add_engine_options(parser)
    assert host_config(parser.parse_args(arguments), gpu=False).share is share
