"""Lanes that share one copy of the target's weights, held against lanes that each load their own."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from spectui.protocol.events import Event, LaneStage, Notice, Sampling, Step
from spectui.sources.vllm.compat import device, engines, parts
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from spectui.sources.vllm.loading import Loader, NotLoadedError, load_lanes
from spectui.sources.vllm.sharing import FORMAT, SharingError
from tests.conftest import SMALL_ENGINE_ARGS
from tests.support import tiny_checkpoints
from tests.support.tiny_checkpoints import Tiny

pytestmark = pytest.mark.engine

KINDS = ("llama", "gemma4-moe", "gemma4-e2b", "qwen3.5-moe")
"""Between them they have every part that an architecture is made of; in test_architectures.py all kinds share."""

DRAFTING = {"gemma4-e2b": ("mtp",)}
"""The methods to test a kind with, if not MTP and DFlash: vLLM's CPU build has no other for it."""

PROMPTS = (tuple(range(20, 60)), tuple(range(3, 9)) * 6, (100, 7, 7, 7, 100, 7, 7, 7, 100))
GREEDY = Sampling(max_tokens=16, ignore_eos=True)

Load = Callable[..., list[Lane]]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return tiny_checkpoints.make("llama", tmp_path_factory.mktemp("llama"))


def loader_of(tiny: Tiny, *, share: bool = True, **engine_args: Any) -> Loader:
    loader = Loader(
        lambda report: str(tiny.target), {**SMALL_ENGINE_ARGS, "dtype": tiny.dtype, **engine_args}, share=share
    )
    loader.find_target()
    loader.import_engine()
    return loader


@pytest.fixture
def load() -> Iterator[Load]:
    """Loads lanes, which are closed at the end if they are not before."""
    loaded: list[weakref.ref[Lane]] = []

    def load(loader: Loader, tiny: Tiny, *methods: str) -> list[Lane]:
        specs = [parse_lane_spec(tiny.lanes[method]) for method in methods]
        lanes = []
        for info, spec in zip(lane_infos(specs), specs, strict=True):
            lanes.append(loader.lane(info, spec))
            loaded.append(weakref.ref(lanes[-1]))
        return lanes

    yield load
    # Freeing memory searches all objects that there are, so it takes a second even where nothing is left to free.
    if lanes := [lane for held in loaded if (lane := held()) is not None and lane.alive]:
        close(lanes)


def close(lanes: list[Lane]) -> None:
    while lanes:
        lanes.pop().close()
    engines.reclaim()


@dataclass(frozen=True)
class Weights:
    """Where a lane's target has its weights, its caches, and the code that packed matrices are used with."""

    parameters: Mapping[str, int]
    packed: Mapping[str, int]
    caches: Mapping[str, int]


def weights_of(lane: Lane) -> Weights:
    runner = parts.model_runner_of(lane._engine)
    return Weights(
        {name: id(parameter) for name, parameter in runner.model.named_parameters()},
        {name: id(m.cpu_linear) for name, m in runner.model.named_modules() if getattr(m, "cpu_linear", None)},
        {name: id(layer.kv_cache) for name, (layer, _) in parts.cache_layers_of(runner).items()},
    )


def generated(lane: Lane) -> list[tuple[str, tuple[int, ...], tuple[int, ...], int]]:
    """Every step of the prompts at once: the request, emitted and drafted ids, and how many were accepted."""
    for slot, ids in enumerate(PROMPTS):
        lane.add(f"r{slot}", slot, ids, GREEDY)
    steps: list[Any] = []
    while lane.running:
        steps += [(s.request, s.emitted, s.drafted, s.accepted) for s in lane.step() if isinstance(s, Step)]
    assert not lane.disagreements
    return steps


@pytest.mark.parametrize("kind", KINDS)
def test_lanes_that_share_generate_what_lanes_with_own_copies_do(kind: str, tmp_path: Path, load: Load) -> None:
    tiny = tiny_checkpoints.make(kind, tmp_path)
    methods = ("ar", *DRAFTING.get(kind, ("mtp", "dflash")))
    separate = load(loader_of(tiny, share=False), tiny, *methods)
    apart = {method: generated(lane) for method, lane in zip(methods, separate, strict=True)}
    assert [lane.memory().target_shared for lane in separate] == [False] * len(methods)
    assert not set(weights_of(separate[0]).parameters.values()) & set(weights_of(separate[1]).parameters.values())
    close(separate)

    lanes = load(loader_of(tiny), tiny, *methods)
    held = [weights_of(lane) for lane in lanes]
    assert [lane.memory().target_shared for lane in lanes] == [False] + [True] * (len(methods) - 1)
    assert all((one.parameters, one.packed) == (held[0].parameters, held[0].packed) for one in held)
    caches = [set(one.caches.values()) for one in held]
    assert not any(one & other for one, other in combinations(caches, 2))
    assert {method: generated(lane) for method, lane in zip(methods, lanes, strict=True)} == apart
    assert all(any(step[3] for step in apart[method]) for method in methods[1:])
    # The lane that loaded the weights goes first; a lane that comes afterwards still finds them.
    lanes.pop(0).close()
    engines.reclaim()
    assert generated(lanes[0]) == apart[methods[1]]
    close(lanes)


def test_the_weights_are_freed_with_the_last_lane_that_holds_them(tiny: Tiny, load: Load) -> None:
    loader = loader_of(tiny)
    lanes = load(loader, tiny, "ar", "mtp")
    held = weakref.ref(parts.model_runner_of(lanes[0]._engine).model.lm_head)
    before = weights_of(lanes[0]).parameters
    lanes.pop(0).close()
    engines.reclaim()
    lanes += load(loader, tiny, "ar")
    assert lanes[1].shares_target
    assert weights_of(lanes[1]).parameters == before
    close(lanes)
    assert held() is None
    lanes = load(loader, tiny, "ar")
    assert not lanes[0].shares_target
    close(lanes)


def test_a_load_format_of_the_users_is_used_for_the_target_and_its_drafter(tiny: Tiny, load: Load) -> None:
    from vllm.model_executor import model_loader

    lanes = load(loader_of(tiny, load_format="safetensors"), tiny, "ar", "dflash")
    assert lanes[1].shares_target
    for lane in lanes:
        assert lane._engine.vllm_config.load_config.load_format == "safetensors"
    assert FORMAT not in model_loader._LOAD_FORMAT_TO_MODEL_LOADER
    close(lanes)


def test_a_users_hf_overrides_stand_beside_what_a_drafter_needs(tiny: Tiny, load: Load) -> None:
    overrides = {"rope_parameters": {"rope_type": "default", "rope_theta": 20_000.0}}
    lanes = load(loader_of(tiny, hf_overrides=overrides), tiny, "ar", "mtp")
    assert lanes[1].shares_target
    for lane in lanes:
        assert lane._engine.vllm_config.model_config.hf_config.rope_parameters["rope_theta"] == 20_000.0
    assert lanes[1]._engine.vllm_config.model_config.hf_config.num_nextn_predict_layers == 1
    close(lanes)


def test_a_lane_that_cannot_share_loads_its_own_copy_and_says_so(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    from spectui.sources.vllm import grafting

    def left_out(graft: Any) -> None:
        raise SharingError("a part was never loaded")

    monkeypatch.setattr(grafting._Graft, "_check", left_out)
    specs = [parse_lane_spec(tiny.lanes[method]) for method in ("ar", "mtp")]
    events: list[Event] = []
    loaded = load_lanes(loader_of(tiny), lane_infos(specs), specs, events.append)
    lanes = [lane for lane in loaded if lane is not None]
    text = "MTP has its own copy of the target: sharing failed: a part was never loaded; the log has the details"
    assert [event for event in events if isinstance(event, Notice)] == [Notice(text, "mtp", "warning")]
    assert [event.lane for event in events if isinstance(event, LaneStage) and event.stage == "ready"] == ["ar", "mtp"]
    assert not lanes[1].memory().target_shared
    close(lanes)


def test_a_second_copy_that_does_not_fit_is_not_loaded(tiny: Tiny, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    from spectui.sources.vllm import grafting

    loader = loader_of(tiny)
    lanes = load(loader, tiny, "ar")
    monkeypatch.setattr(grafting._Graft, "_check", lambda graft: 1 / 0)
    monkeypatch.setattr(device, "free_memory", lambda: 1_000_000)
    with pytest.raises(NotLoadedError) as failed:
        load(loader, tiny, "mtp")
    assert str(failed.value) == (
        "not enough memory for an own copy of the target (another copy with its cache takes about 77.0 MB, and 1.00 MB "
        "are free), and this lane cannot share the other lanes' copy: race fewer lanes; "
        "sharing failed: division by zero; the log has the details"
    )
    assert generated(lanes[0])
    close(lanes)
