"""A lane that chooses its K by itself: how it is asked for, shown, measured, and ended."""

from __future__ import annotations

import weakref
from dataclasses import replace

import pytest

from spectui.core.auto_k import AutoK
from spectui.core.bench.matrix import Variant
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.views import Viewer
from spectui.protocol import commands as cmd
from spectui.protocol.events import KChanged, LaneStage, Notice, RoundFinished, RunStarted, Sampling, Step
from spectui.sources.vllm.benching import variant_of
from spectui.sources.vllm.lane_spec import LaneSpec, LaneSpecError, at_k, lane_infos, parse_lane_spec
from spectui.ui.widgets.pane_head import PaneState, pane_head_rows
from tests.sources.test_synthetic import FAILSAFE_S, Collector
from tests.support.drafting_lane import DraftingLane
from tests.support.fake_lanes import FakeLane, fake_host

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "k_max"),
    [("mtp:k=auto", 4), ("mtp:k=auto:7", 7), ("ngram:k=auto,max=3", 10), ("dflash:model=x,k=auto", 7)],
)
def test_a_lane_with_an_automatic_k(text: str, k_max: int) -> None:
    spec = parse_lane_spec(text)
    assert (spec.auto, spec.k_max, spec.k_start) == (True, k_max, None)
    assert lane_infos([spec])[0].k_source == "auto"
    again = parse_lane_spec(at_k(spec, None))
    assert (again.auto, again.k_max, again.options) == (True, k_max, spec.options)
    assert parse_lane_spec(at_k(spec, 3)).k_source == "yours"


@pytest.mark.parametrize("text", ["mtp:k=auto:0", "mtp:k=auto:", "mtp:k=auto:x", "mtp:k=auto:65", "mtp:k=automatic"])
def test_what_is_no_automatic_k_is_refused(text: str) -> None:
    with pytest.raises(LaneSpecError, match=r"k=.* is not valid"):
        parse_lane_spec(text)


@pytest.fixture(autouse=True)
def no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeLane, "troubles", {}, raising=False)
    monkeypatch.setattr(FakeLane, "made", weakref.WeakSet(), raising=False)


def drafting_lane(text: str, accepts: int = 3) -> DraftingLane:
    spec: LaneSpec = parse_lane_spec(text)
    lane = DraftingLane(lane_infos([spec])[0], spec, "", {"max_num_seqs": 4})
    lane.accepts = accepts
    return lane


def steps(lane: DraftingLane, tokens: int) -> list[Step]:
    lane.add("r", 0, [1, 2], Sampling(max_tokens=tokens, ignore_eos=True))
    taken: list[Step] = []
    while lane.running:
        taken += [event for event in lane.step() if isinstance(event, Step)]
    return taken


def test_the_lane_finds_its_k_and_keeps_one_that_it_is_given() -> None:
    lane = drafting_lane("mtp:k=auto:7")
    taken = steps(lane, 2000)
    assert [step.k for step in taken[-50:]].count(3) > 30
    assert lane.choice is None
    lane.k = 5
    assert lane.choice == 5
    assert {step.k for step in steps(lane, 200)} == {5}
    # What it has learnt is still there.
    lane.choice = None
    assert [step.k for step in steps(lane, 400)[-50:]].count(3) > 30


@pytest.mark.parametrize("reading", [True, False])
def test_the_time_of_a_step_that_read_a_prompt_says_nothing_about_k(
    reading: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: list[float | None] = []
    monkeypatch.setattr(AutoK, "decide", lambda policy, wall_ns, *rest: times.append(wall_ns) or policy.k)
    lane = drafting_lane("mtp:k=auto:7")
    events = steps(lane, 40)[1:2]
    times.clear()
    lane.steer(events, 50_000_000, False, reading=reading)
    assert times == [None if reading else 50_000_000]


def test_a_lane_whose_k_must_stay_does_not_choose() -> None:
    lane = drafting_lane("mtp:k=auto")
    lane.fixed_k = "K stays 4"
    lane.begin_k()
    assert (lane.choice, lane.k) == (4, 4)


def test_a_benchmark_takes_it_as_one_more_k() -> None:
    lane = drafting_lane("mtp:k=auto")
    assert variant_of(lane) == Variant("mtp", "mtp", "MTP", 4, auto=True)
    assert variant_of(lane).name == "mtp K=auto"
    assert variant_of(lane).choice is None
    lane.k = 2
    assert variant_of(lane) == Variant("mtp", "mtp", "MTP", 2)


def test_a_race_begins_with_it_and_k_ends_and_returns_it(monkeypatch: pytest.MonkeyPatch) -> None:
    host, sink = fake_host(monkeypatch, "ar", "ngram:k=auto:3"), Collector()
    host.start(sink)
    sink.wait_for_kind(RoundFinished)
    assert not sink.of(KChanged)
    host.send(cmd.SetK("ngram", 2))
    sink.wait_for_kind(KChanged)
    host.send(cmd.SetK("ngram", None))
    sink.wait_for_kind(KChanged, 2)
    host.send(cmd.SetK("ar", None))
    sink.wait_for_kind(Notice)
    assert host.stop(FAILSAFE_S)
    assert [(told.lane, told.source) for told in sink.of(KChanged)] == [("ngram", "yours"), ("ngram", "auto")]
    assert sink.of(Notice) == [Notice("AR has no drafter, so it has no K", "ar", "warning")]


def test_the_screen_shows_the_k_of_the_last_step() -> None:
    lane = drafting_lane("mtp:k=auto:7", accepts=0)
    state = RunState()
    reduce(state, RunStarted("tiny", (lane.info,), Sampling()))
    reduce(state, LaneStage("mtp", "ready"))
    for step in steps(lane, 300):
        reduce(state, replace(step, lane="mtp"))
    view = Viewer(state).read().lanes[0]
    assert (view.k_source, view.k, view.k_changes) == ("auto", 0, ())
    title = "".join(text for text, _ in pane_head_rows(view, PaneState(1), 40, 4)[0])
    assert "K auto, 0" in title
