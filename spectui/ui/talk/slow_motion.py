"""Slow motion: the race is paused while the screen acts out one step, then it takes the next one.

Knows the source only by its commands and events, and knows no widgets: they read the acted-out step when they draw.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, replace

from spectui.core.beats import BEAT_S, Beat, beats
from spectui.core.history import PastStep
from spectui.core.state import RunState
from spectui.core.views import RunView
from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.protocol.events import Event, Step
from spectui.protocol.playback import Playhead, StateReplaced

PATIENCE_S = 10.0
"""An engine step may report nothing, as in the middle of a long prompt: after this time another one is asked for."""

BEGINS_A_ROUND = (
    cmd.SetPrompt,
    cmd.NextPrompt,
    cmd.NextCategory,
    cmd.Restart,
    cmd.Fork,
    cmd.ToParent,
    cmd.SetConcurrency,
    cmd.SetTemperature,
)
"""After these commands a source runs, even if it was paused before."""


@dataclass(slots=True)
class ActedStep:
    """The step that is acted out.

    Attributes:
        lane: The lane's name.
        before: Tokens of the request's log before the step.
        step: The step.
        beats: All its beats; ``place`` is the index of the one on the screen.
    """

    lane: str
    before: int
    step: Step
    beats: tuple[Beat, ...]
    place: int = 0

    @property
    def beat(self) -> Beat:
        return self.beats[self.place]


class SlowMotion:
    """Asks for one step after another, each when the last one has been acted out.

    Args:
        send: Passes a command to the source.
        later: Calls back after a number of seconds.
        redraw: Asks for a frame.

    Attributes:
        on: Whether the race is in slow motion.
        going: Whether the next step follows by itself.
        frozen: Whether the picture is held, whatever was asked for.
        in_sight: Positions of the lanes whose steps are worth acting out.
    """

    def __init__(
        self,
        send: Callable[[cmd.Command], None],
        later: Callable[[float, Callable[[], None]], None],
        redraw: Callable[[], None],
    ) -> None:
        self._send = send
        self._later = later
        self._redraw = redraw
        self.on = False
        self.going = False
        self.frozen = False
        self.in_sight: Container[int] = range(0)
        self.acted: ActedStep | None = None
        self._singles = 0
        self._waiting = False
        self._came = False
        self._pausing = False
        self._found: ActedStep | None = None
        self._timer = 0
        self._asks = 0

    @property
    def moving(self) -> bool:
        """Whether something happens without another key."""
        return (self.going or self._singles > 0) and not self.frozen

    @property
    def idle(self) -> bool:
        """Whether every step that was asked for has been acted out."""
        return self.acted is None and not self._waiting and not self._singles

    def send(self, command: cmd.Command) -> None:
        """Pass a command on; if it begins a round, the round is paused for slow motion."""
        self._send(command)
        if self.on and isinstance(command, BEGINS_A_ROUND):
            self._reset()
            self._hold()

    def begin(self, going: bool) -> None:
        """Switch to slow motion; ``going`` unless the race was paused."""
        self.on, self.going = True, going
        self._reset()
        self._hold()
        self._redraw()

    def leave(self) -> bool:
        """Return to the source's own speed from the current position; True if the race continues."""
        goes_on = self.going
        self.on = self.going = False
        self._reset()
        if goes_on:
            self._send(cmd.Resume())
        self._redraw()
        return goes_on

    def replay(self, view: RunView) -> None:
        """Play the same round again at true speed."""
        self.on = self.going = False
        self._reset()
        if view.playhead is not None:
            self._send(cmd.SetSpeed(1.0))
        self._send(cmd.Restart())
        self._redraw()

    def toggle(self) -> None:
        """Stop at the current picture, or continue from there."""
        self.going, self._singles = not self.going, 0
        if self.acted is not None:
            self._schedule()
        self._redraw()

    def freeze(self, frozen: bool) -> None:
        """Hold the picture, or let what was running continue."""
        self.frozen = frozen
        if self.acted is not None:
            self._schedule()
        self._redraw()

    def go(self) -> None:
        """Let steps follow each other."""
        self.going = True

    def stop(self) -> None:
        """Stop where the race is."""
        self.going, self._singles = False, 0

    def step(self, number: int = 1) -> None:
        """Skip to the end of what is acted out, act out ``number`` more steps, and stop."""
        self.acted = None
        self.going, self._singles = False, number
        self._redraw()

    def see(self, event: Event, state: RunState, slot: int) -> None:
        """Take note of an event that is already part of ``state``; ``slot`` is the request on the screen."""
        if not self.on:
            return
        match event:
            case Step() if self._waiting:
                self._came = True
                if event.slot == slot and _place(event.lane, state) in self.in_sight:
                    self._found = _acted(event, state)
            case ev.Paused() if state.playhead is None:
                self._pausing = False
            case Playhead(paused=True):
                self._pausing = False
            case ev.LaneStage(stage="failed"):
                self._came = self._waiting
            case ev.RoundStarted(prompts=prompts) if self._waiting and any(prompt.turn for prompt in prompts):
                pass  # The step that was asked for is the first of a conversation's next turn.
            case ev.RoundStarted() | StateReplaced():
                self._reset(keep_singles=True)

    def turn(self, view: RunView) -> None:
        """Called after the events of a frame: act out what came, or ask for more."""
        if not self.on:
            return
        if self._waiting and self._came:
            self._waiting = self._came = False
            self.acted, self._found = self._found, None
            if self.acted is not None:
                self._schedule()
            elif not self._more_in_sight(view):
                self._ended()
        if _over(view):
            if self.acted is None:
                self._singles, self._waiting = 0, False
        elif not view.paused:
            self._hold()
        elif self.moving and self.acted is None and not self._waiting:
            self._ask()

    def seen(self, view: RunView) -> RunView:
        """The view as it should look in slow motion: the source is paused, the race is not."""
        return replace(view, paused=not self.moving) if self.on and view.paused == self.moving else view

    def _more_in_sight(self, view: RunView) -> bool:
        """Whether a step worth acting out can still come, so that steps out of sight do not count."""
        return any(
            lane.active and lane.finished is None for place, lane in enumerate(view.lanes) if place in self.in_sight
        )

    def _hold(self) -> None:
        if not self._pausing:
            self._pausing = True
            self._send(cmd.Pause())

    def _ask(self) -> None:
        self._waiting, self._came = True, False
        self._asks += 1
        asked = self._asks
        self._send(cmd.StepOnce())
        self._later(PATIENCE_S, lambda: self._lose_patience(asked))

    def _lose_patience(self, asked: int) -> None:
        if self.on and self._waiting and asked == self._asks:
            self._waiting = False
            self._redraw()

    def _schedule(self) -> None:
        self._timer += 1
        timer = self._timer
        self._later(BEAT_S, lambda: self._next_beat(timer))

    def _next_beat(self, timer: int) -> None:
        acted = self.acted
        if timer != self._timer or acted is None or not self.moving:
            return
        if acted.place + 1 < len(acted.beats):
            acted.place += 1
            self._schedule()
        else:
            self.acted = None
            self._ended()
        self._redraw()

    def _ended(self) -> None:
        self._singles = max(0, self._singles - 1)

    def _reset(self, keep_singles: bool = False) -> None:
        self.acted = self._found = None
        self._waiting = self._came = self._pausing = False
        self._timer += 1
        if not keep_singles:
            self._singles = 0


def _place(lane: str, state: RunState) -> int | None:
    """The lane's position; None if a damaged trace names a lane that does not exist."""
    return list(state.lanes).index(lane) if lane in state.lanes else None


def _over(view: RunView) -> bool:
    """Whether no further step can come."""
    at_end = view.playhead is not None and view.playhead.ended
    return view.round is None or view.round_over or view.fault is not None or at_end


def _acted(step: Step, state: RunState) -> ActedStep | None:
    request = state.lanes[step.lane].round.requests.get(step.slot)
    past: PastStep | None = request.history.at(step.index) if request else None
    return ActedStep(step.lane, past.logged, step, beats(step)) if past is not None else None
