"""Traces of attached servers: every place shows what was shown going forward, and time is that of the servers."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest

from spectui.core.attached.state import MOST_ENDED
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.protocol import events as ev
from spectui.sources.lane_time import LaneClock
from spectui.sources.recording import Memory
from spectui.trace.codec import decode, encode
from tests.support.attached_run import attached_run, counters_run
from tests.trace.making import folded, picture
from tests.trace.test_index import indexed, seen

RUNS = pytest.mark.parametrize("events", [attached_run(), counters_run()], ids=["servers", "counters"])


@RUNS
def test_every_event_survives_being_written(events: tuple[ev.TraceEvent, ...]) -> None:
    assert [decode(encode(7, event)) for event in events] == [(7, event) for event in events]


@RUNS
def test_every_place_shows_what_was_shown_going_forward(events: tuple[ev.TraceEvent, ...], tmp_path: Path) -> None:
    timeline = indexed(tmp_path, events)
    rng = random.Random(3)
    wanted = {0, len(events), *rng.sample(range(len(events)), 8)}
    forward, expected = RunState(), {}
    for number, event in enumerate((None, *events)):
        if event is not None:
            reduce(forward, event)
        if number in wanted:
            expected[number] = seen(forward)
    for number in sorted(wanted, reverse=True):
        assert seen(timeline.state_at(number)) == expected[number], number


@RUNS
def test_lane_time_is_the_same_played_and_jumped_to(events: tuple[ev.TraceEvent, ...], tmp_path: Path) -> None:
    timeline = indexed(tmp_path, events)
    clock, played = LaneClock(), [0]
    for event in events:
        played.append(clock.see(event))
    assert all(a <= b for a, b in pairwise(played))
    assert timeline.lane_ns == played[-1] > 0
    for number in random.Random(4).sample(range(len(events)), 12):
        state = timeline.state_at(number)
        assert timeline.lane_time(number, state) == played[number], number
        jumped = LaneClock.of(state, played[number])
        assert [jumped.see(event) for event in events[number:]] == played[number + 1 :], number


def test_counters_alone_are_gone_through_sample_by_sample(tmp_path: Path) -> None:
    events = counters_run()
    timeline = indexed(tmp_path, events)
    samples = [number for number, event in enumerate(events, 1) if isinstance(event, ev.CounterSample)]
    assert timeline.steps == len(samples) == 20
    assert [timeline.at_step(count) for count in range(1, 21)] == samples
    assert [timeline.step_before(number) for number in samples] == [number - 1 for number in samples]
    assert timeline.at_lane_time(5_000_000_000) == samples[5]
    assert timeline.lane_ns == 19_000_000_000


def test_a_step_of_counts_is_a_step_of_the_timeline(tmp_path: Path) -> None:
    timeline = indexed(tmp_path, attached_run())
    steps = [event for event in attached_run() if isinstance(event, ev.AnyStep | ev.CounterSample)]
    assert timeline.steps == len(steps)
    assert not timeline.marks.ends
    drafted = sum(event.drafted_count for event in steps if isinstance(event, ev.AnyStep))
    accepted = sum(event.accepted for event in steps if isinstance(event, ev.AnyStep))
    assert timeline.rejections(1) == (pytest.approx(1 - accepted / drafted),)


def test_a_history_is_recalled_between_steps_of_which_only_counts_are_known(tmp_path: Path) -> None:
    """A draft that could not be had leaves the places of the others as they are."""
    whole = [event for event in attached_run() if getattr(event, "lane", "e1") == "e1"]
    events = [_counted(event) if isinstance(event, ev.Step) and event.index % 3 == 1 else event for event in whole]
    timeline = indexed(tmp_path, events)
    for number in (len(events) // 3, len(events)):
        forward = folded(events[:number]).lanes["e1"].round.requests
        jumped = timeline.state_at(number).lanes["e1"].round.requests
        assert list(jumped) == list(forward)
        assert sum(len(one.history) for one in forward.values()) > 50
        for slot, request in forward.items():
            assert [jumped[slot].history.at(at) for at in range(60)] == [request.history.at(at) for at in range(60)]


def _counted(step: ev.Step) -> ev.CountedStep:
    shared = {name: getattr(step, name) for name in ("lane", "request", "slot", "index", "k", "accepted", "own")}
    times = {name: getattr(step, name) for name in ("cut_reason", "batch", "wall_ns", "clock_ns", "totals", "before")}
    return ev.CountedStep(
        **shared,
        **times,
        drafted=len(step.drafted),
        emitted=len(step.emitted),
        cut=len(step.cut),
        ids=step.emitted + step.cut,
        text=step.text,
    )


@RUNS
def test_a_recording_that_begins_later_knows_the_servers_and_their_requests(
    events: tuple[ev.TraceEvent, ...],
) -> None:
    memory = Memory(most=len(events) // 8)
    for stamp, event in enumerate(events):
        memory.add(stamp, event)
    late, whole = folded(event for _, event in memory.events()), folded(events)
    for name, lane in whole.lanes.items():
        again = late.lanes[name]
        assert (again.info, again.k, again.stage) == (lane.info, lane.k, lane.stage)
        assert again.server is not None
        assert lane.server is not None
        assert (again.server.stage, again.server.seen, again.server.serving) == (
            lane.server.stage,
            lane.server.seen,
            lane.server.serving,
        )
        assert again.server.counters.last == lane.server.counters.last
        flying = {slot for slot, request in lane.round.requests.items() if request.finished is None}
        assert {slot for slot, one in again.round.requests.items() if one.finished is None} == flying
        assert all(again.round.requests[slot].emitted == lane.round.requests[slot].emitted for slot in flying)
        assert picture(again.window.read()) == picture(lane.window.read()) or again.window.read().steps < 200


def test_what_is_kept_for_a_later_recording_is_bounded() -> None:
    memory = Memory(most=100)
    for stamp, event in enumerate(attached_run()):
        memory.add(stamp, event)
    requests = sum(isinstance(event, ev.RequestStarted | ev.RequestFinished) for _, event in memory.events())
    assert requests < MOST_ENDED
    assert len(memory.events()) < 100 + 60
