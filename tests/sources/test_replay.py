"""A replay: the same door as a live run, in lane time, to any place and back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spectui.cli.replay import opened, starting_place
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.views import Viewer
from spectui.errors import RunError, UsageError
from spectui.protocol import commands as cmd
from spectui.protocol.events import Event, Notice, Paused, RequestFinished, RoundStarted, RunStarted, Step
from spectui.protocol.playback import PlaybackMarks, Playhead, StateReplaced
from spectui.protocol.samples import TelemetrySample
from spectui.sources.cursor import NOT_KNOWN_YET, Cursor
from spectui.sources.lane_time import LaneClock, Playing
from spectui.sources.replay import NO_ENGINES, Replay
from spectui.trace.index import Timeline
from spectui.trace.reader import Trace, TraceError
from tests.sources.test_synthetic import FAILSAFE_S, Collector
from tests.support.making_machines import HOST, MEMORIES
from tests.trace.making import file_of, folded, made_run, picture

FAST = 1e7
"""So fast that nothing is ever waited for but the ends of rounds, which the clock below passes at once."""


def quick() -> float:
    """Seconds that pass ten thousand times as fast as real ones."""
    return time.monotonic() * 1e4


class Watcher(Collector):
    """A sink that folds what it gets, as the screen does."""

    def __init__(self) -> None:
        super().__init__()
        self.state = RunState()

    def emit(self, event: Event) -> None:  # type: ignore[override]
        with self._more:
            self.events.append(event)  # type: ignore[arg-type]
            if isinstance(event, StateReplaced):
                self.state = event.state
            else:
                reduce(self.state, event)
            self._more.notify_all()

    def wait_until(self, found: Callable[[RunState], bool]) -> None:
        with self._more:
            assert self._more.wait_for(lambda: found(self.state), FAILSAFE_S), self.events[-3:]

    @property
    def number(self) -> int:
        return self.state.playhead.number if self.state.playhead else 0


@contextmanager
def playing(path: Path, **options: object) -> Iterator[tuple[Replay, Watcher]]:
    settings = {"speed": FAST, "now": quick, **options}
    source, sink = Replay(Timeline(Trace.open(path)), **settings), Watcher()  # type: ignore[arg-type]
    source.start(sink)
    yield source, sink
    assert source.stop(FAILSAFE_S)


def known(state: RunState) -> object:
    """A state without what only a replay has in it."""
    state.playhead = state.marks = None
    state.revision = 0
    return picture(Viewer(state).read())


def ended(state: RunState) -> bool:
    return state.playhead is not None and state.playhead.ended and state.playhead.paused


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """A run whose memory is sampled now and then, in a pause too."""
    sample = TelemetrySample(1, HOST)
    events: list[Event] = []
    for number, event in enumerate(made_run(7)):
        if isinstance(event, RoundStarted):
            events += MEMORIES
        events.append(event)
        if number % 40 == 39:
            events += [sample, Paused(True), sample, Paused(False)]
    return events


@pytest.fixture(scope="module")
def trace(events: list[Event], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return file_of(tmp_path_factory.mktemp("replay") / "run.jsonl", events)


def test_it_plays_every_event_in_order_and_ends_as_the_run_did(trace: Path, events: list[Event]) -> None:
    with playing(trace) as (_, sink):
        sink.wait_until(ended)
        assert [e for e in sink.events if not isinstance(e, Playhead | PlaybackMarks)] == events
        assert sink.number == len(events)
        assert known(sink.state) == known(folded(events))


def test_it_loses_nothing_when_the_screen_is_slow(trace: Path, events: list[Event]) -> None:
    class Slow(Watcher):
        """Pretends to have more waiting than it may at every second look."""

        looks = 0

        def __len__(self) -> int:
            self.looks += 1
            return 1_000_000 * (self.looks % 2)

    sink = Slow()
    source = Replay(Timeline(Trace.open(trace)), speed=FAST, now=quick)
    source.start(sink)
    sink.wait_until(ended)
    assert source.stop(FAILSAFE_S)
    assert known(sink.state) == known(folded(events))


def test_a_replay_that_cannot_keep_up_says_how_fast_it_is(trace: Path) -> None:
    class Full(Watcher):
        """Has more waiting than it may until the replay has said so."""

        def __len__(self) -> int:
            said = any(isinstance(event, Playhead) and event.reached is not None for event in self.events)
            return 0 if said else 1_000_000

    sink = Full()
    source = Replay(Timeline(Trace.open(trace)), speed=FAST, now=quick)
    source.start(sink)
    sink.wait_until(ended)
    assert source.stop(FAILSAFE_S)
    heads = [event for event in sink.events if isinstance(event, Playhead)]
    behind = [head.reached for head in heads if head.reached is not None]
    assert behind
    assert all(reached < FAST for reached in behind)
    assert heads[-1].reached is None


def test_frames_are_drawn_between_the_events_of_a_crowd(trace: Path) -> None:
    class Crowd(Watcher):
        """Has more waiting than it may, until it has drawn."""

        drawn = 0

        def __len__(self) -> int:
            return 0 if self.drawn else 1_000_000

        def draw(self) -> None:
            self.drawn += 1
            source.slot.drawn()

    sink = Crowd()
    source = Replay(Timeline(Trace.open(trace)), speed=FAST, now=quick)
    source.start(sink)
    while not source.slot.request(sink.draw):
        assert not sink.drawn
    sink.wait_until(ended)
    assert source.stop(FAILSAFE_S)
    assert sink.drawn == 1
    assert not source.slot.busy


@pytest.mark.parametrize("place", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_seeking_shows_what_going_forward_showed(trace: Path, events: list[Event], place: float) -> None:
    with playing(trace) as (source, sink):
        sink.wait_until(ended)
        source.send(cmd.SeekTo(place))
        number = round(place * len(events))
        sink.wait_until(lambda state: state.playhead is not None and state.playhead.number == number)
        assert known(sink.state) == known(folded(events[:number]))


def test_steps_forward_and_back(trace: Path, events: list[Event]) -> None:
    steps = [place for place, event in enumerate(events) if isinstance(event, Step)]
    with playing(trace) as (source, sink):
        sink.wait_until(ended)
        for step in reversed(steps[-5:]):
            source.send(cmd.StepBack())
            sink.wait_until(lambda state, at=step: state.playhead is not None and state.playhead.number == at)  # type: ignore[misc]
            assert known(sink.state) == known(folded(events[:step]))
        for step in steps[-5:-1]:
            source.send(cmd.StepOnce())
            behind = step + 1
            while isinstance(events[behind], RequestFinished):
                behind += 1
            sink.wait_until(lambda state, at=behind: state.playhead is not None and state.playhead.number == at)  # type: ignore[misc]
            assert known(sink.state) == known(folded(events[:behind]))


def test_rounds_restart_and_going_on_from_the_end(trace: Path, events: list[Event]) -> None:
    rounds = [place + 1 for place, event in enumerate(events) if isinstance(event, RoundStarted)]
    with playing(trace) as (source, sink):
        sink.wait_until(ended)
        source.send(cmd.NextPrompt(-1))
        sink.wait_until(lambda state: state.playhead is not None and state.playhead.number == rounds[-2])
        source.send(cmd.NextPrompt(1))
        sink.wait_until(lambda state: state.playhead is not None and state.playhead.number == rounds[-1])
        source.send(cmd.Restart())
        sink.wait_until(ended)
        source.send(cmd.Resume())
        sink.wait_until(lambda state: state.playhead is not None and not state.playhead.paused)
        sink.wait_until(ended)
        assert known(sink.state) == known(folded(events))


def test_it_begins_at_a_place_in_a_pause(trace: Path, events: list[Event]) -> None:
    start = starting_place("20")
    with playing(trace, start=start) as (_, sink):
        sink.wait_until(lambda state: state.playhead is not None and state.playhead.number > 5)
        assert sink.state.playhead is not None
        assert sink.state.playhead.paused
        assert sum(isinstance(event, Step) for event in events[: sink.number]) == 20


class Held(Replay):
    """Its index waits at some place until it is let go."""

    def __init__(self, timeline: Timeline, at: int, **options: object) -> None:
        super().__init__(timeline, speed=FAST, now=quick, **options)  # type: ignore[arg-type]
        self.line, self.at, self.free = timeline, at, threading.Event()

    def _let_index_breathe(self) -> None:
        if self.line.known > self.at:
            assert self.free.wait(FAILSAFE_S)


def test_nothing_is_played_that_could_not_be_found_again(trace: Path, events: list[Event]) -> None:
    source, sink = Held(Timeline(Trace.open(trace)), 100), Watcher()
    source.start(sink)
    sink.wait_until(lambda state: state.playhead is not None and state.playhead.number > 100)
    source.send(cmd.Seek(1e6))
    sink.wait_for(lambda seen: any(isinstance(e, Notice) and e.text == NOT_KNOWN_YET for e in seen))
    assert not any(isinstance(event, StateReplaced) for event in sink.events)
    assert sink.number <= source.line.known < len(events)
    source.free.set()
    sink.wait_until(ended)
    assert source.stop(FAILSAFE_S)
    said = Notice(NOT_KNOWN_YET, level="warning")
    assert [e for e in sink.events if e != said and not isinstance(e, Playhead | PlaybackMarks)] == events


def test_a_place_to_begin_at_is_gone_to_as_soon_as_it_is_known(trace: Path, events: list[Event]) -> None:
    source, sink = Held(Timeline(Trace.open(trace)), 100, start=starting_place("20")), Watcher()
    source.start(sink)
    sink.wait_until(lambda state: state.playhead is not None and state.playhead.number > 5)
    assert not source.line.complete
    assert sum(isinstance(event, Step) for event in events[: sink.number]) == 20
    source.free.set()
    assert source.stop(FAILSAFE_S)


def test_who_goes_elsewhere_is_not_called_back_to_where_it_should_have_begun(trace: Path) -> None:
    source, sink = Held(Timeline(Trace.open(trace)), 100, start=starting_place("300")), Watcher()
    source.start(sink)
    sink.wait_until(lambda state: state.playhead is not None and state.playhead.paused)
    source.send(cmd.SeekTo(0.5))
    sink.wait_for(lambda seen: any(isinstance(event, StateReplaced) for event in seen))
    source.free.set()
    sink.wait_until(lambda state: state.playhead is not None and state.playhead.known == 1)
    assert source.stop(FAILSAFE_S)
    assert sum(isinstance(event, StateReplaced) for event in sink.events) == 1


def test_one_step_of_a_lane_plays_up_to_that_lane_s_step(trace: Path, events: list[Event]) -> None:
    with playing(trace, start=starting_place("20")) as (source, sink):
        sink.wait_until(lambda state: state.playhead is not None and state.playhead.number > 5)
        source.send(cmd.StepOnce("dflash"))
        begun = next(place for place, event in enumerate(sink.events) if isinstance(event, StateReplaced))
        sink.wait_for(lambda seen: any(isinstance(e, Step) and e.lane == "dflash" for e in seen[begun:]))
        source.send(cmd.SetSpeed(1.0))
        sink.wait_until(lambda state: state.playhead is not None and state.playhead.speed == 1.0)
        lanes = [event.lane for event in sink.events[begun:] if isinstance(event, Step)]
        assert lanes[-1] == "dflash"
        assert "dflash" not in lanes[:-1]


def test_what_is_wrong_in_a_trace_is_said_once(trace: Path, tmp_path: Path) -> None:
    lines = trace.read_text().splitlines()
    lines[40] = lines[40][:30]
    lines[50] = "x"
    (tmp_path / "damaged.jsonl").write_text("\n".join(lines) + "\n")
    with playing(tmp_path / "damaged.jsonl", loop=True) as (_, sink):
        sink.wait_for(lambda seen: sum(isinstance(event, RunStarted) for event in seen) >= 2)
        said = [e.text for e in sink.events if isinstance(e, Notice) and "damaged" in e.text]
    assert said == ["damaged.jsonl has 2 damaged lines; line 41 is broken: not JSON; it is skipped"]


@pytest.mark.parametrize("error", [RuntimeError("a bug"), TraceError("gone")])
def test_a_replay_that_dies_keeps_no_frame_waiting(
    trace: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, sink = Replay(Timeline(Trace.open(trace)), speed=FAST, now=quick), Watcher()

    def die(cursor: Cursor, event: Event) -> None:
        source.slot.stepping(True)
        raise error

    monkeypatch.setattr(Cursor, "play_next", die)
    source.start(sink)
    sink.wait_until(lambda state: state.fault is not None)
    assert source.stop(FAILSAFE_S)
    assert not source.slot.busy


def test_a_loop_begins_again(trace: Path, events: list[Event]) -> None:
    with playing(trace, loop=True) as (_, sink):
        sink.wait_for(lambda seen: sum(isinstance(event, RunStarted) for event in seen) >= 3)


def test_what_needs_an_engine_is_refused(trace: Path) -> None:
    with playing(trace) as (source, sink):
        for command in (cmd.SetK("mtp", 1), cmd.SetPrompt("x"), cmd.Tune("mtp"), cmd.SetConcurrency(3)):
            source.send(command)
        sink.wait_for(lambda seen: sum(isinstance(e, Notice) and e.text == NO_ENGINES for e in seen) == 4)


def test_speed_goes_up_and_down_in_known_steps(trace: Path) -> None:
    with playing(trace, speed=1.0, now=time.monotonic) as (source, sink):
        for by, speed in ((1, 2.0), (1, 5.0), (-1, 2.0), (-1, 1.0), (-1, 0.5)):
            source.send(cmd.ChangeSpeed(by))
            sink.wait_until(lambda state, at=speed: state.playhead is not None and state.playhead.speed == at)  # type: ignore[misc]


def test_lane_time_runs_at_the_speed_asked_for_and_stands_in_a_pause() -> None:
    wall = [100.0]
    playhead = Playing(lambda: wall[0], 2.0)
    playhead.limit_ns = 10e9
    wall[0] += 3
    assert playhead.read() == pytest.approx(6e9)
    assert playhead.wait_s() == pytest.approx(2.0)
    playhead.running = False
    wall[0] += 50
    assert playhead.read() == pytest.approx(6e9)
    playhead.running = True
    playhead.hold(4.0)
    wall[0] += 4
    assert playhead.read() == pytest.approx(6e9)
    wall[0] += 1
    assert playhead.read() == pytest.approx(8e9)
    wall[0] += 50
    assert playhead.read() == pytest.approx(10e9), "never past what comes next"


def test_what_a_late_event_overslept_counts_for_the_next_ones() -> None:
    wall = [100.0]
    playing = Playing(lambda: wall[0], 2.0)
    for _ in range(1000):
        playing.limit_ns += 1e6
        wall[0] += max(0.0, playing.wait_s()) + 0.0001
        assert playing.wait_s() <= 0
        playing.reach()
    assert wall[0] - 100.0 == pytest.approx(0.5, abs=0.01), "1 s of lane time at twice its speed"
    assert not playing.behind
    playing.limit_ns += 1e6
    wall[0] += 60
    playing.reach()
    assert playing.behind
    playing.limit_ns += 1e9
    assert playing.wait_s() == pytest.approx(0.4), "no more than a tenth of a second is made good"


def test_lane_time_never_goes_back_and_goes_on_from_round_to_round(events: list[Event]) -> None:
    clock, seen = LaneClock(), [0]
    for event in events:
        seen.append(clock.see(event))
    assert seen == sorted(seen)
    state = folded(events)
    assert LaneClock.of(state, seen[-1]).now_ns == seen[-1]


@pytest.mark.parametrize("text", ["", "x", "-3", "-1s", "s", "1.5", "infs", "1e999s", "nans"])
def test_a_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"give a step \(412\) or a lane time \(12\.5s\)"):
        starting_place(text)


def test_a_file_that_is_no_trace_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello\n")
    for name in ("x", "nowhere", "."):
        with pytest.raises(RunError):
            opened(str(tmp_path / name))
