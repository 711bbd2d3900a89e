"""A recorded run through the same door as a live one: events in lane time, at any speed, from any place.

Lane time is what the engines took, so that lanes run at their true speed, absolute and relative to each other; what
lay between, such as pauses and the screen's own slots, is not played. Knows no engine.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sized

from spectui.protocol import commands as cmd
from spectui.protocol.events import (
    Event,
    Inspected,
    Notice,
    RequestFinished,
    RoundFinished,
    Step,
)
from spectui.protocol.frame_slot import FrameSlot
from spectui.protocol.jump import Jumped
from spectui.protocol.limits import MAX_SPEED, MIN_SPEED
from spectui.protocol.source import Sink
from spectui.sources.lane_time import LaneClock, Playing
from spectui.sources.playback import SAY_S, Whereabouts
from spectui.trace.index import Timeline
from spectui.trace.reader import TraceError

logger = logging.getLogger(__name__)

SPEEDS = (MIN_SPEED, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, MAX_SPEED)
ROUND_GAP_S = 1.5
"""Wall time for which the end of a round stays before the next one begins."""

ENOUGH = 1_024
"""Events that may wait for the screen before the replay waits too: it must lose none."""

CROWD_S = 0.01
BURST_EVENTS = 32
"""Events that are played between two slots for a frame."""

INDEX_REST_S = 0.004
"""How long the index rests while the replay has much to play: three quarters of the processor are for what is shown."""

INDEX_AHEAD = 2_048
"""Events that the index keeps ahead of what is played, before it rests."""

_ENDS = (RequestFinished, RoundFinished)
"""Belong to the step before them."""

NO_ENGINES = "this is a replay: there is no engine to ask"
NOT_ASKED = "nobody asked the target about this step while it was recorded, and a replay has no engine to ask"
NOT_KNOWN_YET = "that place is not known yet: the trace is still being looked through"

Start = Callable[[Timeline], int | None]
"""Gives the place to begin at, None as long as the index does not reach so far."""


class Replay:
    """A `Source` that plays a trace."""

    accepts: frozenset[type[cmd.Command]] = frozenset(
        {
            cmd.NextPrompt,
            cmd.Restart,
            cmd.Pause,
            cmd.Resume,
            cmd.StepOnce,
            cmd.StepBack,
            cmd.Seek,
            cmd.SeekTo,
            cmd.ChangeSpeed,
            cmd.SetSpeed,
            cmd.Inspect,
            cmd.Shutdown,
        }
    )

    def __init__(
        self,
        timeline: Timeline,
        *,
        speed: float = 1.0,
        start: Start | None = None,
        loop: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare.

        Args:
            timeline: The trace's index, not yet started.
            speed: Lane time over wall time.
            start: Where to begin, in a pause; None begins at the beginning and plays.
            loop: Begin again at the end.
            now: The wall clock in seconds.
        """
        self._timeline = timeline
        self._start = start
        self._loop = loop
        self._now = now
        self._commands: queue.SimpleQueue[cmd.Command] = queue.SimpleQueue()
        self._slot = FrameSlot()
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)
        self._sink: Sink
        self._whereabouts: Whereabouts
        self._playing = Playing(now, speed)
        self._clock = LaneClock()
        self._events: Iterator[tuple[int, Event]] = iter(())
        self._next: Event | None = None
        self._number = 0
        self._paused = self._ending = self._stepped = self._went = False
        self._single: cmd.StepOnce | None = None
        timeline.breathe = self._let_index_breathe

    @property
    def slot(self) -> FrameSlot:
        return self._slot

    def start(self, sink: Sink) -> None:
        self._sink = sink
        self._whereabouts = Whereabouts(sink, self._timeline, self._playing, self._now)
        self._timeline.start()
        self._thread.start()

    def send(self, command: cmd.Command) -> None:
        self._commands.put(command)

    def stop(self, timeout_s: float) -> bool:
        self.send(cmd.Shutdown())
        self._timeline.cancel()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._play_from(0)
            if self._start is not None:
                self._begin_at(self._start)
            while not self._ending:
                self._turn()
        except TraceError as error:
            self._sink.emit(Notice(str(error), level="error"))
        except Exception as error:
            logger.exception("the replay died")
            self._sink.emit(Notice(f"the replay died: {error}; the log has the details", level="error"))
        finally:
            self._slot.stepping(False)

    def _let_index_breathe(self) -> None:
        """Called on the index's thread, every millisecond of its work."""
        ahead = self._timeline.known > self._number + INDEX_AHEAD
        time.sleep(INDEX_REST_S if ahead and self._slot.busy else 0.0)
        self._slot.stand_aside()

    def _begin_at(self, start: Start) -> None:
        """Go there as soon as the place is known, unless the user went elsewhere meanwhile."""
        self._set_paused(True)
        while self._paused and not (self._went or self._ending):
            settled = self._timeline.settled
            number = start(self._timeline)
            if number is not None or settled:
                self._go(self._timeline.known if number is None else number)
            else:
                self._say()
                self._follow_for(SAY_S)

    def _turn(self) -> None:
        """Play what is due, or wait for it or for a command."""
        if self._paused and not self._single:
            self._say(force=True)
            self._follow_for(None if self._timeline.settled else SAY_S)
        elif self._next is None:
            self._at_end()
        elif not self._single and (wait_s := self._playing.wait_s()) > 0:
            self._say()
            self._follow_for(min(wait_s, SAY_S))
        else:
            self._burst()

    def _burst(self) -> None:
        """Play some of what is due, then let a waiting frame be drawn: no frame shares the interpreter."""
        self._slot.stepping(True)
        crowded = self._crowded()
        for _ in range(0 if crowded else BURST_EVENTS):
            if self._next is None or not self._due or (crowded := self._late):
                break
            self._play_next(self._next)
        self._say()
        self._slot.offer()
        self._follow_next(CROWD_S if crowded else 0.0)

    @property
    def _due(self) -> bool:
        """Whether the next event happens now: its time has come, or somebody takes a single step."""
        return self._single is not None or (not self._paused and self._playing.wait_s() <= 0)

    def _at_end(self) -> None:
        if not self._loop:
            self._set_paused(True)
            return
        self._playing.hold(ROUND_GAP_S)
        self._follow_for(ROUND_GAP_S)
        if self._next is None and not self._paused:
            self._go(0)

    def _crowded(self) -> bool:
        """Whether the screen has enough to do: a replay must lose nothing, and can wait."""
        return isinstance(self._sink, Sized) and len(self._sink) > ENOUGH

    @property
    def _late(self) -> bool:
        """Whether the index has to catch up first: every place that was shown can be gone to."""
        return self._number >= self._timeline.known and not self._timeline.settled

    def _play_next(self, event: Event) -> None:
        self._playing.reach()
        self._sink.emit(event)
        self._number += 1
        self._fetch()
        if self._single is not None:
            self._stepped |= isinstance(event, Step) and self._single.lane in (None, event.lane)
            if self._stepped and not isinstance(self._next, _ENDS):
                self._single = None
                self._say(force=True)
        elif isinstance(event, RoundFinished):
            self._playing.hold(ROUND_GAP_S)
        self._say()

    def _fetch(self) -> None:
        found = next(self._events, None)
        self._next = None if found is None else found[1]
        if self._next is not None:
            self._playing.limit_ns = float(self._clock.see(self._next))

    def _play_from(self, number: int) -> None:
        self._events = self._timeline.events(number)
        self._number = number
        self._fetch()

    def _go(self, number: int) -> None:
        """Show the place ``number``, and go on from there."""
        self._went = True
        number = max(0, min(number, self._timeline.known))
        state = self._timeline.state_at(number)
        lane_ns = self._timeline.lane_time(number, state)
        self._clock = LaneClock.of(state, lane_ns)
        self._playing.set(lane_ns)
        self._play_from(number)
        state.playhead = self._whereabouts.playhead(number, self._next is None)
        self._sink.emit(Jumped(state))
        self._whereabouts.forget_marks()
        self._say(force=True)

    def _say(self, force: bool = False) -> None:
        self._whereabouts.say(self._number, self._next is None, force=force)

    def _follow_for(self, seconds: float | None) -> None:
        """Let frames be drawn at any time, and follow the command that comes within ``seconds``; None waits for one."""
        self._slot.stepping(False)
        self._follow_next(seconds)

    def _follow_next(self, seconds: float | None) -> None:
        command = self._command(seconds)
        while command is not None:
            later = self._command(0.0) if isinstance(command, cmd.SeekTo) else None
            # Of the places that somebody drags over only the last one is worth going to.
            if not isinstance(later, cmd.SeekTo):
                self._follow(command)
            command = later

    def _command(self, seconds: float | None) -> cmd.Command | None:
        try:
            return self._commands.get(timeout=seconds) if seconds else self._commands.get(block=seconds is None)
        except queue.Empty:
            return None

    def _follow(self, command: cmd.Command) -> None:
        match command:
            case cmd.Shutdown():
                self._ending = True
            case cmd.Pause():
                self._set_paused(True)
            case cmd.Resume():
                self._resume()
            case cmd.StepOnce():
                self._set_paused(True)
                self._single, self._stepped = command if self._next is not None else None, False
            case cmd.StepBack():
                self._set_paused(True)
                self._go(self._timeline.step_before(self._number))
            case cmd.Seek(seconds):
                self._seek(seconds)
            case cmd.SeekTo(share):
                self._go(round(share * self._timeline.known))
            case cmd.Restart():
                self._go(self._timeline.marks.round_at(self._number))
                self._set_paused(False)
            case cmd.NextPrompt(by):
                if by > 0:
                    self._next_round()
                else:
                    self._go(self._timeline.marks.round_before(self._number))
            case cmd.ChangeSpeed(by):
                self._change_speed(by)
            case cmd.SetSpeed(speed):
                self._set_speed(min(max(speed, MIN_SPEED), MAX_SPEED))
            case cmd.Inspect(lane, slot, index):
                known = self._timeline.inspection(self._number, lane, slot, index)
                self._sink.emit(known or Inspected(lane, slot, index, (), NOT_ASKED))
            case _:
                self._sink.emit(Notice(NO_ENGINES, level="warning"))

    def _seek(self, seconds: float) -> None:
        lane_ns = max(0, round(self._playing.read() + seconds * 1e9))
        if lane_ns > self._timeline.lane_ns and not self._timeline.settled:
            self._sink.emit(Notice(NOT_KNOWN_YET, level="warning"))
        else:
            self._go(self._timeline.at_lane_time(lane_ns))

    def _next_round(self) -> None:
        """Go to the beginning of the next round, or to the end behind the last one."""
        end = self._timeline.known if self._timeline.settled else None
        number = self._timeline.marks.round_after(self._number) or end
        if number is None:
            self._sink.emit(Notice(NOT_KNOWN_YET, level="warning"))
        else:
            self._go(number)

    def _resume(self) -> None:
        if self._next is None:
            self._go(0)
        self._set_paused(False)

    def _set_paused(self, paused: bool) -> None:
        self._single = None
        self._playing.hold(0.0)
        self._playing.running = not paused
        if paused != self._paused:
            self._paused = paused
            self._say(force=True)

    def _change_speed(self, by: int) -> None:
        nearest = min(range(len(SPEEDS)), key=lambda place: abs(SPEEDS[place] - self._playing.speed))
        self._set_speed(SPEEDS[max(0, min(len(SPEEDS) - 1, nearest + by))])

    def _set_speed(self, speed: float) -> None:
        self._playing.read()
        self._playing.speed = speed
        self._say(force=True)
