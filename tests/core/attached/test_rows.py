"""The rows of attached servers: endpoints, their sum, requests."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.core.attached.meters import COUNTERS_NS, CounterMeter, StepTimes, WallRate
from spectui.core.attached.rows import ENDED_ROWS
from spectui.core.attached.views import AttachedView, EndpointRow
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.summary import lane_summary
from spectui.core.views import Viewer
from spectui.protocol import events as ev
from tests.core.attached.test_handling import MS, begun, counted
from tests.support.attached_run import E1, E2, E3, E4, GONE, attached_run, counters_run, seen, started
from tests.trace.making import folded

SECOND = 1_000_000_000


def view_of(state: RunState) -> AttachedView:
    found = Viewer(state).read().attached
    assert found is not None
    return found


def row_of(state: RunState, place: int = 0) -> EndpointRow:
    return view_of(state).endpoints[place]


def sample(at_s: float, **counters: object) -> ev.CounterSample:
    return ev.CounterSample("e4", round(at_s * SECOND), **counters)  # type: ignore[arg-type]


def counting(*samples: ev.CounterSample) -> EndpointRow:
    known = ev.ServerSeen("e4", E4, "vllm", "http://gpu3:8000")
    return row_of(folded([*started((E4,)), known, ev.ServerState("e4", "live"), *samples]))


def test_a_run_without_servers_has_no_rows() -> None:
    assert Viewer(folded([ev.RunStarted("target", (E1,), ev.Sampling())])).read().attached is None


def test_a_row_of_an_endpoint_that_was_never_heard_of_knows_nothing() -> None:
    row = row_of(folded(started((E1,))))
    assert row == EndpointRow(LANE, E1.title, "unknown", "connecting")


LANE = "e1"


def test_the_made_up_run_shows_each_kind_of_endpoint() -> None:
    mtp, kept, gone, counters = view_of(folded(attached_run())).endpoints
    assert (mtp.kind, mtp.stage, mtp.k, mtp.k_max, mtp.control, mtp.why) == ("tap", "live", 2, 3, True, "")
    assert (kept.control, bool(kept.why), kept.by_position[2] is not None) == (False, True, True)
    assert (gone.stage, gone.why, gone.tok_s, gone.running) == ("gone", GONE, None, None)
    assert (counters.kind, counters.step_ms, counters.running) == ("vllm", None, 3)
    assert counters.length is not None
    assert counters.length == pytest.approx(1 + sum(p or 0 for p in counters.by_position))


def test_the_sum_is_that_of_its_parts() -> None:
    state = folded(attached_run())
    view = view_of(state)
    total, rows = view.total, view.endpoints
    assert total is not None
    assert (total.lane, total.stage, total.k, total.k_max) == ("", "live", None, None)
    assert total.emitted == sum(row.emitted or 0 for row in rows)
    assert total.tok_s == pytest.approx(sum(row.tok_s or 0 for row in rows))
    assert total.running == sum(row.running or 0 for row in rows)
    live = [state.lanes[name].window.read() for name in ("e1", "e2")]
    counters = state.lanes["e4"].server
    assert counters is not None
    accepted = sum(one.accepted for one in live) + (counters.counters.grown(lambda one: one.accepted) or 0)
    drafts = sum(one.steps for one in live) + (counters.counters.grown(lambda one: one.drafts) or 0)
    assert total.length == pytest.approx(1 + accepted / drafts)
    drafted = sum(one.drafted for one in live) + (counters.counters.grown(lambda one: one.drafted) or 0)
    assert total.rate == pytest.approx(accepted / drafted)
    assert total.step_ms == pytest.approx(sum(row.step_ms or 0 for row in rows[:3]) / 3)


def test_one_endpoint_has_no_sum_and_equal_ones_have_one_k() -> None:
    assert view_of(folded(begun(E1))).total is None
    total = view_of(folded(begun(E1, E2))).total
    assert total is not None
    assert (total.k, total.k_max, total.kind, total.model) == (3, 3, "tap", "Qwen/Qwen3-8B")


def test_a_length_without_counts_makes_that_of_the_sum_unknown() -> None:
    events = [*begun(E1), counted(0)]
    stated = ev.ServerSeen("e4", E4, "sglang", "http://gpu3:8000")
    both = [
        *started((E1, E4)),
        *seen(E1),
        counted(0),
        stated,
        ev.ServerState("e4", "live"),
        sample(1, length=2.5, tok_s=99.0),
    ]
    view = view_of(folded(both))
    assert (view.endpoints[1].length, view.endpoints[1].tok_s, view.endpoints[1].rate) == (2.5, 99.0, None)
    assert view.total is not None
    assert (view.total.length, row_of(folded(events)).length) == (None, 2.0)


def test_throughput_is_that_of_the_servers_clock() -> None:
    """Two tokens in each of 40 steps, a step every 100 ms of wall time although it takes 10 ms."""
    state = folded(begun(E1))
    assert row_of(state).tok_s is None
    for index in range(40):
        reduce(state, counted(0, index, clock_ns=(index + 1) * 10 * MS))
        if not index % 5:
            reduce(state, ev.Serving(LANE, at_ns=7 * SECOND + index * 100 * MS))
        if not index:
            assert row_of(state).tok_s is None
    assert row_of(state).tok_s == pytest.approx(20.0)
    assert row_of(state).step_ms == 10.0
    reduce(state, ev.ServerState(LANE, "gone", "away"))
    assert row_of(state).tok_s is None
    reduce(state, ev.ServerState(LANE, "live", downtime_ns=SECOND))
    reduce(state, ev.Serving(LANE, at_ns=3 * SECOND))
    assert row_of(state).tok_s is None


def test_throughput_follows_the_last_seconds() -> None:
    rate = WallRate()
    for half in range(40):
        rate.add(half * SECOND // 2, 100 * min(half, 20))
    assert rate.read() == 0.0
    for half in range(1000):
        rate.add(20 * SECOND + half, 2000)
    assert rate.read() is not None


def test_times_of_steps_are_known_where_they_are_measured() -> None:
    times = StepTimes()
    assert times.read().mean_ms(times.read().wall_ns) is None
    times.add(10 * MS, 2 * MS, 7 * MS)
    times.add(8 * MS, None, 7 * MS)
    sums = times.read()
    assert [sums.mean_ms(ns) for ns in (sums.wall_ns, sums.draft_ns, sums.verify_ns)] == [9.0, 1.0, 7.0]
    times.add(8 * MS, None, None)
    assert times.read().draft_ns is times.read().verify_ns is None


def test_counters_are_compared_over_the_last_seconds() -> None:
    first = sample(0, drafts=100, drafted=200, accepted=50, accepted_at=(40, 10), emitted=1000)
    assert (counting(first).length, counting(first).tok_s, counting(first).emitted) == (None, None, 0)
    later = sample(1, drafts=110, drafted=220, accepted=65, accepted_at=(49, 16), emitted=1030)
    row = counting(first, later)
    assert (row.length, row.rate, row.by_position) == (2.5, 0.75, (0.9, 0.6))
    assert (row.tok_s, row.emitted) == (pytest.approx(30.0), 30)
    idle = counting(first, *(replace(later, at_ns=at * SECOND) for at in range(1, 15)))
    assert (idle.length, idle.tok_s, idle.emitted) == (None, 0.0, 30)


def test_a_server_that_began_again_counts_on() -> None:
    first = sample(0, drafts=100, drafted=200, accepted=50, emitted=1000)
    again = sample(1, drafts=4, drafted=8, accepted=2, emitted=9)
    row = counting(first, again)
    assert (row.length, row.tok_s, row.emitted) == (None, None, 9)
    after = counting(first, again, sample(2, drafts=6, drafted=12, accepted=6, emitted=15))
    assert (after.length, after.rate, after.tok_s, after.emitted) == (3.0, 1.0, 6.0, 15)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans()), min_size=1, max_size=40))
def test_sums_of_counters_are_those_of_brute_force(told: list[tuple[int, int, bool]]) -> None:
    meter = CounterMeter()
    drafts = emitted = 0
    true_drafts = true_emitted = 0
    for second, (more_drafts, more_emitted, restarted) in enumerate(told):
        if restarted:
            drafts = emitted = 0
        drafts += more_drafts
        emitted += more_emitted
        last = meter.last
        if last is not None:
            # What a server did between its start and the first sample after it cannot be told from more of the same
            # if its counters are not smaller than before.
            true_drafts += drafts - last.drafts if drafts >= (last.drafts or 0) else drafts  # type: ignore[operator]
            true_emitted += emitted - last.emitted if emitted >= (last.emitted or 0) else emitted  # type: ignore[operator]
        meter.add(sample(second, drafts=drafts, emitted=emitted, accepted_at=(drafts,)))
    assert (meter.drafts, meter.emitted, meter.kept) == (true_drafts, true_emitted, (true_drafts,))
    grown = meter.grown(lambda one: one.drafts)
    assert grown is None or 0 <= grown <= true_drafts
    assert len(meter._samples) <= COUNTERS_NS // SECOND + 2


def test_the_summary_of_a_server_of_counters_is_theirs() -> None:
    lane = folded(counters_run()).lanes["e4"]
    found = lane_summary(lane, None)
    samples = [event for event in counters_run() if isinstance(event, ev.CounterSample)]
    again = next(at for at, (a, b) in enumerate(pairwise(samples)) if b.drafts < a.drafts)  # type: ignore[operator]
    drafts = samples[again].drafts - samples[0].drafts + samples[-1].drafts  # type: ignore[operator]
    assert (found.drafted_steps, found.lane_time_s) == (drafts, 19.0)
    assert found.acceptance_length is not None
    assert found.acceptance_length == pytest.approx(1 + sum(p or 0 for p in found.acceptance_by_position))


def test_requests_in_flight_come_first_and_the_newest_before() -> None:
    state = folded(begun(E1, E2))
    for slot in range(60):
        lane = ("e1", "e2")[slot % 2]
        reduce(state, ev.RequestStarted(lane, f"r{slot}", slot, 7))
        if slot % 3:
            reduce(state, ev.RequestFinished(lane, f"r{slot}", slot, "eos", 5))
    rows = view_of(state).requests
    flying = [row.slot for row in rows if row.finished is None]
    ended = [row.slot for row in rows if row.finished is not None]
    assert flying == [slot for slot in range(59, -1, -1) if not slot % 3]
    assert ended == [slot for slot in range(59, -1, -1) if slot % 3][:ENDED_ROWS]
    assert [row.slot for row in rows] == flying + ended


def test_a_request_is_told_with_its_own_figures() -> None:
    events = [
        *begun(E1),
        ev.RequestStarted(LANE, "r", 0, 11),
        counted(0, 5, 30 * MS, before=50, drafted=0, accepted=0, emitted=1, own="bonus"),
        counted(0, 6, 40 * MS, before=51, emitted=2, k=2),
        ev.Serving(LANE, SECOND, (ev.InFlight(0, 3 * SECOND),)),
    ]
    (row,) = view_of(folded(events)).requests
    assert (row.age_s, row.emitted, row.k, row.length, row.rate, row.prompt_tokens) == (3.0, 53, 2, 2.0, 1 / 3, 11)
    assert row.tok_s == pytest.approx(3 / 0.02)


def test_the_age_of_a_request_goes_on_between_what_the_server_says() -> None:
    state = folded([*begun(E1), ev.RequestStarted(LANE, "r", 0, 11)])
    ages = [view_of(state).requests[0].age_s]
    for event in (
        counted(0, 0, 10 * MS),
        counted(0, 1, 25 * MS, wall_ns=15 * MS),
        ev.Serving(LANE, SECOND, (ev.InFlight(0, 40 * MS),)),
        counted(0, 2, 35 * MS),
        ev.RequestFinished(LANE, "r", 0, "eos", 6),
        counted(1, 0, 95 * MS),
    ):
        reduce(state, event)
        ages.append(view_of(state).requests[0].age_s)
    assert ages == [None, 0.01, 0.025, 0.04, 0.05, 0.05, 0.05]


def test_the_age_of_a_request_that_was_in_flight_before_is_what_the_server_says() -> None:
    state = folded([*begun(E1), ev.RequestStarted(LANE, "r", 0, 11), counted(0, 7, 10 * MS)])
    assert view_of(state).requests[0].age_s is None
    reduce(state, ev.Serving(LANE, SECOND, (ev.InFlight(0, 3 * SECOND),)))
    assert view_of(state).requests[0].age_s == 3.0


def test_a_pane_shows_the_newest_request_unless_one_is_focused() -> None:
    state = folded(begun(E1, E2))
    viewer = Viewer(state)
    for slot in range(6):
        reduce(state, ev.RequestStarted(("e1", "e2")[slot % 2], f"r{slot}", slot, 7))
    viewer.slot = 0
    assert [lane.slot for lane in viewer.read().lanes] == [0, 5]
    reduce(state, ev.RequestFinished("e2", "r5", 5, "eos", 5))
    reduce(state, ev.RequestFinished("e2", "r3", 3, "eos", 5))
    assert [lane.slot for lane in viewer.read().lanes] == [0, 1]
    reduce(state, ev.RequestFinished("e2", "r1", 1, "eos", 5))
    viewer.slot = 4
    shown = viewer.read().lanes
    assert [lane.slot for lane in shown] == [4, 1]
    assert shown[1].finished == "eos"
    viewer.slot = 77
    assert viewer.read().lanes[0].slot == 4


def test_a_view_is_built_again_only_if_something_has_changed() -> None:
    state = folded(attached_run())
    viewer = Viewer(state)
    first = viewer.read()
    assert viewer.read() is first
    reduce(state, ev.Serving("e1", at_ns=10**12))
    second = viewer.read()
    assert first.attached is not None
    assert second.attached is not None
    assert second.attached.endpoints[1] is first.attached.endpoints[1]
    assert second.attached.endpoints[0] is not first.attached.endpoints[0]


def test_all_endpoints_gone_is_a_stage_of_the_sum() -> None:
    gone = [ev.ServerState(info.name, "gone", GONE) for info in (E1, E3)]
    total = view_of(folded([*begun(E1, E3), *gone])).total
    assert total is not None
    assert (total.stage, total.tok_s, total.running) == ("gone", None, None)
