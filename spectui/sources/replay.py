"""A recorded run through the same door as a live one: events in lane time, at any speed, from any place.

Lane time is what the engines took, so that lanes run at their true speed, absolute and relative to each other; what
lay between, such as pauses and the screen's own slots, is not played. Knows no engine.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized

from spectui import commands as cmd
from spectui.core.jump import Jumped
from spectui.events import (
    Event,
    Inspected,
    Notice,
    Paused,
    RequestFinished,
    RoundFinished,
    Step,
)
from spectui.playback import PlaybackMarks, Playhead
from spectui.sources.base import Sink
from spectui.sources.frame_slot import FrameSlot
from spectui.sources.lane_time import LaneClock, Playing
from spectui.trace.index import Timeline
from spectui.trace.reader import TraceError

logger = logging.getLogger(__name__)

SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
ROUND_GAP_S = 1.5
"""Wall time for which the end of a round stays before the next one begins."""

SAY_S = 0.1
"""Wall time between two words about where the replay is."""

ENOUGH = 1_024
"""Events that may wait for the screen before the replay waits too: it must lose none."""

CROWD_S = 0.01
BURST_EVENTS = 32
"""Events that are played between two slots for a frame."""

INDEX_REST_S = 0.004
"""How long the index rests while the replay has much to play: three quarters of the processor are for what is shown."""

BUCKETS = 120
FINEST = 480
"""Places that marks are told apart by."""

_ENDS = (RequestFinished, RoundFinished)
"""Belong to the step before them."""

NO_ENGINES = "this is a replay: there is no engine to ask"


class Replay:
    """A `Source` that plays a trace."""

    def __init__(
        self,
        timeline: Timeline,
        *,
        speed: float = 1.0,
        start: Callable[[Timeline], int] | None = None,
        loop: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare.

        Args:
            timeline: The trace's index, not yet started.
            speed: Lane time over wall time.
            start: Gives the place to begin at, in a pause, once the index is complete; None begins at the beginning.
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
        self._playing = Playing(now, speed)
        self._clock = LaneClock()
        self._events: Iterator[tuple[int, Event]] = iter(())
        self._next: Event | None = None
        self._number = 0
        self._paused = self._ending = self._single = self._stepped = False
        self._said_at = float("-inf")
        self._said_ns = 0.0
        self._marked = (-1, False)
        timeline.breathe = self._let_index_breathe

    @property
    def slot(self) -> FrameSlot:
        return self._slot

    def start(self, sink: Sink) -> None:
        self._sink = sink
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

    def _let_index_breathe(self) -> None:
        """Called on the index's thread, every millisecond of its work."""
        time.sleep(INDEX_REST_S if self._slot.busy else 0.0)
        self._slot.stand_aside()

    def _begin_at(self, start: Callable[[Timeline], int]) -> None:
        while not (self._timeline.wait(0.05) or self._ending):
            self._say()
            self._follow_for(0.0)
        self._set_paused(True)
        self._go(start(self._timeline))

    def _turn(self) -> None:
        """Play what is due, or wait for it or for a command."""
        if self._paused and not self._single:
            self._say(force=True)
            self._follow_for(None if self._timeline.complete else SAY_S)
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
            if self._next is None or (self._paused and not self._single) or self._playing.wait_s() > 0:
                break
            self._play_next(self._next)
        self._say()
        self._slot.offer()
        self._follow_next(CROWD_S if crowded else 0.0)

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

    def _play_next(self, event: Event) -> None:
        self._playing.reach()
        # A pause of the recording is none of the replay.
        if not isinstance(event, Paused):
            self._sink.emit(event)
        self._number += 1
        self._fetch()
        self._stepped = self._stepped or isinstance(event, Step)
        if self._single and self._stepped and not isinstance(self._next, _ENDS):
            self._single = False
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
        number = max(0, min(number, self._timeline.known))
        state = self._timeline.state_at(number)
        state.paused = self._paused
        lane_ns = self._timeline.lane_time(number, state)
        self._clock = LaneClock.of(state, lane_ns)
        self._playing.set(lane_ns)
        self._sink.emit(Jumped(state))
        self._marked = (-1, False)
        self._play_from(number)
        self._say(force=True)

    def _say(self, force: bool = False) -> None:
        now = self._now()
        if not force and now - self._said_at < SAY_S:
            return
        line, lane_ns = self._timeline, int(self._playing.read())
        reached = None
        if self._playing.behind and now > self._said_at:
            reached = (lane_ns - self._said_ns) / 1e9 / (now - self._said_at)
        self._said_at, self._said_ns = now, lane_ns
        self._sink.emit(
            Playhead(
                number=self._number,
                total=max(line.known, self._number),
                lane_ns=lane_ns,
                total_ns=max(line.lane_ns, lane_ns),
                known=line.progress,
                speed=self._playing.speed,
                reached=reached,
                ended=self._next is None,
            )
        )
        if (marked := (line.known, line.complete)) != self._marked:
            self._marked = marked
            self._sink.emit(marks(line))

    def _follow_for(self, seconds: float | None) -> None:
        """Let frames be drawn at any time, and follow the command that comes within ``seconds``; None waits for one."""
        self._slot.stepping(False)
        self._follow_next(seconds)

    def _follow_next(self, seconds: float | None) -> None:
        try:
            command = self._commands.get(timeout=seconds) if seconds else self._commands.get(block=seconds is None)
        except queue.Empty:
            return
        self._follow(command)

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
                self._single, self._stepped = self._next is not None, False
            case cmd.StepBack():
                self._set_paused(True)
                self._go(self._timeline.step_before(self._number))
            case cmd.Seek(seconds):
                lane_ns = self._playing.read() + seconds * 1e9
                self._go(self._timeline.at_lane_time(max(0, round(lane_ns))))
            case cmd.SeekTo(share):
                self._go(round(share * self._timeline.known))
            case cmd.Restart():
                self._go(self._this_round())
                self._set_paused(False)
            case cmd.NextPrompt(by):
                self._go(self._round(by))
            case cmd.ChangeSpeed(by):
                self._change_speed(by)
            case cmd.SetSpeed(speed):
                self._set_speed(min(max(speed, SPEEDS[0]), SPEEDS[-1]))
            case cmd.Inspect(lane, slot, index):
                self._sink.emit(Inspected(lane, slot, index, (), NO_ENGINES))
            case _:
                self._sink.emit(Notice(NO_ENGINES, level="warning"))

    def _round(self, by: int) -> int:
        """The beginning of the next round, or of the one before this."""
        rounds = list(self._timeline.marks.rounds)
        if by > 0:
            return next((number for number in rounds if number > self._number), self._timeline.known)
        before = [number for number in rounds if number <= self._number]
        return before[-2] if len(before) > 1 else 0

    def _this_round(self) -> int:
        """The beginning of the round that is played; of the trace before the first."""
        return max((number for number in self._timeline.marks.rounds if number <= self._number), default=0)

    def _resume(self) -> None:
        if self._next is None:
            self._go(0)
        self._set_paused(False)

    def _set_paused(self, paused: bool) -> None:
        self._single = False
        self._playing.hold(0.0)
        self._playing.running = not paused
        if paused != self._paused:
            self._paused = paused
            self._sink.emit(Paused(paused))

    def _change_speed(self, by: int) -> None:
        nearest = min(range(len(SPEEDS)), key=lambda place: abs(SPEEDS[place] - self._playing.speed))
        self._set_speed(SPEEDS[max(0, min(len(SPEEDS) - 1, nearest + by))])

    def _set_speed(self, speed: float) -> None:
        self._playing.read()
        self._playing.speed = speed
        self._say(force=True)


def marks(line: Timeline) -> PlaybackMarks:
    """What is known of the trace as shares of it."""
    total = max(1, line.known)

    def shares(numbers: Iterable[int]) -> tuple[float, ...]:
        # Neighbours that fall into one cell of any bar are one.
        return tuple(sorted({round(number / total * FINEST) / FINEST for number in numbers}))

    found = line.marks
    return PlaybackMarks(
        shares(found.rounds),
        shares(found.ends),
        shares(found.k_changes),
        shares(found.divergences),
        line.rejections(BUCKETS),
    )
