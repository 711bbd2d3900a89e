"""The reducer and the views: worked tables, and what must hold for any run."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectui.core.reducer import reduce
from spectui.core.state import LEDGER_STEPS, RunState
from spectui.core.tokens import Role
from spectui.core.views import LaneView, RunView, Viewer
from spectui.protocol import events as ev
from spectui.protocol.mailbox import Mailbox
from spectui.sources.synthetic.race import SyntheticLane, SyntheticRace, demo_lanes
from spectui.sources.synthetic.text import PASSAGES

MS = 1_000_000
AR = ev.LaneInfo("ar", "ar", "AR", 0, "ar")
MTP = ev.LaneInfo("mtp", "mtp", "MTP", 3, "mtp:k=3")


def folded(events: list[ev.Event]) -> RunState:
    state = RunState()
    for event in events:
        reduce(state, event)
    return state


def view(events: list[ev.Event]) -> RunView:
    return Viewer(folded(events)).read()


def header(sampling: ev.Sampling | None = None) -> list[ev.Event]:
    sampling = sampling or ev.Sampling()
    return [
        ev.RunStarted("target", (AR, MTP), sampling, machine="m"),
        ev.LaneStage("ar", "ready"),
        ev.LaneStage("mtp", "ready"),
        ev.RoundStarted(0, (ev.Prompt("p"),), sampling),
        ev.RequestStarted("ar", "0", 0, 5),
        ev.RequestStarted("mtp", "0", 0, 5),
    ]


def step(
    lane: str, clock_ms: int, drafted: str, accepted: int, emitted: str, cut: str = "", **other: object
) -> ev.Step:
    """A step in letters: each letter is one token with its code point as id."""
    wall = other.pop("wall_ms", 10)
    assert isinstance(wall, int)
    complete = accepted == len(drafted)
    fields: dict[str, object] = {
        "own": None if cut else "bonus" if complete else "recovered",
        "cut_reason": "length" if cut else None,
        **other,
    }
    return ev.Step(
        lane=lane,
        request="0",
        slot=0,
        index=0,
        k=3,
        drafted=tuple(map(ord, drafted)),
        accepted=accepted,
        emitted=tuple(map(ord, emitted)),
        cut=tuple(map(ord, cut)),
        text=tuple(emitted + cut),
        drafted_text=tuple(drafted),
        batch=1,
        wall_ns=wall * MS,
        clock_ns=clock_ms * MS,
        **fields,  # type: ignore[arg-type]
    )


def lane(run: RunView, name: str) -> LaneView:
    return next(one for one in run.lanes if one.info.name == name)


def tokens(shown: LaneView) -> list[tuple[str, Role]]:
    assert shown.stream is not None
    return [shown.stream.log[index] for index in range(shown.stream.length)]


P, A, X, R, B, C = Role.PLAIN, Role.ACCEPTED, Role.REJECTED, Role.RECOVERED, Role.BONUS, Role.CUT


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        pytest.param(step("mtp", 10, "", 0, "a"), [("a", P)], id="no draft"),
        pytest.param(step("mtp", 10, "ab", 2, "abc"), [("a", A), ("b", A), ("c", B)], id="all accepted"),
        pytest.param(step("mtp", 10, "axy", 1, "ab"), [("a", A), ("x", X), ("y", X), ("b", R)], id="cut short"),
        pytest.param(step("mtp", 10, "xy", 0, "a"), [("x", X), ("y", X), ("a", R)], id="none accepted"),
        pytest.param(step("mtp", 10, "abc", 3, "ab", "cd"), [("a", A), ("b", A), ("c", C), ("d", C)], id="end inside"),
        pytest.param(step("mtp", 10, "ab", 2, "ab", "c"), [("a", A), ("b", A), ("c", C)], id="end before the bonus"),
    ],
)
def test_each_token_of_a_step_gets_its_role(made: ev.Step, expected: list[tuple[str, Role]]) -> None:
    assert tokens(lane(view([*header(), made]), "mtp")) == expected


def test_throughput_and_speedup_come_from_lane_clocks() -> None:
    run = view([*header(), step("ar", 20, "", 0, "a"), step("ar", 40, "", 0, "b"), step("mtp", 25, "bc", 2, "abc")])
    assert lane(run, "ar").tok_s == pytest.approx(50.0)
    assert lane(run, "mtp").tok_s == pytest.approx(120.0)
    assert lane(run, "mtp").speedup == pytest.approx(2.4)
    assert lane(run, "ar").speedup == pytest.approx(1.0)
    assert run.lane_time_s == pytest.approx(0.040)


def test_before_any_step_figures_are_unknown_and_not_zero() -> None:
    shown = lane(view(header()), "mtp")
    assert shown.tok_s is shown.speedup is shown.naive_tok_s is None
    assert shown.acceptance.length is shown.acceptance.rate is None
    assert shown.divergence is None
    assert shown.equal is None


def test_without_ar_there_is_no_speedup() -> None:
    events = [ev.RunStarted("t", (MTP,), ev.Sampling()), *header()[3:4], header()[5], step("mtp", 10, "", 0, "a")]
    assert lane(view(events), "mtp").speedup is None


def test_a_stream_chunk_meter_is_shown_for_what_it_is() -> None:
    shown = lane(view([*header(), step("mtp", 100, "abc", 3, "abcd")]), "mtp")
    assert shown.naive_tok_s == pytest.approx(10.0)
    assert shown.tok_s == pytest.approx(40.0)


def test_cut_tokens_are_in_no_throughput_but_in_the_engine_s_acceptance() -> None:
    shown = lane(view([*header(), step("mtp", 10, "abc", 3, "ab", "cd")]), "mtp")
    assert (shown.emitted, shown.cut, shown.acceptance.accepted) == (2, 2, 3)


def test_a_batch_shares_one_wall_time() -> None:
    first = step("mtp", 10, "", 0, "a")
    run = view([*header(), first, first])
    assert lane(run, "mtp").tok_s == pytest.approx(200.0)


def test_divergence_is_found_whichever_lane_is_ahead() -> None:
    ar = [step("ar", 10 * (n + 1), "", 0, letter) for n, letter in enumerate("abcd")]
    mtp = step("mtp", 30, "ab", 2, "abX")
    for events in ([*ar, mtp], [mtp, *ar], [ar[0], mtp, *ar[1:]]):
        shown = lane(view([*header(), *events]), "mtp")
        assert shown.divergence is not None
        assert shown.divergence.position == 2
        assert shown.equal == 2
        assert shown.divergence.near_tie is None
    margin = ev.Margin("mtp", 0, 2, 0.125)
    judged = lane(view([*header(), *ar, mtp, margin]), "mtp").divergence
    assert judged is not None
    assert judged.near_tie is True


def ended(lane: str, reason: ev.FinishReason, count: int) -> ev.RequestFinished:
    return ev.RequestFinished(lane, "0", 0, reason, count)


FIVE = [step("ar", 10 * (n + 1), "", 0, letter) for n, letter in enumerate("abcde")]
THREE = step("mtp", 30, "ab", 2, "abc")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([*FIVE, THREE], None, id="on its way"),
        pytest.param([*FIVE, THREE, ended("mtp", "eos", 3)], (3, "early"), id="early"),
        pytest.param([THREE, ended("mtp", "stop", 3), *FIVE], (3, "early"), id="early, AR behind"),
        pytest.param([THREE, ended("mtp", "length", 3), *FIVE[:2]], None, id="early, as far as AR is"),
        pytest.param([*FIVE[:2], ended("ar", "eos", 2), THREE], (2, "late"), id="late"),
        pytest.param([*FIVE[:2], THREE, ended("ar", "stop", 2)], (2, "late"), id="late, AR behind"),
        pytest.param([*FIVE[:3], ended("ar", "length", 3), THREE, ended("mtp", "length", 3)], None, id="equally long"),
        pytest.param([*FIVE[:3], ended("ar", "eos", 3), THREE], None, id="the end of AR, whose reason may be its too"),
        pytest.param([*FIVE, THREE, ended("mtp", "abort", 3)], None, id="aborted"),
        pytest.param([*FIVE, THREE, ended("mtp", "error", 3), ended("ar", "length", 5)], None, id="failed"),
        pytest.param([*FIVE[:2], ended("ar", "abort", 2), THREE], None, id="AR aborted"),
        pytest.param([*FIVE, ended("mtp", "stop", 0)], (0, "early"), id="nothing at all"),
        pytest.param([*FIVE, step("mtp", 30, "a", 1, "aX"), ended("mtp", "eos", 2)], (1, "token"), id="other text"),
    ],
)
def test_the_same_text_with_another_end_is_a_divergence(
    events: list[ev.Event], expected: tuple[int, str] | None
) -> None:
    state = folded([*header(), *events])
    found = lane(Viewer(state).read(), "mtp").divergence
    assert (found and (found.position, found.how)) == expected
    assert state.divergences == (expected is not None)
    assert found is None or found.near_tie is (None if found.how == "token" else False)
    again = folded([*header(ev.Sampling(temperature=1.0)), *events])
    assert lane(Viewer(again).read(), "mtp").divergence is None


def test_random_sampling_is_not_held_against_ar() -> None:
    events = [*header(ev.Sampling(temperature=0.8)), step("ar", 10, "", 0, "a"), step("mtp", 10, "", 0, "b")]
    assert lane(view(events), "mtp").divergence is None
    assert lane(view(events), "mtp").equal is None


def test_a_diffusion_model_is_not_held_against_ar() -> None:
    other = ev.LaneInfo("mtp", "diffusion", "diffusion", 0, "diffusion")
    run = ev.RunStarted("target", (AR, other), ev.Sampling(), machine="m")
    events = [*header(), step("ar", 10, "", 0, "a"), step("mtp", 10, "", 0, "", own=None, canvas=4)]
    events[0] = run
    shown = lane(view([*events, step("mtp", 20, "", 0, "wxyz", canvas=4)]), "mtp")
    assert (shown.divergence, shown.equal) == (None, None)
    assert shown.tok_s == pytest.approx(4 / 0.020)
    assert [text for text, _ in tokens(shown)] == [*"wxyz"]
    assert [(row.committed, row.canvas) for row in shown.ledger] == [(0, 4), (4, 4)]


def test_a_new_round_starts_from_nothing_but_keeps_the_lane_s_acceptance() -> None:
    events = [*header(), step("mtp", 50, "ab", 1, "aX"), ev.RoundFinished(0)]
    assert view(events).round_over
    events += [ev.RoundStarted(1, (ev.Prompt("q"),), ev.Sampling()), ev.RequestStarted("mtp", "1", 0, 3)]
    run = view(events)
    shown = lane(run, "mtp")
    assert not run.round_over
    assert (shown.steps, shown.emitted, shown.tok_s, shown.round_s) == (0, 0, None, 0.0)
    assert shown.stream is not None
    assert shown.stream.length == 0
    assert shown.acceptance.steps == 1
    shown = lane(view([*events, step("mtp", 60, "", 0, "a")]), "mtp")
    assert shown.tok_s == pytest.approx(100.0)


def test_the_end_of_an_older_round_does_not_end_this_one() -> None:
    assert not view([*header(), ev.RoundStarted(1, (), ev.Sampling()), ev.RoundFinished(0)]).round_over


def test_events_about_unknown_lanes_are_ignored() -> None:
    stray: list[ev.Event] = [
        step("nobody", 10, "", 0, "a"),
        ev.LaneStage("nobody", "ready"),
        ev.RequestStarted("nobody", "0", 0, 1),
        ev.RequestFinished("nobody", "0", 0, "eos", 1),
        ev.RequestFinished("mtp", "0", 7, "eos", 1),
        ev.Preempted("nobody", "0"),
        ev.Margin("nobody", 0, 0, 0.0),
        ev.KChanged("nobody", 1),
    ]
    assert [one.emitted for one in view([*header(), *stray]).lanes] == [0, 0]
    assert folded(stray).lanes == {}


def test_what_concerns_the_run() -> None:
    run = view([*header(), ev.Paused(True), ev.KChanged("mtp", 1), ev.Preempted("mtp", "0"), ev.Gap(3), ev.Gap(4)])
    assert (run.paused, run.lost, lane(run, "mtp").k, lane(run, "mtp").preemptions) == (True, 7, 1, 1)


def test_a_lane_begins_with_its_first_k() -> None:
    state = RunState()
    lanes = (MTP, replace(MTP, name="mtp-2", k_start=1))
    reduce(state, ev.RunStarted("x", lanes, ev.Sampling()))
    assert [lane.k for lane in state.lanes.values()] == [3, 1]


def test_where_k_comes_from_follows_k() -> None:
    """Also in a trace from before a change of K said who made it, where the search's end does."""
    header = ev.RunStarted("x", (AR, replace(MTP, k_source="default"), replace(MTP, name="old")), ev.Sampling())
    events: list[ev.Event] = [header]

    def sources() -> list[str | None]:
        return [lane.k_source for lane in view(events).lanes]

    def ended(lane: str, turns: int) -> ev.TuneEnded:
        return ev.TuneEnded(lane, "cancelled", ev.TuneTurn(lane, 1, turns, (0, 1), 1, (), 0, 60))

    assert sources() == [None, "default", None]
    events += [ev.KChanged("mtp", 1), ev.KChanged("old", 1), ended("old", 2)]
    assert sources() == [None, "yours", "tuned"]
    events += [ev.KChanged("mtp", 1, "tuned"), ev.KChanged("old", 2)]
    assert sources() == [None, "tuned", "yours"]
    events += [ended("old", 0), ended("nobody", 2)]
    assert sources() == [None, "tuned", "yours"], "a search that measured nothing has found no K"


def test_a_search_that_ends_is_news_of_its_lane() -> None:
    state = folded([*header(), ev.KChanged("mtp", 1)])
    viewer = Viewer(state)
    assert lane(viewer.read(), "mtp").k_source == "yours"
    reduce(state, ev.TuneEnded("mtp", "same", ev.TuneTurn("mtp", 1, 3, (1,), 1, (), 0, 60)))
    assert lane(viewer.read(), "mtp").k_source == "tuned"


def test_only_an_error_of_the_whole_run_is_a_fault() -> None:
    said = [ev.Notice("fyi"), ev.Notice("lane trouble", "mtp", "error")]
    run = view([*header(), *said])
    assert (run.fault, run.notice, run.notices) == (None, "lane trouble", 2)
    assert view([*header(), ev.Notice("dead", level="error")]).fault == "dead"


def test_a_failed_lane_says_why_until_it_is_ready_again() -> None:
    events = [*header(), ev.LaneStage("mtp", "failed", "no memory")]
    assert lane(view(events), "mtp").failed == "no memory"
    assert lane(view([*events, ev.LaneStage("mtp", "ready")]), "mtp").failed is None


def test_the_ledger_is_bounded_and_numbers_its_steps() -> None:
    steps = [step("mtp", n + 1, "ab", 1, "ax", wall_ms=7, draft_ns=2 * MS) for n in range(LEDGER_STEPS + 10)]
    ledger = lane(view([*header(), *steps]), "mtp").ledger
    assert len(ledger) == LEDGER_STEPS
    assert ledger[-1].number == LEDGER_STEPS + 9
    assert (ledger[-1].wall_ms, ledger[-1].draft_ms, ledger[-1].verify_ms) == (7.0, 2.0, None)


def test_a_view_is_the_same_object_while_nothing_moves() -> None:
    state = folded([*header(), step("mtp", 10, "", 0, "a")])
    viewer = Viewer(state)
    first = viewer.read()
    assert viewer.read() is first
    reduce(state, step("mtp", 20, "", 0, "b"))
    second = viewer.read()
    assert second is not first
    assert lane(second, "ar") is lane(first, "ar")
    assert lane(second, "mtp") is not lane(first, "mtp")


def test_another_slot_shows_another_request() -> None:
    state = folded([*header(), ev.RequestStarted("mtp", "1", 1, 4), step("mtp", 10, "", 0, "a")])
    viewer = Viewer(state)
    assert len(tokens(lane(viewer.read(), "mtp"))) == 1
    viewer.slot = 1
    assert tokens(lane(viewer.read(), "mtp")) == []
    viewer.slot = 5
    assert lane(viewer.read(), "mtp").stream is None


runs = st.builds(
    lambda seed, slots, rates, proposes, tokens: made_run(seed, slots, tuple(rates), proposes, tokens),
    seed=st.integers(0, 1000),
    slots=st.integers(1, 3),
    rates=st.lists(st.floats(0, 1), min_size=1, max_size=5),
    proposes=st.floats(0, 1),
    tokens=st.integers(1, 60),
)


def made_run(seed: int, slots: int, rates: tuple[float, ...], proposes: float, max_tokens: int) -> list[ev.Event]:
    """Every event of a synthetic race of AR and one drafting lane."""
    drafting = SyntheticLane(ev.LaneInfo("mtp", "mtp", "MTP", len(rates), ""), accept=rates, proposes=proposes)
    race = SyntheticRace((demo_lanes()[0], drafting), seed)
    events: list[ev.Event] = [ev.RunStarted("t", (AR, drafting.info), ev.Sampling())]
    for name in ("ar", "mtp"):
        race.ready(name)
        events.append(ev.LaneStage(name, "ready"))
    prompts = tuple(ev.Prompt(passage.prompt) for passage in PASSAGES[:slots])
    events += race.begin(prompts, ev.Sampling(max_tokens=max_tokens))
    while (turn := race.furthest_behind()) is not None:
        events += race.step(turn)
    return events


@settings(max_examples=40, deadline=None)
@given(events=runs)
def test_views_count_what_the_events_say(events: list[ev.Event]) -> None:
    run = view(events)
    for shown in run.lanes:
        steps = [event for event in events if isinstance(event, ev.Step) and event.lane == shown.info.name]
        drafted = [event for event in steps if event.drafted]
        assert shown.emitted == sum(len(event.emitted) for event in steps)
        assert shown.cut == sum(len(event.cut) for event in steps)
        assert shown.steps == len(steps)
        assert shown.acceptance.steps == len(drafted)
        assert shown.acceptance.drafted == sum(len(event.drafted) for event in drafted)
        assert shown.acceptance.accepted == sum(event.accepted for event in drafted)
        assert sum(shown.acceptance.histogram) == len(drafted)
        assert shown.active == 0
        assert shown.divergence is None
        for position, share in enumerate(shown.acceptance.by_position, start=1):
            long = [event for event in drafted if len(event.drafted) >= position]
            expected = sum(event.accepted >= position for event in long) / len(long) if long else None
            assert share == expected
    assert run.round_over


@settings(max_examples=30, deadline=None)
@given(events=runs, data=st.data())
def test_the_same_events_give_the_same_view_however_they_are_portioned(
    events: list[ev.Event], data: st.DataObject
) -> None:
    """Drained one at a time, all at once, or in any portions with a view read in between."""
    state, box = RunState(), Mailbox()
    viewer = Viewer(state)
    waiting = iter(events)
    while portion := list(islice(waiting, data.draw(st.integers(1, 40)))):
        for event in portion:
            box.emit(event)
        while drained := box.drain(data.draw(st.integers(1, 16))):
            for event in drained:
                reduce(state, event)
            viewer.read()
    assert comparable(viewer.read()) == comparable(view(events))


def comparable(run: RunView) -> object:
    """Everything that a screen could show of a view, with what they hold in place of logs and histories."""
    lanes = []
    for lane in run.lanes:
        shown = {name: getattr(lane, name) for name in LaneView.__slots__}
        shown["costs"] = lane.costs.figures(lane.info.k_max, 1)
        if lane.stream is not None:
            shown["stream"] = [lane.stream.log[i] for i in range(lane.stream.length)]
        if lane.history is not None:
            shown["history"] = [lane.history.at(i) for i in range(lane.history.first, lane.history.last + 1)]
        lanes.append(shown)
    return lanes, run.round, run.round_over, run.paused, run.lost, run.lane_time_s


@settings(max_examples=30, deadline=None)
@given(events=runs)
def test_the_text_of_every_lane_is_its_output(events: list[ev.Event]) -> None:
    run = view(events)
    for shown in run.lanes:
        emitted = [
            "".join(event.text[: len(event.emitted)])
            for event in events
            if isinstance(event, ev.Step) and event.lane == shown.info.name and event.slot == 0
        ]
        assert shown.stream is not None
        assert shown.stream.log.output() == "".join(emitted)
