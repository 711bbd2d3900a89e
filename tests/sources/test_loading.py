"""A lane that cannot be loaded, for whatever reason, says so in its pane and does not keep the others from racing."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from spectui.protocol.events import Event, LaneStage
from spectui.sources.vllm import loading
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from spectui.sources.vllm.loading import Loader, NotLoadedError, load_lanes
from tests.support.fake_lanes import fake_engine

pytestmark = pytest.mark.unit

SPECS = [parse_lane_spec(text) for text in ("ar", "ngram:k=3", "suffix:k=3")]


@pytest.mark.parametrize(
    ("error", "said", "logged"),
    [
        (NotLoadedError("take fewer"), "take fewer", []),
        (ValueError("odd"), "could not be started: odd; the log has the details", ["lane ngram could not be loaded"]),
    ],
)
def test_an_error_that_nobody_expects_is_the_lane_s_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, said: str, logged: list[str]
) -> None:
    fake_engine(monkeypatch, {})

    def refusal(engine_args: Any, spec: Any) -> None:
        if spec is SPECS[1]:
            raise error

    monkeypatch.setattr(loading, "refusal", refusal)
    events: list[Event] = []
    loader = Loader(lambda report: "fake", {"max_num_seqs": 4})
    with caplog.at_level(logging.ERROR):
        lanes = list(load_lanes(loader, lane_infos(SPECS), SPECS, events.append))
    assert [lane is not None for lane in lanes] == [True, False, True]
    last = {event.lane: event for event in events if isinstance(event, LaneStage)}
    assert [stage.stage for stage in last.values()] == ["ready", "failed", "ready"]
    assert last["ngram"].detail == said
    assert [record.message for record in caplog.records] == logged
