"""Going to any place of a trace shows what going forward showed there."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from spectui.core.history import HISTORY_STEPS
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.views import Viewer
from spectui.protocol import events as ev
from spectui.sources.synthetic.race import SyntheticRace, demo_lanes
from spectui.trace import folding, index
from spectui.trace.index import Timeline
from spectui.trace.reader import Trace
from tests.trace.making import FAILSAFE_S, file_of, folded, long_request, made_run, picture


@pytest.fixture(autouse=True)
def sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows and snapshots that have to be thinned in a short trace already."""
    monkeypatch.setattr(folding, "SNAPSHOT_EVENTS", 32)
    monkeypatch.setattr(folding, "MOST_SNAPSHOTS", 6)
    monkeypatch.setattr(index, "MOST_ROWS", 24)


def indexed(path: Path, events: list[ev.Event]) -> Timeline:
    timeline = Timeline(Trace.open(file_of(path / "run.jsonl", events)))
    timeline.start()
    assert timeline.wait(FAILSAFE_S)
    assert timeline.complete
    assert timeline.progress == 1.0
    assert timeline.known == len(events)
    return timeline


def seen(state: RunState) -> object:
    """All that can be seen of a state, and all that it counts."""
    return picture(Viewer(state).read()), picture(state)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_every_place_shows_what_was_shown_going_forward(seed: int, tmp_path: Path) -> None:
    events = made_run(seed, max_tokens=30)
    timeline = indexed(tmp_path, events)
    rng = random.Random(seed)
    wanted = {0, 1, len(events), *rng.sample(range(len(events)), 14)}
    forward = RunState()
    expected = {0: seen(forward)}
    for number, event in enumerate(events, 1):
        reduce(forward, event)
        if number in wanted:
            expected[number] = seen(forward)
    places = sorted(wanted)
    for number in [*reversed(places), *rng.sample(places, len(places))]:
        assert seen(timeline.state_at(number)) == expected[number], number


@pytest.mark.slow
def test_stepping_back_and_forth_stays_true(tmp_path: Path) -> None:
    events = made_run(5)
    timeline = indexed(tmp_path, events)
    middle = len(events) // 2
    for number in [*range(middle, middle - 12, -1), *range(middle - 12, middle)]:
        assert seen(timeline.state_at(number)) == seen(folded(events[:number])), number


def test_earlier_answers_to_a_prompt_are_known_at_every_place(tmp_path: Path) -> None:
    race, sampling = SyntheticRace(demo_lanes(), 1), ev.Sampling(max_tokens=30, temperature=1.0)
    events: list[ev.Event] = [ev.RunStarted("made-up", tuple(lane.info for lane in demo_lanes()), sampling)]
    for lane in demo_lanes():
        race.ready(lane.info.name)
    for _ in range(4):
        events += race.begin((ev.Prompt("p"), ev.Prompt("q")), sampling)
        while (turn := race.furthest_behind()) is not None:
            events += race.step(turn)
    timeline = indexed(tmp_path, events)
    rng = random.Random(1)
    for number in [len(events), *rng.sample(range(len(events)), 12)]:
        state = timeline.state_at(number)
        assert seen(state) == seen(folded(events[:number])), number
    stream = Viewer(timeline.state_at(len(events))).read().lanes[1].stream
    assert stream is not None
    assert stream.heat is not None
    assert stream.heat.answers == 4


def test_a_state_can_be_folded_on_and_leaves_the_others_alone(tmp_path: Path) -> None:
    events = made_run(6)
    timeline = indexed(tmp_path, events)
    half, there = len(events) // 2, len(events) * 3 // 4
    first, second = timeline.state_at(half), timeline.state_at(half)
    before = seen(second)
    for _, event in timeline.events(half):
        reduce(first, event)
    assert seen(first) == seen(folded(events))
    assert seen(second) == before
    assert seen(timeline.state_at(there)) == seen(folded(events[:there]))


@pytest.mark.parametrize("look", ["before", "after"])
def test_a_long_history_is_recalled_from_the_file_as_far_as_it_was_kept(look: str, tmp_path: Path) -> None:
    events = long_request(HISTORY_STEPS + 700)
    timeline = indexed(tmp_path, events)
    for number in (500, HISTORY_STEPS + 3, len(events) - 40, len(events)):
        state, forward = timeline.state_at(number), folded(events[:number])
        history = state.lanes["ar"].round.requests[0].history
        if look == "before":
            assert picture(history) == picture(forward.lanes["ar"].round.requests[0].history)
        for event in events[number : number + 30]:
            reduce(state, event)
            reduce(forward, event)
        expected = forward.lanes["ar"].round.requests[0].history
        assert len(history) == len(expected)
        assert history.next_rejection(history.last - 5) == expected.next_rejection(expected.last - 5)
        assert history.next_longest(0) == expected.next_longest(0)
        assert history.at(expected.first) == expected.at(expected.first)
        assert picture(state) == picture(forward)


def test_a_history_of_more_new_steps_than_are_kept_needs_no_file(tmp_path: Path) -> None:
    events = long_request(HISTORY_STEPS + 400)
    timeline = indexed(tmp_path, events)
    state = timeline.state_at(200)
    for event in events[200:]:
        reduce(state, event)
    (tmp_path / "run.jsonl").unlink()
    assert picture(state) == picture(folded(events))


def test_a_history_whose_file_has_gone_begins_where_going_on_began(tmp_path: Path) -> None:
    events = long_request(60)
    timeline = indexed(tmp_path, events)
    state = timeline.state_at(40)
    reduce(state, events[40])
    (tmp_path / "run.jsonl").unlink()
    history = state.lanes["ar"].round.requests[0].history
    assert (len(history), history.first, history.last) == (38, 37, 37)


@pytest.mark.slow
def test_states_that_are_let_go_need_no_collector(tmp_path: Path) -> None:
    """An engine in the same process runs with the collector held back."""
    timeline = indexed(tmp_path, made_run(13))
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(thing, RunState) for thing in gc.get_objects())
        for number in range(100, 130):
            timeline.state_at(number)
            timeline.at_lane_time(number * 1_000_000)
        assert sum(isinstance(thing, RunState) for thing in gc.get_objects()) == before
    finally:
        gc.enable()


def test_events_go_on_behind_a_place(tmp_path: Path) -> None:
    events = made_run(7)
    timeline = indexed(tmp_path, events)
    for number in (0, 1, 63, 64, 200, len(events) - 1, len(events), len(events) + 5):
        assert [event for _, event in timeline.events(number)] == events[number:]


def test_places_are_found_by_steps_time_and_lane_time(tmp_path: Path) -> None:
    events = made_run(8)
    timeline = indexed(tmp_path, events)
    steps = [sum(isinstance(event, ev.Step) for event in events[:number]) for number in range(len(events) + 1)]
    lane_ns = lane_times(events)
    assert timeline.lane_ns == lane_ns[-1]
    for wanted in (0, 1, 17, steps[-1] // 2, steps[-1], steps[-1] + 9):
        place = timeline.at_step(wanted)
        assert place == next((number for number, count in enumerate(steps) if count >= wanted), len(events))
    for share in (0.0, 0.001, 0.3, 0.77, 1.0, 2.0):
        wanted = int(share * lane_ns[-1])
        place = timeline.at_lane_time(wanted)
        assert place == next((number for number, ns in enumerate(lane_ns) if ns >= wanted), len(events))


def test_the_lane_time_of_a_place_and_the_step_before_it(tmp_path: Path) -> None:
    events = made_run(8)
    events[40:40] = [ev.Notice(f"say {number}") for number in range(300)]
    timeline = indexed(tmp_path, events)
    lane_ns = lane_times(events)
    steps = [number for number, event in enumerate(events) if isinstance(event, ev.Step)]
    for number in (0, 1, 3, 40, 41, 339, 340, 341, 400, len(events) // 2, len(events)):
        assert timeline.lane_time(number, timeline.state_at(number)) == lane_ns[number]
        assert timeline.step_before(number) == max((step for step in steps if step < number), default=0)


def lane_times(events: list[ev.Event]) -> list[int]:
    """Lane time before the first event and after each, the slow way."""
    state, base, times = RunState(), 0, [0]
    for event in events:
        furthest = max((lane.round.elapsed_ns for lane in state.lanes.values()), default=0)
        base += furthest if isinstance(event, ev.RoundStarted) else 0
        reduce(state, event)
        times.append(base + max((lane.round.elapsed_ns for lane in state.lanes.values()), default=0))
    return times


def test_marks_stand_where_something_happened(tmp_path: Path) -> None:
    events = made_run(9)
    marks = indexed(tmp_path, events).marks
    for kind, numbers in (
        (ev.RoundStarted, marks.rounds),
        (ev.RequestFinished, marks.ends),
        (ev.KChanged, marks.k_changes),
    ):
        assert list(numbers) == [number for number, event in enumerate(events, 1) if isinstance(event, kind)]
        assert numbers


def test_a_mark_stands_where_a_lane_left_ars_path(tmp_path: Path) -> None:
    """Once for each request that does, at the event with which the difference can be known."""
    for seed in range(20, 24):
        events = made_run(seed)
        state, expected = RunState(), []
        apart: set[tuple[int, str, int]] = set()
        for number, event in enumerate(events, 1):
            reduce(state, event)
            now = {
                (state.round, name, slot)
                for name, lane in state.lanes.items()
                for slot, request in lane.round.requests.items()
                if request.comparison is not None and request.comparison.position is not None
            }
            expected += [number] if now - apart else []
            apart |= now
        assert list(indexed(tmp_path, events).marks.divergences) == expected
        if expected:
            return
    raise AssertionError("no run diverged")


def test_rejections_are_summed_up_in_parts(tmp_path: Path) -> None:
    events = made_run(10)
    timeline = indexed(tmp_path, events)
    steps = [event for event in events if isinstance(event, ev.Step)]
    drafted = sum(len(step.drafted) for step in steps)
    assert timeline.rejections(1) == (pytest.approx(1 - sum(step.accepted for step in steps) / drafted),)
    parts = timeline.rejections(8)
    assert len(parts) == 8
    assert all(part is None or 0 <= part <= 1 for part in parts)
    assert len({part for part in parts if part is not None}) > 3
    assert Timeline(Trace.open(tmp_path / "run.jsonl")).rejections(3) == (None, None, None)


def test_the_index_grows_tells_how_far_it_is_and_can_be_left(tmp_path: Path) -> None:
    events = made_run(11)
    trace = Trace.open(file_of(tmp_path / "run.jsonl", events))
    told: list[tuple[float, int]] = []

    def breathe() -> None:
        told.append((timeline.progress, timeline.known))
        if len(told) == 4:
            timeline.cancel()

    timeline = Timeline(trace, breathe)
    assert (timeline.progress, timeline.known, timeline.complete) == (0.0, 0, False)
    assert picture(timeline.state_at(0)) == picture(RunState())
    timeline.start()
    assert timeline.wait(FAILSAFE_S)
    assert told == sorted(told)
    assert not timeline.complete
    assert 0.0 < timeline.progress < 1.0
    assert 0 < timeline.known < len(events)
    assert seen(timeline.state_at(timeline.known)) == seen(folded(events[: timeline.known]))
    assert timeline.at_step(10**9) == timeline.at_lane_time(10**18) == timeline.known
    for beyond in (-1, timeline.known + 1):
        with pytest.raises(ValueError, match="not among"):
            timeline.state_at(beyond)


def test_a_file_that_goes_away_is_said_in_a_sentence(tmp_path: Path) -> None:
    timeline = Timeline(Trace.open(file_of(tmp_path / "run.jsonl", made_run(0))))
    (tmp_path / "run.jsonl").unlink()
    timeline.start()
    assert timeline.wait(FAILSAFE_S)
    assert "no such file" in timeline.fault
    assert not timeline.complete


def backwards(events: list[ev.Event]) -> None:
    """A step of the round before stands in a later one: its lane clock lies before the round."""
    place = next(place for place, event in enumerate(events) if isinstance(event, ev.Step))
    events.append(events[place])


def unknown_lane(events: list[ev.Event]) -> None:
    events.append(ev.RequestStarted("nobody", "r", 0, 1))


@pytest.mark.parametrize("spoil", [backwards, unknown_lane])
def test_lines_that_contradict_each_other_end_nothing(spoil: Callable[[list[ev.Event]], None], tmp_path: Path) -> None:
    events = made_run(12)
    spoil(events)
    events.append(ev.Notice("the last"))
    timeline = indexed(tmp_path, events)
    assert timeline.state_at(len(events)).notice == "the last"


@pytest.mark.parametrize("number", range(3))
def test_snapshots_and_rows_stay_few(number: int, tmp_path: Path) -> None:
    timeline = indexed(tmp_path, long_request(400 * (number + 1)))
    assert len(timeline._stops.kept) <= folding.MOST_SNAPSHOTS
    assert len(timeline._table.number) <= index.MOST_ROWS + 1
    assert sum(stop.snapshot.size for stop in timeline._stops.kept) < 50_000
