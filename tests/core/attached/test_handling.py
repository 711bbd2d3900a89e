"""What attached servers say becomes figures: counts against brute force, and bounds that hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.core.acceptance import AcceptanceCounter
from spectui.core.attached.state import MOST_ANSWERS, MOST_CHARACTERS, MOST_ENDED, MOST_REQUESTS
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.summary import lane_summary, run_figures
from spectui.core.tokens import Role
from spectui.core.views import Viewer
from spectui.protocol import events as ev
from tests.support.attached_run import E1, E2, E4, attached_run, counters_run, seen, started
from tests.trace.making import folded

LANE = "e1"
MS = 1_000_000

STEPS = st.lists(
    st.tuples(
        st.integers(0, 4),  # drafted
        st.integers(0, 4),  # accepted, at most drafted
        st.booleans(),  # whether the last token is cut
        st.sampled_from(("step", "counted", "ids", "lost")),
        st.integers(0, 2),  # request
    ),
    max_size=40,
)


def begun(*infos: ev.LaneInfo) -> list[ev.TraceEvent]:
    """A run whose servers answer."""
    return [*started(infos), *(event for info in infos for event in seen(info))]


def counted(slot: int = 0, index: int = 0, clock_ns: int = 10 * MS, **other: object) -> ev.CountedStep:
    """A step of which only the numbers are known."""
    step = ev.CountedStep(LANE, str(slot), slot, index, 3, 3, 1, 2, 0, "recovered", None, 1, 10 * MS, clock_ns)
    return replace(step, **other)  # type: ignore[arg-type]


@given(STEPS, st.booleans())
def test_figures_of_any_mixture_of_steps_are_those_of_brute_force(
    told: list[tuple[int, int, bool, str, int]], ends_with_gap: bool
) -> None:
    events = [*begun(E1), *(ev.RequestStarted(LANE, str(slot), slot, 5) for slot in range(3))]
    totals, lost, missed, pairs = ev.NOTHING, 0, 0, Counter[tuple[int, int]]()
    before: Counter[int] = Counter()
    index: Counter[int] = Counter()
    for number, (drafted, most, cut, how, slot) in enumerate(told, 1):
        accepted = min(drafted, most)
        emitted = accepted + 1 - cut
        totals = totals.after(drafted, accepted, emitted, int(cut))
        ids = tuple(range(accepted + 1))
        step = counted(
            slot,
            index[slot],
            number * 10 * MS,
            drafted=drafted,
            accepted=accepted,
            emitted=emitted,
            cut=int(cut),
            totals=totals,
            before=before[slot],
            ids=ids if how == "ids" else (),
            text=tuple("abcde"[: len(ids)]) if how == "ids" else (),
        )
        before[slot] += emitted
        index[slot] += 1
        if how == "lost":
            missed += 1
            continue
        events.append(_seen(step) if how == "step" else step)
        lost, missed = lost + missed, 0
        pairs[drafted, accepted] += drafted > 0
    if ends_with_gap and missed:
        events.append(ev.Gap(missed, reached=(ev.Reached(LANE, len(told) * 10 * MS, totals),)))
        lost, missed = lost + missed, 0
    known = totals if not missed else _without(told, missed)
    lane = folded(events).lanes[LANE]
    assert lane.run.totals == lane.round.totals == known
    assert (lane.run.lost, lane.waiting, lane.run.unsure) == (lost, False, False)
    acceptance, expected = lane.acceptance.read(), AcceptanceCounter()
    for (drafted, accepted), steps in pairs.items():
        expected.add_many(drafted, accepted, steps)
    assert acceptance.histogram == expected.read().histogram
    assert (acceptance.drafted, acceptance.accepted) == (known.drafted, known.accepted)
    kept = {slot: request.emitted for slot, request in lane.round.requests.items()}
    if not lost and not missed:
        assert kept == {slot: before[slot] for slot in range(3)}
        assert lane.round.contexts == [5 + before[slot] for slot in range(3)]


def _without(told: list[tuple[int, int, bool, str, int]], last: int) -> ev.Totals:
    totals = ev.NOTHING
    for drafted, most, cut, *_ in told[: len(told) - last]:
        accepted = min(drafted, most)
        totals = totals.after(drafted, accepted, accepted + 1 - cut, int(cut))
    return totals


def _seen(step: ev.CountedStep) -> ev.Step:
    """The same step with ids."""
    ids = tuple(range(step.emitted + step.cut))
    drafted = (*ids[: step.accepted], *(90 + at for at in range(step.drafted - step.accepted)))
    return ev.Step(
        step.lane,
        step.request,
        step.slot,
        step.index,
        step.k,
        drafted,
        step.accepted,
        ids[: step.emitted],
        ids[step.emitted :],
        step.own,
        step.cut_reason,
        tuple("abcde"[at] for at in ids),
        tuple("x" for _ in drafted),
        step.batch,
        step.wall_ns,
        step.clock_ns,
        step.draft_ns,
        step.verify_ns,
        totals=step.totals,
        before=step.before,
    )


def test_a_counted_step_gives_the_same_figures_as_the_step_itself() -> None:
    steps = [event for event in attached_run() if isinstance(event, ev.CountedStep)]
    lane = folded([*started((E2,)), *seen(E2), *steps]).lanes["e2"]
    shown = folded([*started((E2,)), *seen(E2), *map(_seen, steps)]).lanes["e2"]
    assert lane_summary(lane, None) == lane_summary(shown, None)
    assert lane.costs.figures(3, 5) == shown.costs.figures(3, 5)
    assert lane.round.series.read() == shown.round.series.read()
    assert [replace(row, tokens=()) for row in lane.ledger] == [replace(row, tokens=()) for row in shown.ledger]
    assert any(row.tokens for row in shown.ledger)


def test_the_text_of_a_counted_step_joins_the_stream_where_it_is_known() -> None:
    step = counted(emitted=2, cut=1, accepted=2, own=None, ids=(1, 2, 3), text=("a", "b", "c"))
    plain = counted(index=1, clock_ns=20 * MS, emitted=2, accepted=1, ids=(4, 5), text=("d", "e"))
    state = folded([*begun(E1), ev.RequestStarted(LANE, "0", 0, 5), step, plain, counted(index=2)])
    log = state.lanes[LANE].round.requests[0].log
    shown = [("a", Role.ACCEPTED), ("b", Role.ACCEPTED), ("c", Role.CUT), ("d", Role.ACCEPTED), ("e", Role.RECOVERED)]
    assert [log[at] for at in range(len(log))] == shown
    request = state.lanes[LANE].round.requests[0]
    assert list(request.ids) == [1, 2, 4, 5]
    assert len(request.history) == 0


def test_requests_that_ended_long_ago_leave_and_their_sums_stay() -> None:
    state = RunState()
    for event in begun(E1):
        reduce(state, event)
    lane = state.lanes[LANE]
    for slot in range(400):
        reduce(state, ev.RequestStarted(LANE, str(slot), slot, 7))
        reduce(state, counted(slot, clock_ns=(slot + 1) * 10 * MS, before=0))
        if slot != 3:
            reduce(state, ev.RequestFinished(LANE, str(slot), slot, "eos", 2))
        assert len(lane.round.requests) <= MOST_ENDED + 2
    assert 3 in lane.round.requests
    assert 399 in lane.round.requests
    assert 300 not in lane.round.requests
    assert (lane.run.totals.emitted, lane.run.totals.steps, lane.run.lost) == (800, 400, 0)
    assert lane.round.contexts == [9]
    assert not lane.waiting


def test_requests_that_never_end_are_bounded_too() -> None:
    state = folded(begun(E1))
    for slot in range(MOST_REQUESTS + 100):
        reduce(state, ev.RequestStarted(LANE, str(slot), slot, 7))
    assert len(state.lanes[LANE].round.requests) == MOST_REQUESTS
    assert MOST_REQUESTS + 99 in state.lanes[LANE].round.requests


def test_a_request_that_was_in_flight_before_is_no_lost_step() -> None:
    """Its tokens from before the program attached are its own, but none of the lane's."""
    state = folded([*begun(E1), ev.RequestStarted(LANE, "0", 0, 5), counted(index=40, before=90)])
    reduce(state, ev.RequestFinished(LANE, "0", 0, "eos", 92))
    lane = state.lanes[LANE]
    assert lane.round.requests[0].emitted == 92
    assert lane.run.totals.emitted == 2
    assert run_figures(lane, None).lost == 0


def test_servers_are_no_reference_for_each_other() -> None:
    plain = replace(E1, method="ar", k_max=0)
    step = counted(drafted=0, accepted=0, emitted=1, own="bonus", k=0)
    state = folded([*begun(plain, E2), step, replace(step, lane="e2")])
    assert state.reference is None
    assert [lane.speedup for lane in Viewer(state).read().lanes] == [None, None]
    assert lane_summary(state.lanes["e2"], state.reference).speedup is None


def test_another_server_at_an_endpoint_begins_anew() -> None:
    steps = [counted(index=at, clock_ns=(at + 1) * 10 * MS) for at in range(20)]
    again = seen(E1, "b")
    same = folded([*begun(E1), *steps, *again]).lanes[LANE]
    assert same.acceptance.read().steps == 20
    other = replace(E1, method="ngram", k_max=5)
    lane = folded([*begun(E1), *steps, *seen(other, "b")]).lanes[LANE]
    assert (lane.info, lane.k, lane.acceptance.read().steps, lane.window.read().steps) == (other, 5, 0, 0)
    assert not lane.ledger
    assert (lane.run.totals.emitted, lane.run.totals.steps) == (40, 20)


def test_what_a_server_allows_is_its_k_until_it_is_changed() -> None:
    info = replace(E1, k_start=1, k_source="yours")
    state = folded([*started((E1,)), *seen(info)])
    assert (state.lanes[LANE].k, state.lanes[LANE].k_source) == (1, "yours")
    reduce(state, ev.KChanged(LANE, 2))
    for event in seen(info, drafts=False):
        reduce(state, event)
    assert state.lanes[LANE].k == 2
    for event in seen(info, "b"):
        reduce(state, event)
    assert state.lanes[LANE].k == 1


def test_answers_are_bounded() -> None:
    state = folded(begun(E1))
    for number in range(50):
        reduce(state, ev.Asked(LANE, number, "?"))
    assert state.servers is not None
    assert list(state.servers.answers) == list(range(50 - MOST_ANSWERS, 50))
    for _ in range(3):
        reduce(state, ev.Answered(LANE, 49, "x" * MOST_CHARACTERS))
    reduce(state, ev.Answered(LANE, 49, ended=True, tokens=3))
    reduce(state, ev.Answered(LANE, 7, "nobody asked"))
    view = Viewer(state).read().attached
    assert view is not None
    assert (len(view.answers[-1].text), view.answers[-1].ended, view.answers[-1].tokens) == (MOST_CHARACTERS, True, 3)


@pytest.mark.parametrize("events", [attached_run(), counters_run()], ids=["servers", "counters"])
def test_the_events_of_an_unknown_lane_or_of_another_run_change_nothing(events: tuple[ev.TraceEvent, ...]) -> None:
    bare = folded(ev.RunStarted("target", (), ev.Sampling()) if isinstance(e, ev.RunStarted) else e for e in events)
    assert not bare.lanes
    assert Viewer(bare).read().attached is None
    race = ev.RunStarted("target", (E1, E2, E4), ev.Sampling())
    state = folded(race if isinstance(event, ev.RunStarted) else event for event in events)
    assert Viewer(state).read().attached is None
