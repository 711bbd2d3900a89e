"""The engine thread with real engines: commands while they load, and what is left of a lane that failed."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spectui.protocol.commands import Restart
from spectui.protocol.events import LaneStage, Prompt, RoundFinished, Sampling
from spectui.sources.vllm.compat import engines, parts
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.host import EngineHost
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import parse_lane_spec
from tests.conftest import SMALL_ENGINE_ARGS
from tests.session.program import START_S
from tests.sources.test_synthetic import Collector
from tests.support.loading_commands import all_followed

PROMPTS = ("Count to five.", "Name a colour.", "What is a tree?")


def host_of(demo_model: Path, *specs: str) -> EngineHost:
    return EngineHost(
        HostConfig(
            target="demo",
            find_target=lambda report: str(demo_model),
            specs=[parse_lane_spec(spec, demo=True) for spec in specs],
            prompts=[Prompt(text, category) for text, category in zip(PROMPTS, "aab", strict=True)],
            sampling=Sampling(max_tokens=16, ignore_eos=True),
            engine_args=SMALL_ENGINE_ARGS,
        )
    )


@pytest.mark.parametrize("seed", range(2))
def test_commands_sent_while_engines_load_are_followed_in_order(demo_model: Path, seed: int) -> None:
    all_followed(lambda: host_of(demo_model, "ar", "mtp:k=2"), "mtp", 2, 2, seed, START_S)


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Iterator[weakref.WeakValueDictionary[str, Any]]:
    """The target of each lane whose engine came to be, as long as it is in memory."""
    alive: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
    original = Lane._look_into_engine

    def look(lane: Lane) -> None:
        original(lane)
        alive[lane.info.name] = parts.model_runner_of(lane._engine).model

    monkeypatch.setattr(Lane, "_look_into_engine", look)
    # pytest keeps what is logged, and with it the frames in which the engine was.
    logging.disable(logging.CRITICAL)
    yield alive
    logging.disable(logging.NOTSET)


def test_nothing_is_left_of_lanes_that_failed(
    demo_model: Path, models: weakref.WeakValueDictionary[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One before its lane was whole, one in the warm-up, one in mid-race; the first engine, and the last one built."""
    warm_up, step = Lane.warm_up, Lane.step

    def failing_warm_up(lane: Lane, prompt_ids: Any, tokens: int = 8) -> None:
        if lane.info.name == "ngram":
            raise RuntimeError("no warmth")
        warm_up(lane, prompt_ids, tokens)

    def failing_step(lane: Lane) -> Any:
        if lane.info.name == "mtp" and lane.running and lane.clock_ns and not racing.failed:
            racing.failed = bool(racing.of(RoundFinished))
            if racing.failed:
                raise RuntimeError("the engine broke")
        return step(lane)

    monkeypatch.setattr(Lane, "warm_up", failing_warm_up)
    monkeypatch.setattr(Lane, "step", failing_step)
    racing = Racing(START_S)
    before = set(engines._alive)
    host = host_of(demo_model, "mtp:k=2", "ar", "ngram:k=3")
    host.start(racing)
    racing.wait_for_kind(RoundFinished)
    assert set(models) == {"mtp", "ar"}
    host.send(Restart())
    racing.wait_for_kind(RoundFinished, 2)
    left = set(models), len(engines._alive.keys() - before)
    assert host.stop(START_S)
    failed = {event.lane for event in racing.of(LaneStage) if event.stage == "failed"}  # type: ignore[attr-defined]
    assert failed == {"ngram", "mtp"}
    assert left == ({"ar"}, 1)
    assert set(engines._alive) == before


class Racing(Collector):
    failed = False
