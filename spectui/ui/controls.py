"""Turns the actions of the live screen into commands and choices, and knows when they can do nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spectui.core.views import LaneView, RunView
from spectui.protocol import commands as cmd
from spectui.protocol.events import LaneInfo
from spectui.protocol.limits import MAX_CONCURRENCY, MAX_TEMPERATURE
from spectui.ui.talk.slow_motion import SlowMotion
from spectui.ui.widgets.stream_layout import Rejected

if TYPE_CHECKING:
    from spectui.ui.screens.prompt import Question


@dataclass(slots=True)
class Choices:
    """What the user chose on this screen; the run does not know it.

    ``wanted_k`` and ``wanted_pause`` hold what was asked for and not yet confirmed, so that a key pressed twice before
    the source answers counts twice.
    """

    focus: int = 0
    slot: int = 0
    windowed: bool = True
    rejected: Rejected = "first"
    presenting: bool = False
    wanted_k: dict[str, int] = field(default_factory=dict)
    wanted_pause: bool | None = None


NEXT_REJECTED: Mapping[Rejected, Rejected] = {"none": "first", "first": "all", "all": "none"}
"""What the key shows of the refused drafts instead."""

REPLAY_ONLY = frozenset({"step_back", "seek", "seek_to", "speed"})
LIVE_ONLY = frozenset({"ask", "next_category", "concurrency", "change_k", "tune", "record"})
"""What needs an engine."""


class Controls:
    """Turns actions into commands and choices. ``slow`` passes commands to the source, ``say`` tells the user."""

    def __init__(self, choices: Choices, slow: SlowMotion, say: Callable[[str], None]) -> None:
        self._choices = choices
        self._slow = slow
        self._send = slow.send
        self._say = say
        self._earlier: dict[str, list[str]] = {}

    def begin(self, lanes: tuple[LaneInfo, ...]) -> None:
        """A run begins: the first lane that drafts is the one to look at."""
        self._choices.focus = next((place for place, lane in enumerate(lanes) if lane.k_max), 0)

    def answered(self) -> None:
        """The source said something about K, the pause or a command: nothing is pending any more."""
        self._choices.wanted_k.clear()
        self._choices.wanted_pause = None

    def focused(self, view: RunView) -> LaneView | None:
        """The lane that lane keys act on."""
        return view.lanes[self._choices.focus] if self._choices.focus < len(view.lanes) else None

    def k(self, lane: LaneView) -> int:
        """The K that the lane has or is about to have."""
        return self._choices.wanted_k.get(lane.info.name, lane.k)

    def paused(self, view: RunView) -> bool:
        """Whether the race stands still or is about to."""
        if self._slow.on:
            return not self._slow.moving
        wanted = self._choices.wanted_pause
        return view.paused if wanted is None else wanted

    def possible(self, action: str, parameters: tuple[object, ...], view: RunView) -> bool:
        """Whether the action would do anything now."""
        lane = self.focused(view)
        replay = view.playhead is not None
        # What has died can still be looked at.
        alive = replay or (view.fault is None and any(one.failed is None for one in view.lanes))
        begun = alive and view.round is not None
        if action in REPLAY_ONLY:
            return replay
        if replay and action in LIVE_ONLY:
            return False
        by = parameters[0] if parameters and isinstance(parameters[0], int) else 0
        match action:
            case "pause":
                return begun and (self.paused(view) or replay or not view.round_over)
            case "step":
                return begun and (replay or not view.round_over)
            case "next_prompt" | "next_category" | "restart":
                return begun
            case "ask" if parameters == ("k",):
                return begun and lane is not None and lane.failed is None and lane.info.k_max > 0
            case "ask":
                return begun
            case "concurrency":
                return begun and 1 <= len(view.prompts) + by <= MAX_CONCURRENCY
            case "move_focus":
                return len(view.lanes) > 1
            case "focus_lane":
                return 1 <= by <= len(view.lanes)
            case "change_k":
                return begun and lane is not None and lane.failed is None and 0 <= self.k(lane) + by <= lane.info.k_max
            case "tune":
                return begun and not self._slow.on and lane is not None and lane.failed is None and lane.info.k_max > 0
            case "costs":
                return begun
            case "slow":
                return begun and self._choices.presenting
            case "inspect":
                return begun and lane is not None and bool(lane.history)
            case "request":
                return len(view.prompts) > 1
            case "scroll_text" | "rejected" | "window" | "present":
                return lane is not None
        return True

    def pause(self, view: RunView) -> None:
        if self._slow.on:
            self._slow.toggle()
            return
        paused = self.paused(view)
        self._choices.wanted_pause = not paused
        self._send(cmd.Resume() if paused else cmd.Pause())

    def step(self) -> None:
        if self._slow.on:
            self._slow.step()
        else:
            self._send(cmd.StepOnce())

    def present(self) -> None:
        """Presenter mode on or off; slow motion is a part of it."""
        self._choices.presenting = not self._choices.presenting
        if self._slow.on and not self._choices.presenting:
            self._slow.leave()

    def slow(self, view: RunView) -> None:
        """Slow motion on or off; of a round that is over again from its beginning."""
        if self._slow.on:
            if self._slow.leave():
                self._say("at true speed from here; r plays it again from the beginning")
        elif view.round_over:
            self._slow.begin(going=True)
            self._send(cmd.Restart())
        else:
            self._slow.begin(going=not self.paused(view))

    def record(self) -> None:
        self._send(cmd.Record())

    def step_back(self) -> None:
        self._slow.stop()
        self._send(cmd.StepBack())

    def seek(self, seconds: float) -> None:
        self._send(cmd.Seek(seconds))

    def seek_to(self, share: float) -> None:
        self._send(cmd.SeekTo(share))

    def speed(self, by: int) -> None:
        self._send(cmd.ChangeSpeed(by))

    def next_prompt(self, by: int) -> None:
        self._send(cmd.NextPrompt(by))

    def restart(self, view: RunView) -> None:
        """The same prompts again; out of slow motion at true speed."""
        if self._slow.on:
            self._slow.replay(view)
        else:
            self._send(cmd.Restart())

    def next_category(self) -> None:
        self._send(cmd.NextCategory())

    def question(self, what: str, view: RunView) -> Question | None:
        """What the line asks for: a prompt, a K of the focused lane, a temperature."""
        from spectui.ui.screens.prompt import Question

        earlier = self._earlier.setdefault(what, [])
        match what:
            case "prompt":
                return Question("your prompt", lambda text: self._send(cmd.SetPrompt(text)), "race it", earlier)
            case "temperature":
                return Question("temperature, 0 is greedy", self._temperature, "sample so", earlier)
            case "k" if (lane := self.focused(view)) is not None:
                hint = f"K of {lane.info.title}, from 0 to {lane.info.k_max}"
                return Question(hint, lambda text: self._typed_k(lane.info, text), "draft so many", earlier)
        return None

    def _typed_k(self, lane: LaneInfo, text: str) -> None:
        if text.isdecimal():
            self._send(cmd.SetK(lane.name, int(text)))
        else:
            self._say(f"'{text}' is no K: {lane.title} takes a whole number from 0 to {lane.k_max}")

    def _temperature(self, text: str) -> None:
        try:
            temperature = float(text)
        except ValueError:
            temperature = -1.0
        if 0 <= temperature <= MAX_TEMPERATURE:
            self._send(cmd.SetTemperature(temperature))
        else:
            self._say(f"'{text}' is no temperature: type a number from 0 (greedy) to {MAX_TEMPERATURE:g}")

    def concurrency(self, view: RunView, by: int) -> None:
        self._send(cmd.SetConcurrency(len(view.prompts) + by))

    def change_k(self, view: RunView, by: int) -> None:
        lane = self.focused(view)
        if lane is not None:
            k = self.k(lane) + by
            self._choices.wanted_k[lane.info.name] = k
            self._send(cmd.SetK(lane.info.name, k))

    def tune(self, view: RunView) -> None:
        lane = self.focused(view)
        if lane is not None:
            self._send(cmd.Tune(lane.info.name))

    def look(self, view: RunView) -> Callable[[], None]:
        """Let the race stand still to look at a step; what is given back lets it go on if it ran."""
        if self.paused(view) or view.round_over:
            return lambda: None
        if self._slow.on:
            self._slow.stop()
            return self._slow.toggle
        self._send(cmd.Pause())
        return lambda: self._send(cmd.Resume())

    def stop_tuning(self) -> None:
        self._send(cmd.StopTuning())

    def request(self, view: RunView, by: int) -> None:
        self._choices.slot = (self._choices.slot + by) % max(1, len(view.prompts))

    def move_focus(self, view: RunView, by: int) -> None:
        self._choices.focus = (self._choices.focus + by) % max(1, len(view.lanes))

    def focus(self, index: int) -> None:
        self._choices.focus = index
