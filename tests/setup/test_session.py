"""Engines for a measurement without a screen: what fails is closed, and nothing of it stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spectui.errors import RunError
from spectui.protocol.events import Prompt
from spectui.setup import session as sessions
from spectui.setup.session import EngineSession, engine_session
from spectui.sources.vllm.compat import engines
from spectui.sources.vllm.config import HostConfig, Room
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from spectui.telemetry import peak
from spectui.telemetry.host import Host
from spectui.telemetry.sampler import Readers
from tests.support.fake_lanes import FakeLane, fake_engine
from tests.support.fake_tokenizers import PanicException

SPECS = [parse_lane_spec(text) for text in ("ar", "ngram:k=3")]
CONFIG = HostConfig("fake", lambda report: "fake", SPECS, [Prompt("x")])


@pytest.fixture
def reclaimed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Which lanes were closed, each time that memory was given back."""
    fake_engine(monkeypatch, {("ngram", "warm-up"): 0})
    given: list[list[str]] = []
    monkeypatch.setattr(engines, "reclaim", lambda: given.append([*FakeLane.closed]))
    return given


def test_a_lane_that_fails_while_it_starts_gives_its_memory_back(reclaimed: list[list[str]]) -> None:
    session = EngineSession(CONFIG, Path("a.log"))
    (ar, ngram), infos = SPECS, lane_infos(SPECS)
    kept = session.lane(infos[0], ar)
    with pytest.raises(RunError, match=r"n-gram failed: .*warm-up was told to fail \(details in a\.log\)"):
        session.lane(infos[1], ngram)
    assert reclaimed == [["ngram"]]
    session.close(kept)
    assert FakeLane.closed == ["ngram"]
    session.close()
    assert reclaimed[1:] == [["ngram"], ["ngram", "ar"]]


def test_lanes_that_do_not_fit_together_are_refused_before_any_is_loaded(reclaimed: list[list[str]]) -> None:
    session = EngineSession(replace(CONFIG, room=lambda: Room("not enough memory: take less")), Path("a.log"))
    with pytest.raises(RunError, match=r"^not enough memory: take less \(details in a\.log\)$"):
        session.lanes()
    assert not FakeLane.made
    # A search loads two at a time, which may fit.
    kept = session.lane(lane_infos(SPECS)[0], SPECS[0])
    assert list(FakeLane.made) == [kept]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_session_closes_its_lanes_however_it_ends(
    reclaimed: list[list[str]], monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    monkeypatch.setattr(FakeLane, "trouble", error)
    with pytest.raises((RunError, KeyboardInterrupt)), engine_session(CONFIG) as session:
        session.lanes()
    assert sorted(FakeLane.closed) == ["ar", "ngram"]
    assert reclaimed[-1] == ["ngram", "ar"]


class Watch:
    """Stands for the sampler's thread, and knows whether it runs."""

    running: list[Watch]

    def __init__(self, open_: Callable[[], Readers]) -> None:
        self.open = open_

    def start(self, sink: Any) -> None:
        self.running.append(self)

    def stop(self) -> None:
        self.running.remove(self)


@pytest.mark.parametrize(
    ("engine_args", "gpu", "watches"),
    [
        ({}, False, []),
        ({}, True, ["GPU"]),
        ({"tensor_parallel_size": 2}, False, ["cores"]),
        ({"tensor_parallel_size": 2}, True, ["GPU"]),
        ({"distributed_executor_backend": "mp"}, False, ["cores"]),
        ({"tensor_parallel_size": "auto", "distributed_executor_backend": "uni"}, False, []),
    ],
)
def test_cores_are_watched_for_lanes_in_processes_of_their_own(
    reclaimed: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    engine_args: dict[str, Any],
    gpu: bool,
    watches: list[str],
) -> None:
    """The others watch their own threads. The memory is not probed: that would disturb the lanes."""

    def unprobed(folder: Any) -> float:
        raise AssertionError

    def running() -> list[str]:
        return ["GPU" if watch.open() is gpus else "cores" for watch in Watch.running]

    gpus = Readers(Host(), None, 1.0)
    monkeypatch.setattr(Watch, "running", [], raising=False)
    monkeypatch.setattr(peak, "memory_peak", unprobed)
    monkeypatch.setattr(sessions, "Sampler", Watch)
    monkeypatch.setattr(sessions, "open_readers", lambda cache: gpus)
    monkeypatch.setattr(sessions, "has_nvidia_gpu", lambda: gpu)
    with engine_session(replace(CONFIG, engine_args=engine_args)) as session:
        assert running() == watches
        with session.unwatched():
            assert running() == []
        assert running() == watches
    assert running() == []


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ({"find_target": OSError}, r"the model could not be .*: no model \(details in "),
        ({"find_target": PanicException}, r"the model could not be .*: no model \(details in "),
        ({"ENGINE_ROOM": "no_such_room"}, r"vLLM could not be imported: No module named 'no_such_room'; "),
    ],
    ids=("target", "panic", "vLLM"),
)
def test_what_every_lane_needs_is_no_lanes_failure(
    reclaimed: list[list[str]], monkeypatch: pytest.MonkeyPatch, missing: dict[str, Any], said: str
) -> None:
    def find_target(report: Any) -> str:
        if "find_target" in missing:
            raise missing["find_target"]("no model")
        return "fake"

    for name in missing.keys() - {"find_target"}:
        monkeypatch.setattr(f"spectui.sources.vllm.loading.{name}", missing[name])
    config = HostConfig("fake", find_target, SPECS, [Prompt("x")])
    with pytest.raises(RunError, match=f"^{said}"), engine_session(config) as session:
        session.lanes()
    assert FakeLane.closed == []
