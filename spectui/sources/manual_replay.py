"""Plays a trace without a thread or a wall clock: it stands at one place until its caller advances it.

For pictures and casts, which must come out the same each time. Knows no engine.
"""

from __future__ import annotations

from collections.abc import Iterator

from spectui.protocol.commands import Command, Shutdown
from spectui.protocol.events import Event, Notice, RoundFinished
from spectui.protocol.frame_slot import FrameSlot
from spectui.protocol.playback import Playhead, StateReplaced
from spectui.protocol.source import Sink
from spectui.sources.cursor import ROUND_GAP_S
from spectui.sources.lane_time import LaneClock
from spectui.sources.playback import SAY_S, marks
from spectui.sources.replay import Replay
from spectui.trace.index import Timeline


class ManualReplay:
    """A `Source` that looks like a replay in which nobody presses a key.

    Args:
        timeline: A complete index.
        number: The place at which it begins.
        paused: Whether the screen says that the run is paused.
        speed: Lane time per second that is passed to `advance`.
    """

    accepts = Replay.accepts
    """The replay's, because a picture of a replay shows the replay's keys."""

    def __init__(self, timeline: Timeline, number: int = 0, *, paused: bool = True, speed: float = 1.0) -> None:
        self._timeline = timeline
        self._number = number
        self._paused = paused
        self._speed = speed
        self._slot = FrameSlot()
        self._sink: Sink
        self._clock: LaneClock
        self._events: Iterator[tuple[int, Event]] = iter(())
        self._next: Event | None = None
        self._lane_ns = self._due_ns = 0
        self._hold_s = self._silent_s = 0.0

    @property
    def slot(self) -> FrameSlot:
        return self._slot

    @property
    def ended(self) -> bool:
        """Whether the last event has been handed over."""
        return self._next is None

    def start(self, sink: Sink) -> None:
        self._sink = sink
        line = self._timeline
        state = line.state_at(self._number)
        self._lane_ns = line.lane_time(self._number, state)
        self._clock = LaneClock.of(state, self._lane_ns)
        self._events = line.events(self._number)
        self._fetch()
        sink.emit(StateReplaced(state))
        sink.emit(marks(line))
        self._say()

    def send(self, command: Command) -> None:
        if not isinstance(command, Shutdown):
            self._sink.emit(Notice("a picture of a replay does not respond to keys", level="warning"))

    def stop(self, timeout_s: float) -> bool:
        return True

    def advance(self, seconds: float) -> None:
        """Hand over what happens in the next ``seconds``; the end of a round is held for a while, as in a replay."""
        held = min(seconds, self._hold_s)
        self._hold_s -= held
        self._lane_ns += round((seconds - held) * self._speed * 1e9)
        while self._next is not None and self._due_ns <= self._lane_ns and not self._hold_s:
            self._pass(self._next)
        if self._next is None or self._hold_s:
            self._lane_ns = self._clock.now_ns
        self._silent_s += seconds
        if self._silent_s >= SAY_S or self._next is None:
            self._say()

    def _pass(self, event: Event) -> None:
        self._sink.emit(event)
        self._number += 1
        if isinstance(event, RoundFinished):
            self._hold_s = ROUND_GAP_S
        self._fetch()

    def _fetch(self) -> None:
        found = next(self._events, None)
        self._next = None if found is None else found[1]
        if self._next is not None:
            self._due_ns = self._clock.see(self._next)

    def _say(self) -> None:
        self._silent_s = 0.0
        line = self._timeline
        self._sink.emit(
            Playhead(
                number=self._number,
                total=line.known,
                lane_ns=self._lane_ns,
                total_ns=line.lane_ns,
                known=1.0,
                speed=self._speed,
                paused=self._paused,
                ended=self._next is None,
            )
        )
