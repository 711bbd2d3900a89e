"""Replays a recorded run as a source like a live one: events in lane time, at any speed, from any place.

Lane time is the time that the engines took, so that lanes run at their true speed, both absolutely and relative to each
other; what lay between, such as pauses and the screen's own slots, is not played. Knows no engine.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sized

from spectui.protocol import commands as cmd
from spectui.protocol.events import Notice
from spectui.protocol.frame_slot import FrameSlot
from spectui.protocol.source import Sink
from spectui.sources.cursor import ROUND_GAP_S, Cursor
from spectui.sources.playback import SAY_S
from spectui.trace.index import Timeline
from spectui.trace.reader import TraceError

logger = logging.getLogger(__name__)

ENOUGH = 1_024
"""Events that may be waiting for the screen before the replay waits for it: no event may be lost."""

CROWD_S = 0.01
BURST_EVENTS = 32
"""Events played between two slots for a frame."""

INDEX_REST_S = 0.004
"""How long the index rests while the replay is busy: three quarters of the processor are for what is shown."""

INDEX_AHEAD = 2_048
"""Events that the index must be ahead of playback before it rests."""

NO_ENGINES = "this is a replay: no engine to ask"

Start = Callable[[Timeline], int | None]
"""Returns the place to begin at; None as long as the index does not reach that far."""


class Replay:
    """A `Source` that plays a trace."""

    accepts: frozenset[type[cmd.Command]] = frozenset(
        {
            cmd.NextPrompt,
            cmd.Restart,
            cmd.ToParent,
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
            start: Where to begin, paused; None begins at the beginning and plays.
            loop: Whether to begin again at the end.
            now: The wall clock in seconds.
        """
        self._timeline = timeline
        self._start = start
        self._loop = loop
        self._now = now
        self._commands: queue.SimpleQueue[cmd.Command] = queue.SimpleQueue()
        self._slot = FrameSlot()
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)
        self._speed = speed
        self._sink: Sink
        self._cursor: Cursor
        self._ending = False
        timeline.breathe = self._let_index_breathe

    @property
    def slot(self) -> FrameSlot:
        return self._slot

    def start(self, sink: Sink) -> None:
        self._sink = sink
        self._cursor = Cursor(self._timeline, sink, self._now, self._speed)
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
            self._cursor.play_from(0)
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
        ahead = self._timeline.known > self._cursor.number + INDEX_AHEAD
        time.sleep(INDEX_REST_S if ahead and self._slot.busy else 0.0)
        self._slot.stand_aside()

    def _begin_at(self, start: Start) -> None:
        """Jump to the start as soon as its place is known, unless the user has moved elsewhere meanwhile."""
        self._cursor.set_paused(True)
        while self._cursor.paused and not (self._cursor.went or self._ending):
            settled = self._timeline.settled
            number = start(self._timeline)
            if number is not None or settled:
                self._cursor.go(self._timeline.known if number is None else number)
            else:
                self._cursor.say()
                self._follow_for(SAY_S)

    def _turn(self) -> None:
        """Play the events that are due, or wait for one or for a command."""
        if self._cursor.paused and not self._cursor.stepping:
            self._cursor.say(force=True)
            self._follow_for(None if self._timeline.settled else SAY_S)
        elif self._cursor.next is None:
            self._at_end()
        elif not self._cursor.stepping and (wait_s := self._cursor.playing.wait_s()) > 0:
            self._cursor.say()
            self._follow_for(min(wait_s, SAY_S))
        else:
            self._burst()

    def _burst(self) -> None:
        """Play some of the due events, then let a waiting frame be drawn: frames never compete with playback."""
        self._slot.stepping(True)
        crowded = self._crowded()
        for _ in range(0 if crowded else BURST_EVENTS):
            if self._cursor.next is None or not self._cursor.due or (crowded := self._cursor.late):
                break
            self._cursor.play_next(self._cursor.next)
        self._cursor.say()
        self._slot.offer()
        self._follow_next(CROWD_S if crowded else 0.0)

    def _at_end(self) -> None:
        if not self._loop:
            self._cursor.set_paused(True)
            return
        self._cursor.playing.hold(ROUND_GAP_S)
        self._follow_for(ROUND_GAP_S)
        if self._cursor.next is None and not self._cursor.paused:
            self._cursor.go(0)

    def _crowded(self) -> bool:
        """Whether the screen has enough to do: a replay can wait, and must lose nothing."""
        return isinstance(self._sink, Sized) and len(self._sink) > ENOUGH

    def _follow_for(self, seconds: float | None) -> None:
        """Allow frames at any time, and follow a command that arrives within ``seconds``; None waits for one."""
        self._slot.stepping(False)
        self._follow_next(seconds)

    def _follow_next(self, seconds: float | None) -> None:
        command = self._command(seconds)
        while command is not None:
            later = self._command(0.0) if isinstance(command, cmd.SeekTo) else None
            # While the user drags along the timeline, only the last place is worth a jump.
            if not isinstance(later, cmd.SeekTo):
                self._follow(command)
            command = later

    def _command(self, seconds: float | None) -> cmd.Command | None:
        try:
            return self._commands.get(timeout=seconds) if seconds else self._commands.get(block=seconds is None)
        except queue.Empty:
            return None

    def _follow(self, command: cmd.Command) -> None:
        cursor = self._cursor
        match command:
            case cmd.Shutdown():
                self._ending = True
            case cmd.Pause():
                cursor.set_paused(True)
            case cmd.Resume():
                cursor.resume()
            case cmd.StepOnce(lane):
                cursor.step_once(lane)
            case cmd.StepBack():
                cursor.step_back()
            case cmd.Seek(seconds):
                cursor.seek(seconds)
            case cmd.SeekTo(share):
                cursor.go_to_share(share)
            case cmd.Restart():
                cursor.restart()
            case cmd.ToParent():
                cursor.to_parent()
            case cmd.NextPrompt(by):
                cursor.next_round(by)
            case cmd.ChangeSpeed(by):
                cursor.change_speed(by)
            case cmd.SetSpeed(speed):
                cursor.set_speed(speed)
            case cmd.Inspect(lane, slot, index):
                cursor.inspect(lane, slot, index)
            case _:
                self._sink.emit(Notice(NO_ENGINES, level="warning"))
