"""Steps that never reach the screen: what is shown is what would have been shown, or says that it is partial."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectui.cli.headless import table
from spectui.core.acceptance import AcceptanceCounter
from spectui.core.rates import RateSeries
from spectui.core.summary import lane_summary, summary_of
from spectui.core.views import LaneView, RunView, Viewer
from spectui.protocol import events as ev
from spectui.protocol.mailbox import Mailbox
from spectui.sources.lane_time import LaneClock
from spectui.ui.widgets.acceptance_chart import acceptance_rows
from spectui.ui.widgets.cost_rows import cost_rows
from spectui.ui.widgets.histogram_chart import histogram_rows
from spectui.ui.widgets.ledger import ledger_rows
from spectui.ui.widgets.pane_head import PaneState, pane_head_rows
from spectui.ui.widgets.throughput_chart import throughput_rows
from tests.support.making_machines import DENSE
from tests.trace.making import folded, made_run
from tests.ui.test_widgets import texts

AR = ev.LaneInfo("ar", "ar", "AR", 0, "ar")
MTP = ev.LaneInfo("mtp", "mtp", "MTP", 3, "mtp:k=3")
MS = 1_000_000

COUNTED = ("round_s", "steps", "emitted", "cut", "tok_s", "naive_tok_s", "speedup")
"""Figures that are right whatever was lost."""

KNOWN = ("info", "k", "k_source", "stage", "failed", "finished", "active", "requests", "preemptions")
"""What no step tells."""

SEEN = ("series", "k_changes", "traffic", "ledger")
"""What only steps that were seen can tell; the text is another such thing."""


class Told:
    """A race of one request a lane, event by event."""

    def __init__(self, requests: int = 1) -> None:
        sampling = ev.Sampling()
        self.events: list[ev.Event] = [ev.RunStarted("target", (AR, MTP), sampling)]
        self.events += [ev.LaneStage(lane, "ready") for lane in ("ar", "mtp")]
        self._clock = dict.fromkeys(("ar", "mtp"), 0)
        self._totals = dict.fromkeys(("ar", "mtp"), ev.NOTHING)
        self._requests = requests
        self.round(0)

    def round(self, number: int) -> None:
        prompts = tuple(ev.Prompt("p") for _ in range(self._requests))
        self.events.append(ev.RoundStarted(number, prompts, ev.Sampling()))
        for lane in ("ar", "mtp"):
            self.events += [ev.RequestStarted(lane, f"{number}.{slot}", slot, 5) for slot in range(self._requests)]
        self._before = {(lane, slot): 0 for lane in ("ar", "mtp") for slot in range(self._requests)}
        self._index = dict.fromkeys(self._before, 0)

    def step(self, lane: str, drafted: int = 0, accepted: int = 0, ms: int = 10) -> None:
        """One engine step; every request does the same in it."""
        self._clock[lane] += ms * MS
        for slot in range(self._requests):
            emitted = (7,) * (accepted + 1)
            totals = self._totals[lane] = self._totals[lane].after(drafted, accepted, len(emitted), 0)
            self.events.append(
                ev.Step(
                    lane, "0", slot, self._index[lane, slot], 3, (7,) * drafted, accepted, emitted, (), "bonus", None,
                    ("x",) * len(emitted), ("x",) * drafted, self._requests, ms * MS, self._clock[lane],
                    totals=totals, before=self._before[lane, slot],
                )
            )  # fmt: skip
            self._index[lane, slot] += 1
            self._before[lane, slot] += len(emitted)


def through_mailbox(events: Sequence[ev.Event], dropped: set[int]) -> Iterator[ev.Event]:
    """The events as a screen gets them when the mailbox is full at the steps of those places."""
    box = Mailbox(capacity=1)
    for place, event in enumerate(events):
        if place not in dropped:
            yield from box.drain()
            box.emit(event)
        else:
            # Something waits already: there is no room for a step.
            box._events.append((0, ev.Paused(False)))
            box.emit(event)
            box._events.pop()
    yield from box.drain()


def some_steps(events: Sequence[ev.Event], share: float, seed: int) -> set[int]:
    """Places of so many of the steps, single ones and whole stretches."""
    rng = random.Random(seed)
    steps = [place for place, event in enumerate(events) if isinstance(event, ev.Step)]
    dropped = set(rng.sample(steps, int(share * len(steps) / 2)))
    for _ in range(3):
        first = rng.randrange(len(steps))
        dropped |= set(steps[first : first + int(share * len(steps) / 6)])
    return dropped


def viewed(events: Sequence[ev.Event]) -> RunView:
    return Viewer(folded(events)).read()


def text_of(lane: LaneView) -> list[object]:
    return [] if lane.stream is None else [lane.stream.log[index] for index in range(lane.stream.length)]


def assert_right_or_partial(whole: RunView, got: RunView, memory: bool = True) -> None:
    assert (got.round, got.round_over, got.prompts) == (whole.round, whole.round_over, whole.prompts)
    for lane, true in zip(got.lanes, whole.lanes, strict=True):
        for name in KNOWN:
            assert getattr(lane, name) == getattr(true, name), name
        if lane.lost is not None:
            for name in COUNTED:
                assert getattr(lane, name) == getattr(true, name) or (name == "speedup" and lane.speedup is None), name
        if lane.lost == 0:
            for name in SEEN:
                assert getattr(lane, name) == getattr(true, name), name
            assert text_of(lane) == text_of(true)
        if lane.equal is not None:
            assert (lane.equal, lane.divergence) == (true.equal, true.divergence)
        if not lane.lost_before:
            assert lane.costs.figures(lane.info.k_max, 3) == true.costs.figures(true.info.k_max, 3)
        if not lane.acceptance.partial:
            assert lane.acceptance == true.acceptance
        if not lane.window.partial:
            assert lane.window == true.window
    used = {(one.owner, one.what): one.used for one in whole.memory.holdings}
    if memory:
        assert all(one.used in (None, used[one.owner, one.what]) for one in got.memory.holdings)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.02, 0.6))
def test_with_steps_dropped_by_the_mailbox_figures_are_right_or_partial(seed: int, share: float) -> None:
    """Also after each round, for the whole run, and in the report without a screen."""
    events = with_memory(made_run(seed, max_tokens=24, rounds=2))
    dropped = some_steps(events, share, seed)
    ends = [place for place, event in enumerate(events) if isinstance(event, ev.RoundFinished)]
    for end in (*ends, len(events) - 1):
        part = events[: end + 1]
        state = folded(through_mailbox(part, dropped))
        whole = folded(part)
        assert state.lost == len({place for place in dropped if place <= end})
        assert_right_or_partial(Viewer(whole).read(), Viewer(state).read())
        for lane, true in zip(state.lanes.values(), whole.lanes.values(), strict=True):
            assert not lane.run.unsure
            assert not lane.waiting
            assert lane.run.lost == sum(events[place].lane == lane.info.name for place in dropped if place <= end)  # type: ignore[union-attr]
            assert lane.run.totals == true.run.totals
            acceptance, expected = lane.acceptance.read(), true.acceptance.read()
            assert (acceptance.length, acceptance.rate) == (expected.length, expected.rate)
            report, right = lane_summary(lane, state.reference), lane_summary(true, whole.reference)
            assert report.steps_lost == lane.run.lost
            seen_only = {"steps_lost": None, "acceptance_by_position": (), "disturbed_share": None}
            assert replace(report, **seen_only) == replace(right, **seen_only)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.02, 0.6), old=st.booleans())
def test_with_steps_missing_that_nobody_counted_figures_are_right_or_partial(
    seed: int, share: float, old: bool
) -> None:
    """As in a damaged trace, where no gap says that something is missing, and in one from before steps had totals."""
    events = made_run(seed, max_tokens=24, rounds=2)
    dropped = some_steps(events, share, seed)
    left = [event for place, event in enumerate(events) if place not in dropped]
    if old:
        left = list(through_mailbox([without_totals(event) for event in events], dropped))
    assert_right_or_partial(viewed(events), viewed(left), memory=False)


def without_totals(event: ev.Event) -> ev.Event:
    """As older traces have it."""
    return replace(event, totals=None, before=None) if isinstance(event, ev.Step) else event


def test_half_of_the_steps_lost_leave_throughput_and_speed_up_as_they_are() -> None:
    """100 steps of 3 tokens in 10 ms are 300 tok/s, also for who saw 50 of them."""
    told = Told()
    for _ in range(100):
        told.step("ar")
        told.step("mtp", 3, 2)
    steps = [place for place, event in enumerate(told.events) if isinstance(event, ev.Step) and event.lane == "mtp"]
    dropped = set(steps[1::2])
    run = viewed(list(through_mailbox(told.events, dropped)))
    mtp = run.lanes[1]
    assert run.lost == mtp.lost == 50
    assert (mtp.steps, mtp.emitted, mtp.tok_s) == (100, 300, pytest.approx(300))
    assert mtp.speedup == pytest.approx(3.0)
    assert mtp.naive_tok_s == pytest.approx(100)
    assert (mtp.acceptance.steps, mtp.acceptance.length, mtp.acceptance.rate) == (100, 3.0, pytest.approx(2 / 3))
    assert mtp.acceptance.seen == 50
    # What is missing between two steps is drawn where it must have been.
    assert [rate for _, rate in mtp.series] == pytest.approx([300] * 4, rel=0.05)


def with_memory(events: list[ev.Event]) -> list[ev.Event]:
    return [events[0], *(replace(DENSE, lane=name) for name in ("ar", "mtp", "dflash")), *events[1:]]


def test_tokens_whose_stretch_alone_is_known_are_spread_over_it() -> None:
    series = RateSeries(bucket_ns=100 * MS)
    series.add(5, 50 * MS)
    series.spread(30, 50 * MS, 350 * MS)
    series.add(0, 400 * MS)
    assert [tokens for _, tokens in series.read()] == pytest.approx([100.0, 100.0, 100.0, 50.0])
    series.spread(4, 400 * MS, 400 * MS)
    series.spread(4, 500 * MS, -7)
    series.add(0, 500 * MS)
    assert series.read()[-1][1] == pytest.approx(40.0)
    few = RateSeries(bucket_ns=MS, limit=4)
    few.spread(100, 0, 100 * MS)
    few.add(0, 128 * MS)
    assert few.read() == ((0.032, 1000.0), (0.096, 562.5)), "100 tokens in buckets of 64 ms"


def test_a_reading_of_which_a_step_is_missing() -> None:
    """Steps of 3 drafts that accept 3, 0, 1 and 2; the last one is lost."""
    whole, lacking = AcceptanceCounter(), AcceptanceCounter()
    for accepted in (3, 0, 1, 2):
        whole.add(3, accepted)
    for accepted in (3, 0, 1):
        lacking.add(3, accepted)
    lacking.miss(ev.NOTHING.after(3, 2, 3, 0))
    true, got = whole.read(), lacking.read()
    assert (got.length, got.rate) == (true.length, true.rate) == (2.5, 0.5)
    assert (true.by_position[0], got.by_position[0], got.conditional[0]) == (3 / 4, 2 / 3, 2 / 3)
    assert (true.partial, got.partial, got.seen, got.steps) == (False, True, 3, 4)


def test_a_window_is_whole_again_when_it_is_full() -> None:
    window = AcceptanceCounter(3)
    window.add(2, 1)
    window.miss(ev.NOTHING.after(2, 2, 3, 0))
    for left in (3, 2, 1):
        assert window.read().partial, left
        assert window.read().steps == min(3, 4 - left)
        window.add(2, 0)
    assert not window.read().partial


def test_totals_add_up_step_by_step() -> None:
    """Drafted 3 and kept 2 with one token cut, no draft, and all cut: 3 steps, 2 with a draft, one silent."""
    totals = ev.NOTHING.after(3, 2, 2, 1).after(0, 0, 1, 0).after(2, 0, 0, 1)
    assert totals == ev.Totals(steps=3, drafts=2, drafted=5, accepted=2, emitted=3, cut=2, silent=1)
    assert totals.minus(ev.NOTHING.after(3, 2, 2, 1)) == ev.NOTHING.after(0, 0, 1, 0).plus(ev.NOTHING.after(2, 0, 0, 1))


def test_a_gap_says_where_the_lanes_stood() -> None:
    told = Told()
    for _ in range(3):
        told.step("ar")
        told.step("mtp", 3, 1)
    steps = [event for event in told.events if isinstance(event, ev.Step)]
    box = Mailbox(capacity=1)
    for event in (*steps, ev.RoundFinished(0)):
        box.emit(event)
    first, gap, _ = box.drain()
    assert first == steps[0]
    assert gap == ev.Gap(
        5,
        reached=(ev.Reached("mtp", 30 * MS, steps[5].totals), ev.Reached("ar", 30 * MS, steps[4].totals)),  # type: ignore[arg-type]
    )
    clock = LaneClock()
    assert [clock.see(event) for event in (*told.events[:4], first, gap)][-2:] == [10 * MS, 30 * MS]  # type: ignore[list-item]


def test_the_end_of_a_round_that_nobody_counted_is_no_part_of_the_next() -> None:
    told = Told()
    for _ in range(4):
        told.step("mtp", 3, 2)
    kept = len(told.events) - 2
    told.round(1)
    told.step("mtp", 3, 0, ms=20)
    events = told.events[:kept] + told.events[kept + 2 :]
    mtp = viewed(events).lanes[1]
    assert (mtp.lost, mtp.round_s, mtp.tok_s) == (None, pytest.approx(0.02), pytest.approx(50))
    state = folded(events)
    assert lane_summary(state.lanes["mtp"], None).tokens == 13


def test_totals_that_contradict_what_came_before_are_not_followed() -> None:
    told = Told()
    told.step("mtp", 3, 2)
    told.step("mtp", 3, 2)
    for wrong in (ev.NOTHING, ev.Totals(steps=9, emitted=3, drafts=2, drafted=6, accepted=1)):
        events = [*told.events[:-1], replace(told.events[-1], totals=wrong)]  # type: ignore[type-var]
        mtp = viewed(events).lanes[1]
        assert (mtp.steps, mtp.emitted, mtp.lost) == (2, 6, 0)


def test_a_loss_in_one_lane_leaves_the_others_whole() -> None:
    told = Told()
    for _ in range(6):
        told.step("ar")
        told.step("mtp", 0, 0)
    steps = [place for place, event in enumerate(told.events) if isinstance(event, ev.Step)]
    lost_mtp = viewed(list(through_mailbox(told.events, {steps[5]})))
    assert [(lane.lost, lane.equal) for lane in lost_mtp.lanes] == [(0, None), (1, None)]
    lost_ar = viewed(list(through_mailbox(told.events, {steps[4]})))
    assert [(lane.lost, lane.equal) for lane in lost_ar.lanes] == [(1, None), (0, None)], "AR's text is not whole"


def test_steps_are_found_by_their_index_where_some_are_missing() -> None:
    told = Told()
    for _ in range(8):
        told.step("mtp", 3, 1)
    steps = [place for place, event in enumerate(told.events) if isinstance(event, ev.Step)]
    history = viewed(list(through_mailbox(told.events, {steps[2], steps[3], steps[6]}))).lanes[1].history
    assert history is not None
    found = [past.step.index if (past := history.at(index)) else None for index in range(-1, 9)]
    assert found == [None, 0, 1, None, None, 4, 5, None, 7, None]
    assert [history.beside(1, 1), history.beside(4, -1), history.beside(0, -1), history.beside(7, 1)] == [
        4,
        1,
        None,
        None,
    ]
    past = history.at(7)
    assert past is not None
    assert past.before == 14, "the target is asked about the place where the step was"


def partial_lane(requests: int = 1) -> LaneView:
    told = Told()
    for _ in range(60):
        told.step("ar")
        told.step("mtp", 3, 2)
    steps = [place for place, event in enumerate(told.events) if isinstance(event, ev.Step)]
    return viewed(list(through_mailbox(told.events, set(steps[41:80:2])))).lanes[1]


def test_what_is_partial_says_so_at_every_width() -> None:
    lane = partial_lane()
    assert texts(pane_head_rows(lane, PaneState(2), 36, 4))[2] == "20 steps missing in text and charts"
    assert texts(pane_head_rows(lane, PaneState(2), 70, 4))[2] == (
        "length 3.00  rate .67  partial     20 steps missing in text and charts"
    )
    for width in range(26, 80):
        for windowed, long in ((True, "window 40, partial"), (False, "40 of 60, partial")):
            for rows in (
                acceptance_rows(lane, width, 8, 2, windowed),
                histogram_rows(lane, width, 8, 2, windowed),
            ):
                heading = texts(rows)[0]
                assert heading.endswith("partial")
                assert len(heading) <= width
                assert width < 60 or heading.endswith(long)
        assert texts(throughput_rows([lane], width, 8))[0].endswith("partial")
    assert "partial: steps were lost" in texts(cost_rows([lane], 60))
    assert texts(ledger_rows(lane, 60, 30))[0].startswith("#60 ")
    assert len(texts(ledger_rows(lane, 60, 30))) == 30


def test_the_report_says_what_is_partial() -> None:
    told = Told()
    for _ in range(6):
        told.step("ar")
        told.step("mtp", 3, 2)
    steps = [place for place, event in enumerate(told.events) if isinstance(event, ev.Step)]
    state = folded(through_mailbox(told.events, {steps[3], steps[5]}))
    assert table(summary_of(state))[-2:] == [
        "",
        "mtp          2 steps not seen: counted everywhere except in acceptance by position and disturbed time",
    ]
    assert table(summary_of(folded(told.events)))[-1].startswith("mtp ")
    left = [without_totals(event) for event in told.events]
    left.insert(steps[4], ev.Gap(3))
    assert table(summary_of(folded(left)))[-2:] == [
        "ar           partial: an unknown number of steps is missing",
        "mtp          partial: an unknown number of steps is missing",
    ]
