"""What a plan of the memory means for loading: the size of each lane's cache, and lanes that are not loaded at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from spectui.protocol.events import Event, LaneStage
from spectui.sources.vllm import loading
from spectui.sources.vllm.config import Room
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from spectui.sources.vllm.loading import Loader, load_lanes
from tests.support.fake_lanes import FakeLane, fake_engine

pytestmark = pytest.mark.unit

SPECS = [parse_lane_spec(text) for text in ("ar", "ngram:k=3", "ngram:k=5")]
ASKED = {"kv_cache_memory_bytes": 100, "max_num_seqs": 4}


def loaded(monkeypatch: pytest.MonkeyPatch, room: Room) -> tuple[list[Any], list[Event]]:
    """The engine arguments of the lanes that were built, and the events."""
    fake_engine(monkeypatch, {})
    built: list[Mapping[str, Any]] = []

    class Sized(FakeLane):
        def __init__(self, info: Any, spec: Any, target: str, engine_args: Mapping[str, Any], *more: Any) -> None:
            built.append(engine_args)
            super().__init__(info, spec, target, engine_args, *more)

    monkeypatch.setattr(loading, "Lane", Sized)
    events: list[Event] = []
    order: list[str] = []

    def find(report: Any) -> str:
        order.append("target")
        return "fake"

    def plan() -> Room:
        # The configuration of a target that is downloaded is there only then.
        order.append("plan")
        return room

    loader = Loader(find, ASKED, plan_room=plan)
    list(load_lanes(loader, lane_infos(SPECS), SPECS, events.append))
    assert order == ["target", "plan"]
    return built, events


def test_each_lane_has_its_own_cache_and_the_others_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {0: 7, 3: 8}
    built, _ = loaded(monkeypatch, Room(kv_bytes=lambda spec: sizes.get(spec.k_max)))
    assert built == [{**ASKED, "kv_cache_memory_bytes": size} for size in (7, 8, 100)]


def test_lanes_that_cannot_fit_are_told_so_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    built, events = loaded(monkeypatch, Room("not enough memory: take a smaller model"))
    assert built == []
    assert events == [
        LaneStage(name, "failed", "not enough memory: take a smaller model") for name in ("ar", "ngram", "ngram-2")
    ]
