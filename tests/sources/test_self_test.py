"""The self-test of lanes that have just started: what it takes for a fault, what it says, and what it leaves behind."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from spectui.cli.headless import describe, table
from spectui.core.losslessness import NEAR_TIE_MARGIN
from spectui.core.summary import summary_of
from spectui.protocol import commands as cmd
from spectui.protocol.events import (
    Event,
    KChanged,
    LaneChecked,
    LaneInfo,
    LaneStage,
    Notice,
    RoundStarted,
    RunStarted,
    Sampling,
)
from spectui.sources.recording import Memory
from spectui.sources.vllm import loading
from spectui.sources.vllm.lane_request import EngineCounts
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from spectui.sources.vllm.self_test import LEAST_TOKENS, MOST_TOKENS, SelfTest
from tests.sources.test_synthetic import FAILSAFE_S, Collector
from tests.support.fake_lanes import STEP_NS, FakeLane, fake_engine, fake_host
from tests.trace.making import folded

Says = Callable[[int, int], int]
"""The token at an output position, in a step that may have so many drafts."""


class ScriptedLane(FakeLane):
    """Says what a test wants; ``margin`` is how sure the target is wherever it is asked."""

    def __init__(self, spec: str, says: Says = lambda place, k: place, margin: float = 2.0) -> None:
        parsed = parse_lane_spec(spec)
        super().__init__(lane_infos([parsed])[0], parsed, "fake", {})
        self.says, self.margin = says, margin
        self.seen_ks: list[int] = []

    def step(self) -> list[Event]:
        (request,) = self._requests.values()
        self._token = self.says(len(request.ids), self.k)
        self.seen_ks.append(self.k)
        return super().step()

    def top_two_margin(self, ids: Sequence[int]) -> float:
        super().top_two_margin(ids)
        return self.margin


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_engine(monkeypatch, {})


def checked(lane: ScriptedLane, ar: ScriptedLane | None = None) -> LaneChecked:
    self_test = SelfTest()
    ar = ar or ScriptedLane("ar")
    assert self_test.check(ar) is None
    found = self_test.check(lane)
    assert found is not None
    return found


def test_a_lane_that_says_what_ar_says_passes() -> None:
    lane = ScriptedLane("ngram:k=3")
    tokens = 0.35e9 / STEP_NS
    assert checked(lane) == LaneChecked("ngram", int(tokens))
    assert LEAST_TOKENS < tokens < MOST_TOKENS
    assert lane.seen_ks[:9] == [3, 1, 0, 3, 3, 1, 0, 3, 3]


def test_it_leaves_nothing_behind() -> None:
    lane = ScriptedLane("ngram:k=3,start=2")
    lane.clock_ns, lane.own_ns = 7, 3
    checked(lane)
    assert (lane.clock_ns, lane.own_ns, lane.totals.steps, lane.k, lane.running) == (7, 3, 0, 2, False)


def test_a_near_tie_is_nothing() -> None:
    ar = ScriptedLane("ar", margin=NEAR_TIE_MARGIN)
    found = checked(ScriptedLane("ngram", lambda place, k: place if place < 5 else 99), ar)
    assert (found.position, found.margin, found.warning) == (5, NEAR_TIE_MARGIN, "")


def test_what_goes_wrong_below_k_max_is_kept_at_k_max() -> None:
    found = checked(ScriptedLane("ngram:k=3", lambda place, k: place if k == 3 else 99))
    assert found.warning == (
        "K stays 3: with fewer drafts its text diverged from AR's at token 2 (the target was sure: margin 2.00 nats)"
    )


def test_what_dies_below_k_max_is_kept_at_k_max_and_goes_on() -> None:
    def says(place: int, k: int) -> int:
        if k < 3:
            raise RuntimeError("The size of a tensor must match")
        return place

    lane = ScriptedLane("ngram:k=3,start=1", says)
    found = checked(lane)
    assert found.warning == "K stays 3: with fewer drafts its engine fails (The size of a tensor must match)"
    assert (lane.k, lane.ks, lane.running) == (3, (3,), False)


def test_what_dies_at_every_k_has_failed() -> None:
    def says(place: int, k: int) -> int:
        raise RuntimeError("no kernel")

    with pytest.raises(RuntimeError, match="no kernel"):
        checked(ScriptedLane("ngram", says))


def test_what_goes_wrong_at_every_k_is_not_to_be_trusted() -> None:
    found = checked(ScriptedLane("ngram:k=3", lambda place, k: 99 if place == 4 else place))
    assert found.warning == (
        "do not trust its figures: its text diverged from AR's at token 5 (the target was sure: margin 2.00 nats); "
        "`spectui doctor --lanes` says more"
    )


def test_a_difference_that_cannot_be_judged_is_told() -> None:
    FakeLane.troubles[("ar", "margin")] = 0
    found = checked(ScriptedLane("ngram", lambda place, k: 99))
    assert found.margin is None
    assert "the target's margin there is unknown" in found.warning


def test_without_an_ar_lane_it_is_compared_with_itself_at_k_0() -> None:
    lane = ScriptedLane("ngram:k=3", lambda place, k: place if k != 1 else 99)
    found = SelfTest().check(lane)
    assert found is not None
    assert found.plain
    wrong = "K stays 3: with fewer drafts its text diverged from its own at K = 0 at token 2"
    assert found.warning.startswith(wrong)
    assert set(lane.seen_ks[: found.tokens]) == {0}


@pytest.mark.parametrize("freed", [False, True])
def test_an_ar_lane_that_is_gone_is_let_go_and_asked_no_more(freed: bool) -> None:
    self_test = SelfTest()
    ar = ScriptedLane("ar", margin=0.0)
    assert self_test.check(ar) is None
    ar.close()
    if freed:
        held = weakref.ref(ar)
        del ar
        gc.collect()
        assert held() is None
    lane = ScriptedLane("ngram:k=3", lambda place, k: place if k == 3 else place + 50 * (place > 4 and k == 1))
    found = self_test.check(lane)
    assert found is not None
    assert (found.plain, found.margin) == (True, 2.0)
    second = ScriptedLane("ar")
    assert self_test.check(second) is None
    following = self_test.check(ScriptedLane("ngram"))
    assert following is not None
    assert not following.plain


def test_a_second_ar_lane_is_compared_too() -> None:
    second = ScriptedLane("ar", lambda place, k: 99)
    assert checked(second).warning.startswith("do not trust its figures: its text diverged from AR's at token 1")


def test_counts_that_differ_are_told() -> None:
    lane = ScriptedLane("ngram")
    lane.disagreements = [EngineCounts("self-test", (3, 9, 4), (3, 9, 5))]
    assert checked(lane).warning == (
        "request self-test: vLLM counts 9 drafted and 4 accepted tokens, the tap 9 and 5; please report this"
    )
    assert lane.disagreements == []


def test_a_short_context_is_not_exceeded() -> None:
    ar, lane = ScriptedLane("ar"), ScriptedLane("ngram")
    ar.max_model_len = len(ar.tokenizer.encode("1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,")) + 5
    assert checked(lane, ar).tokens == 4


def loaded(host: Any) -> Collector:
    collector = Collector()
    host.start(collector)
    collector.wait_for_kind(RoundStarted)
    assert host.stop(FAILSAFE_S)
    return collector


def test_a_host_tests_each_lane_before_it_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    host = fake_host(monkeypatch, "ar", "ngram:k=3", self_test=True)
    events = loaded(host).events
    told = [e for e in events if isinstance(e, LaneChecked | LaneStage) and e.lane == "ngram"]
    stages = [(e.stage, e.detail) if isinstance(e, LaneStage) else type(e) for e in told]
    assert not [e for e in events if isinstance(e, KChanged)]
    assert stages[-4:] == [("warming up", ""), ("warming up", "self-test"), LaneChecked, ("ready", "")]
    assert not [e for e in events if isinstance(e, LaneChecked) and e.lane == "ar"]


class FragileLane(FakeLane):
    """Counts up, but not with fewer drafts than it was built for."""

    def step(self) -> list[Event]:
        (request,) = self._requests.values()
        self._token = len(request.ids) if self.k == self.info.k_max else 99
        return super().step()


def test_a_lane_that_is_right_at_k_max_alone_begins_there(monkeypatch: pytest.MonkeyPatch) -> None:
    host = fake_host(monkeypatch, "ar", "ngram:k=3,start=1", self_test=True)
    monkeypatch.setattr(loading, "Lane", FragileLane)
    collector = Collector()
    host.start(collector)
    collector.wait_for_kind(RoundStarted)
    (found,) = (e for e in collector.events if isinstance(e, LaneChecked))
    assert found.warning.startswith("K stays 3: with fewer drafts its text diverged")
    assert [e for e in collector.events if isinstance(e, KChanged)] == [KChanged("ngram", 3, "default")]
    told = [e for e in collector.events if isinstance(e, Notice)]
    assert told == [Notice(found.warning, "ngram", "warning")]
    host.send(cmd.SetK("ngram", 1))
    host.send(cmd.Tune("ngram"))
    collector.wait_for_kind(Notice, 3)
    assert host.stop(FAILSAFE_S)
    refused = [e.text for e in collector.events if isinstance(e, Notice)][1:]
    assert refused == [found.warning, f"nothing to tune: {found.warning}"]


def test_no_self_test_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    events = loaded(fake_host(monkeypatch, "ar", "ngram:k=3")).events
    assert not [e for e in events if isinstance(e, LaneChecked)]


def test_a_lane_that_dies_of_it_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    host = fake_host(monkeypatch, "ar", "ngram:k=3", troubles={("ngram", "step"): 2}, self_test=True)
    events = loaded(host).events
    (failed,) = (e for e in events if isinstance(e, LaneStage) and e.stage == "failed")
    assert (failed.lane, "step was told to fail" in failed.detail) == ("ngram", True)
    assert "ngram" in FakeLane.closed


INFO = LaneInfo("mtp", "mtp", "MTP", 4, "mtp:k=4")
WRONG = LaneChecked("mtp", 12, 20, 5, 3, 1.5, warning="K stays 4: with fewer drafts its text diverged from AR's")
RUN: list[Event] = [RunStarted("fake", (INFO,), Sampling()), LaneStage("mtp", "ready"), WRONG]


def test_a_warning_is_in_the_table_and_the_summary() -> None:
    summary = summary_of(folded(RUN))
    assert summary.lanes[0].warning == WRONG.warning
    assert f"mtp          {WRONG.warning}" in table(summary)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (WRONG, f"mtp          self-test: {WRONG.warning}"),
        (LaneChecked("mtp", 12), "mtp          self-test: 12 tokens equal AR's"),
        (LaneChecked("mtp", 12, plain=True), "mtp          self-test: 12 tokens equal its own at K = 0"),
        (
            LaneChecked("mtp", 12, position=8, margin=0.125),
            "mtp          self-test: diverged from AR's text at token 9, a near tie (top-2 margin 0.125)",
        ),
    ],
)
def test_without_a_screen_a_line_says_how_it_went(found: LaneChecked, said: str) -> None:
    assert describe(found, 0.0) == said


def test_a_recording_that_begins_later_has_it_too() -> None:
    memory = Memory(most=1)
    for stamp, event in enumerate([*RUN, replace(WRONG, lane="other"), LaneStage("mtp", "ready")]):
        memory.add(stamp, event)  # type: ignore[arg-type]
    kept = [event for _, event in memory.events()]
    assert WRONG in kept
