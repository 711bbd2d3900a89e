"""Engines for a headless measurement: what fails is closed, and nothing of it stays."""

from __future__ import annotations

import weakref
from pathlib import Path

import pytest

from spectui.bench import session
from spectui.bench.session import Engines
from spectui.errors import RunError
from spectui.protocol.events import Prompt
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from tests.support.fake_lanes import FakeLane


def test_a_lane_that_fails_while_it_starts_is_closed_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [parse_lane_spec(text) for text in ("ar", "ngram:k=3")]
    infos = lane_infos(specs)
    reclaimed: list[list[str]] = []
    monkeypatch.setattr(FakeLane, "troubles", {("ngram", "warm-up"): 0}, raising=False)
    monkeypatch.setattr(FakeLane, "made", weakref.WeakSet(), raising=False)
    monkeypatch.setattr(FakeLane, "closed", [], raising=False)
    monkeypatch.setattr(session, "Lane", FakeLane)
    monkeypatch.setattr(session, "reclaim", lambda: reclaimed.append([*FakeLane.closed]))
    monkeypatch.setattr("spectui.bench.session.importlib.import_module", lambda name: None)
    started = Engines(HostConfig("fake", lambda report: "fake", specs, [Prompt("x")]), Path("a.log"))
    kept = started.lane(infos[0], specs[0])
    with pytest.raises(RunError, match=r"n-gram failed: .*warm-up was told to fail"):
        started.lane(infos[1], specs[1])
    started.close(kept)
    assert FakeLane.closed == ["ngram"]
    started.close()
    assert FakeLane.closed == ["ngram", "ar"]
    assert reclaimed == [["ngram"], ["ngram", "ar"]]
