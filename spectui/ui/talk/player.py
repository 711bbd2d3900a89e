"""Performs a talk: scene after scene, what happens in them, and what they wait for.

Knows neither widgets nor sources: the ``performance`` carries out what is to be done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from spectui.core.views import RunView
from spectui.protocol import events as ev
from spectui.protocol.events import Event
from spectui.protocol.playback import Playhead, StateReplaced
from spectui.ui.talk.script import Do, Scene, Script, Wait


class Performance(Protocol):
    """What a talk can do to the race and the screens."""

    @property
    def live(self) -> bool:
        """Whether engines race, as opposed to a trace."""

    def do(self, act: Do) -> bool:
        """Carry out one act; True if it begins a round."""

    def settled(self) -> bool:
        """Whether earlier acts are complete; continues those that are not."""

    def freeze(self, frozen: bool) -> None:
        """Hold the race, or let it continue if it was held here."""

    def let_go(self) -> None:
        """Note that the talk has ended: what is held here continues at the next key, not at once."""

    def round_over(self) -> None:
        """Note that the round that was waited for is over, and must stay on the screen."""


class TalkPlayer:
    """Plays ``talk`` on ``performance``; ``now`` and ``later`` provide the time, ``redraw`` asks for a frame."""

    def __init__(
        self,
        talk: Script,
        performance: Performance,
        now: Callable[[], float],
        later: Callable[[float, Callable[[], None]], None],
        redraw: Callable[[], None],
    ) -> None:
        self._talk = talk
        self._performance = performance
        self._now = now
        self._later = later
        self._redraw = redraw
        self._number = -1
        self._place = 0
        self._waits: Wait | None = None
        self._due = 0.0
        self._left_s = 0.0
        self._timer = 0
        self._round_is_over = self._round_is_due = self._at_end = False
        self.paused = False
        self.over = False

    @property
    def running(self) -> bool:
        """Whether the talk has begun but not ended."""
        return self._number >= 0 and not self.over

    @property
    def scene(self) -> Scene:
        return self._talk.scenes[self._number]

    @property
    def caption(self) -> str:
        """The current scene's caption, empty if no talk is running."""
        return self.scene.caption if self.running else ""

    @property
    def progress(self) -> str:
        return f"{self._number + 1}/{len(self._talk.scenes)}"

    def see(self, event: Event) -> None:
        """Take note of an event."""
        match event:
            case StateReplaced():
                # A replay jumps past the beginning of the round.
                self._round_is_due, self._round_is_over = False, event.state.round_over
                self._at_end = event.state.playhead is not None and event.state.playhead.ended
            case ev.RoundStarted():
                self._round_is_due = self._round_is_over = False
            case ev.RoundFinished():
                self._round_is_over = not self._round_is_due
            case Playhead():
                self._at_end = event.ended

    def turn(self, view: RunView) -> None:
        """Called after the events of a frame: begin, or continue if what was waited for has happened."""
        if self.over or view.round is None:
            return
        if self._number < 0:
            self._begin(0)
        elif self.paused or not self._performance.settled():
            return
        elif self._waits is None:
            self._play()
        elif self._waits.for_ == "round" and self._ended(view):
            self._performance.round_over()
            self._go_on()

    def pause(self) -> None:
        """Hold the talk and the race, or let both continue."""
        self.paused = not self.paused
        self._performance.freeze(self.paused)
        if self.paused:
            self._left_s = max(0.0, self._due - self._now())
            self._timer += 1
        elif self._waits is not None and isinstance(self._waits.for_, float):
            self._wait(self._left_s)
        self._redraw()

    def next_scene(self) -> None:
        """Carry out the rest of the scene without waiting, and begin the next one."""
        if self.paused:
            self.pause()
        for act in self.scene.acts[self._place :]:
            if isinstance(act, Do):
                self._do(act)
        self._begin(self._number + 1)
        self._redraw()

    def end(self) -> None:
        """End the talk; the race stays as it is."""
        self.over = True
        self._timer += 1
        if self.paused:
            self._performance.let_go()
        self._redraw()

    def _begin(self, number: int) -> None:
        self._timer += 1
        self._waits = None
        while number < len(self._talk.scenes) and self._talk.scenes[number].live and not self._performance.live:
            number += 1
        if number == len(self._talk.scenes):
            self.end()
        else:
            self._number, self._place = number, 0
            self._play()

    def _play(self) -> None:
        while self._place < len(self.scene.acts):
            act = self.scene.acts[self._place]
            self._place += 1
            if isinstance(act, Wait):
                self._waits = act
                if isinstance(act.for_, float):
                    self._wait(act.for_)
                return
            self._do(act)
            if not self._performance.settled():
                return
        self._begin(self._number + 1)

    def _do(self, act: Do) -> None:
        if self._performance.do(act):
            self._round_is_due, self._round_is_over, self._at_end = True, False, False

    def _ended(self, view: RunView) -> bool:
        over = not self._round_is_due and self._round_is_over
        return view.fault is not None or self._at_end or (over and (view.round_over or not view.goes_on))

    def _wait(self, seconds: float) -> None:
        self._timer += 1
        timer = self._timer
        self._due = self._now() + seconds

        def due() -> None:
            if timer == self._timer and not self.over:
                self._go_on()

        self._later(seconds, due)

    def _go_on(self) -> None:
        self._waits = None
        self._play()
        self._redraw()
