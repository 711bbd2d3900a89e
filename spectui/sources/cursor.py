"""Keeps a replay's place in its trace and moves it: event by event, to another place, at another speed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from spectui.protocol.events import AnyStep, CounterSample, Event, Inspected, Notice, RequestFinished, RoundFinished
from spectui.protocol.limits import MAX_SPEED, MIN_SPEED
from spectui.protocol.playback import StateReplaced
from spectui.protocol.source import Sink
from spectui.sources.lane_time import LaneClock, Playing
from spectui.sources.playback import PlaybackReporter
from spectui.trace.index import Timeline

SPEEDS = (MIN_SPEED, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, MAX_SPEED)
ROUND_GAP_S = 1.5
"""Wall time for which the end of a round is shown before the next one begins."""

NOT_ASKED = "the target was not asked about this step while it was recorded, and a replay has no engine to ask"
NO_PARENT = "this round was not forked from another one of this trace"
NOT_KNOWN_YET = "that place is not known yet: the trace is still being indexed"

_ENDS = (RequestFinished, RoundFinished)
"""These events belong to the step before them."""


class Cursor:
    """A place in a trace. Owned by the replay's thread; the index's thread reads ``number``.

    Attributes:
        playing: How far lane time has come.
        next: The next event, None at the end.
        number: Events before the place.
        paused: Whether the replay is paused.
        went: Whether it has jumped to a place.
    """

    def __init__(self, timeline: Timeline, sink: Sink, now: Callable[[], float], speed: float) -> None:
        self._timeline = timeline
        self._sink = sink
        self.playing = Playing(now, speed)
        self._reporter = PlaybackReporter(sink, timeline, self.playing, now)
        self._clock = LaneClock()
        self._events: Iterator[tuple[int, Event]] = iter(())
        self.next: Event | None = None
        self.number = 0
        self.paused = self.went = False
        self._single = self._stepped = False
        self._single_lane: str | None = None

    @property
    def stepping(self) -> bool:
        """Whether a single step is being played, even during a pause."""
        return self._single

    @property
    def due(self) -> bool:
        """Whether the next event happens now: its time has come, or a single step is being played."""
        return self._single or (not self.paused and self.playing.wait_s() <= 0)

    @property
    def late(self) -> bool:
        """Whether the index has to catch up first, so that playback can return to every place that was shown."""
        return self.number >= self._timeline.known and not self._timeline.settled

    def play_next(self, event: Event) -> None:
        """Emit ``event``, which is the next one, and move past it."""
        self.playing.reach()
        self._sink.emit(event)
        self.number += 1
        self._fetch()
        if self._single:
            self._stepped |= isinstance(event, AnyStep | CounterSample) and self._single_lane in (None, event.lane)
            if self._stepped and not isinstance(self.next, _ENDS):
                self._single = False
                self.say(force=True)
        elif isinstance(event, RoundFinished):
            self.playing.hold(ROUND_GAP_S)
        self.say()

    def _fetch(self) -> None:
        found = next(self._events, None)
        self.next = None if found is None else found[1]
        if self.next is not None:
            self.playing.limit_ns = float(self._clock.see(self.next))

    def play_from(self, number: int) -> None:
        """Continue from a place without reporting it."""
        self._events = self._timeline.events(number)
        self.number = number
        self._fetch()

    def go(self, number: int) -> None:
        """Jump to place ``number``, and continue from there."""
        self.went = True
        number = max(0, min(number, self._timeline.known))
        state = self._timeline.state_at(number)
        lane_ns = self._timeline.lane_time(number, state)
        self._clock = LaneClock.of(state, lane_ns)
        self.playing.set(lane_ns)
        self.play_from(number)
        state.playhead = self._reporter.playhead(number, self.next is None)
        self._sink.emit(StateReplaced(state))
        self._reporter.forget_marks()
        self.say(force=True)

    def say(self, force: bool = False) -> None:
        """Report the current place to the screen, unless that was just done; ``force`` repeats it."""
        self._reporter.say(self.number, self.next is None, force=force)

    def step_once(self, lane: str | None) -> None:
        """Play to the end of the next step, of ``lane`` if one is named, and pause."""
        self.set_paused(True)
        self._single, self._stepped, self._single_lane = self.next is not None, False, lane

    def step_back(self) -> None:
        """Jump to before the last step, and pause."""
        self.set_paused(True)
        self.go(self._timeline.step_before(self.number))

    def restart(self) -> None:
        """Play the round again."""
        self.go(self._timeline.marks.round_at(self.number))
        self.set_paused(False)

    def next_round(self, by: int) -> None:
        """Jump to the beginning of a neighbouring round, or to the end after the last one."""
        if by <= 0:
            self.go(self._timeline.marks.round_before(self.number))
            return
        end = self._timeline.known if self._timeline.settled else None
        number = self._timeline.marks.round_after(self.number) or end
        if number is None:
            self._sink.emit(Notice(NOT_KNOWN_YET, level="warning"))
        else:
            self.go(number)

    def to_parent(self) -> None:
        """Jump to the beginning of the round from which this one was forked."""
        marks = self._timeline.marks
        parent = marks.parents.get(marks.round_at(self.number))
        if parent is None:
            self._sink.emit(Notice(NO_PARENT, level="warning"))
        else:
            self.go(parent)

    def inspect(self, lane: str, slot: int, index: int) -> None:
        """Show what the target was asked about a step when it was recorded."""
        known = self._timeline.inspection(self.number, lane, slot, index)
        self._sink.emit(known or Inspected(lane, slot, index, (), NOT_ASKED))

    def go_to_share(self, share: float) -> None:
        """Jump to a share of the known part of the trace."""
        self.go(round(share * self._timeline.known))

    def seek(self, seconds: float) -> None:
        """Move forward by ``seconds`` of lane time, or back if negative."""
        lane_ns = max(0, round(self.playing.read() + seconds * 1e9))
        if lane_ns > self._timeline.lane_ns and not self._timeline.settled:
            self._sink.emit(Notice(NOT_KNOWN_YET, level="warning"))
        else:
            self.go(self._timeline.at_lane_time(lane_ns))

    def resume(self) -> None:
        """Continue playing; from the beginning if the end was reached."""
        if self.next is None:
            self.go(0)
        self.set_paused(False)

    def set_paused(self, paused: bool) -> None:
        """Pause, or continue playing."""
        self._single = False
        self.playing.hold(0.0)
        self.playing.running = not paused
        if paused != self.paused:
            self.paused = paused
            self.say(force=True)

    def change_speed(self, by: int) -> None:
        """Change to the next faster or slower one of `SPEEDS`."""
        nearest = min(range(len(SPEEDS)), key=lambda place: abs(SPEEDS[place] - self.playing.speed))
        self.set_speed(SPEEDS[max(0, min(len(SPEEDS) - 1, nearest + by))])

    def set_speed(self, speed: float) -> None:
        """Play at ``speed`` times the engines' speed, within limits."""
        self.playing.read()
        self.playing.speed = min(max(speed, MIN_SPEED), MAX_SPEED)
        self.say(force=True)
