"""What the actions of the live screen work with: the run as it is seen, what the user chose, the ways to both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from spectui.core.history import PastStep
from spectui.core.views import LaneView, RunView
from spectui.protocol import commands as cmd
from spectui.protocol.events import LaneInfo, Prompt
from spectui.protocol.limits import MAX_TEMPERATURE
from spectui.ui.looking import Look
from spectui.ui.served import Served
from spectui.ui.widgets.inspect_rows import quoted
from spectui.ui.widgets.stream_layout import Rejected

if TYPE_CHECKING:
    from spectui.ui.action import Action
    from spectui.ui.app import SpecTUIApp
    from spectui.ui.talk.slow_motion import SlowMotion


@dataclass(slots=True)
class Choices:
    """What the user chose on this screen; the run does not know it.

    ``look`` is for requests of attached servers; while ``held``, what is shown of them stands still. ``wanted_k`` and
    ``wanted_pause`` hold what was asked for and not yet confirmed, so that a key pressed twice before the source
    answers counts twice.
    """

    focus: int = 0
    slot: int = 0
    windowed: bool = True
    rejected: Rejected = "first"
    presenting: bool = False
    heat: bool = False
    wanted_k: dict[str, int] = field(default_factory=dict)
    wanted_pause: bool | None = None
    look: Look = field(default_factory=Look)
    held: bool = False

    def begin(self, lanes: tuple[LaneInfo, ...]) -> None:
        """A run begins: the first lane that drafts is the one to look at."""
        self.focus = next((place for place, lane in enumerate(lanes) if lane.k_max), 0)
        self.look = Look()

    def answered(self) -> None:
        """The source said something about K, the pause or a command: nothing is pending any more."""
        self.wanted_k.clear()
        self.wanted_pause = None

    def keep_slot_in(self, prompts: tuple[Prompt, ...]) -> None:
        """A round has these requests: the one to look at is among them."""
        if prompts:
            self.slot = min(self.slot, len(prompts) - 1)


NEXT_REJECTED: Mapping[Rejected, Rejected] = {"none": "first", "first": "all", "all": "none"}
"""What the key shows of the refused drafts instead."""

REJECTED_LABELS: Mapping[Rejected, str] = {"none": "first rejected", "first": "all rejected", "all": "hide rejected"}
"""What the key does next, by what of the refused drafts is shown."""


class Controls:
    """Turns keys into commands and choices, and knows what is possible."""

    def __init__(self, app: SpecTUIApp) -> None:
        self.app = app
        self.choices: Choices = app.choices
        self.slow: SlowMotion = app.slow
        self._earlier: dict[str, list[str]] = {}
        self.servers: Served = Served(self)

    @property
    def view(self) -> RunView:
        """The run as it is seen."""
        return self.app.view

    @property
    def replay(self) -> bool:
        """Whether a trace is played."""
        return self.view.playhead is not None

    @property
    def served(self) -> bool:
        """Whether servers are watched that run elsewhere, and not a race."""
        return self.view.attached is not None

    @property
    def begun(self) -> bool:
        """Whether there is a round, and a lane left to race in it."""
        view = self.view
        # What has died can still be looked at.
        alive = self.replay or (view.fault is None and any(lane.failed is None for lane in view.lanes))
        return alive and view.round is not None

    @property
    def lane(self) -> LaneView | None:
        """The lane that lane keys act on."""
        lanes = self.view.lanes
        return lanes[self.choices.focus] if self.choices.focus < len(lanes) else None

    @property
    def drafting(self) -> LaneView | None:
        """The same while it races with a drafter."""
        lane = self.lane
        return lane if self.begun and lane is not None and lane.failed is None and lane.info.k_max else None

    @property
    def pauses(self) -> bool:
        """Whether there is something to pause: the run, or the screen of servers that go on."""
        return self.served or cmd.Pause in self.app.source.accepts

    @property
    def inspects(self) -> bool:
        """Whether single steps can be looked at; a server's target is not asked about them."""
        return self.served or cmd.Inspect in self.app.source.accepts

    @property
    def paused(self) -> bool:
        """Whether the race stands still or is about to."""
        if self.served and self.servers.holds:
            return self.choices.held
        if self.slow.on:
            return not self.slow.moving
        wanted = self.choices.wanted_pause
        return self.view.paused if wanted is None else wanted

    def k(self, lane: LaneView) -> int:
        """The K that the lane has or is about to have."""
        return self.choices.wanted_k.get(lane.info.name, lane.k)

    def takes(self, action: Action) -> bool:
        """Whether the source has what the action needs."""
        return action.command is None or action.command in self.app.source.accepts

    def possible(self, action: Action) -> bool:
        """Whether the action would do anything now."""
        return self.takes(action) and action.possible(self) and (not self.served or self.servers.allows(action))

    def why_not(self, action: Action) -> str:
        """Why the action does nothing over servers, in a sentence; empty in a race."""
        return self.servers.why_not(action) if self.served else ""

    def send(self, command: cmd.Command) -> None:
        """Pass a command to the source; in slow motion it stands still behind it."""
        self.slow.send(command)

    def pause(self) -> None:
        if self.served and self.servers.holds:
            self.choices.held = not self.choices.held
            self.app.redraw_all()
        elif self.slow.on:
            self.slow.toggle()
        else:
            paused = self.paused
            self.choices.wanted_pause = not paused
            self.send(cmd.Resume() if paused else cmd.Pause())
        self.app.redraw()

    def step(self) -> None:
        if self.slow.on:
            self.slow.step()
        else:
            self.send(cmd.StepOnce())

    def step_back(self) -> None:
        self.slow.stop()
        self.send(cmd.StepBack())

    def restart(self) -> None:
        """The same prompts again; out of slow motion at true speed."""
        if self.slow.on:
            self.slow.replay(self.view)
        else:
            self.send(cmd.Restart())

    def present(self) -> None:
        """Presenter mode on or off; slow motion is a part of it."""
        self.choices.presenting = not self.choices.presenting
        if self.slow.on and not self.choices.presenting:
            self.slow.leave()
        self.app.redraw_all()

    def slow_motion(self) -> None:
        """Slow motion on or off; of a round that is over again from its beginning."""
        if self.slow.on:
            if self.slow.leave():
                self.app.say("at true speed from here; r races again from the beginning")
        elif self.view.round_over:
            self.slow.begin(going=True)
            self.send(cmd.Restart())
        else:
            self.slow.begin(going=not self.paused)
        self.app.redraw_all()

    def stand_still(self) -> Callable[[], None]:
        """Let the race stand still to look at a step; what is given back lets it go on if it ran."""
        if self.paused or self.view.round_over:
            return lambda: None
        if self.slow.on:
            self.slow.stop()
            return self.slow.toggle
        self.send(cmd.Pause())
        return lambda: self.send(cmd.Resume())

    def change_k(self, by: int) -> None:
        if (lane := self.lane) is not None:
            k = self.choices.wanted_k[lane.info.name] = self.k(lane) + by
            self.send(cmd.SetK(lane.info.name, k))

    def tune(self) -> None:
        if (lane := self.lane) is not None:
            self.send(cmd.Tune(lane.info.name))

    def focus(self, place: int) -> None:
        """Focus the lane at ``place``; behind the last one stands the first."""
        lanes = self.view.lanes
        place %= max(1, len(lanes))
        if self.served and lanes:
            self.choices.look.follow(lanes[place].info.name)
        self.choices.focus = place
        self.app.redraw_all()

    def show_request(self, slot: int) -> None:
        """Show that one of the requests that run at once; behind the last one stands the first."""
        self.choices.slot = slot % max(1, len(self.view.prompts))
        self.app.redraw_all()

    def show_other_request(self, by: int) -> None:
        """Show the next of the requests, or the previous one."""
        if self.served:
            self.servers.move(by)
        else:
            self.show_request(self.choices.slot + by)

    def show_other_rejected(self) -> None:
        self.choices.rejected = NEXT_REJECTED[self.choices.rejected]
        self.app.redraw()

    def show_heat(self) -> None:
        self.choices.heat = not self.choices.heat
        self.app.redraw()

    def change_window(self) -> None:
        self.choices.windowed = not self.choices.windowed
        self.app.redraw_all()

    def scroll(self, where: str) -> None:
        """Scroll the focused text; the ends are those of the trace in a replay."""
        if where in ("home", "end") and self.replay:
            self.send(cmd.SeekTo(1 if where == "end" else 0))
        elif self.served:
            self.servers.scroll(where)
        else:
            self.app.live.panes.scroll(where)

    async def ask_prompt(self) -> None:
        does = "send it to the server" if self.served else "race it"
        await self._ask("prompt", "your prompt", does, lambda text: self.send(cmd.SetPrompt(text)))

    async def ask_temperature(self) -> None:
        await self._ask("temperature", "temperature, 0 is greedy", "sample so", self._temperature)

    async def ask_k(self) -> None:
        if (lane := self.lane) is not None:
            info = lane.info
            hint = f"K of {info.title}, from 0 to {info.k_max}, or auto"
            await self._ask("k", hint, "set K", lambda text: self._typed_k(info, text))

    async def fork(self, asked: cmd.Fork, typed_at: PastStep | None, leave: Callable[[], None]) -> None:
        """Fork an answer; at ``typed_at`` ask for the text first. ``leave`` lets the race go on that stood still."""

        def go(text: str = "") -> None:
            self.send(replace(asked, text=text))
            # A race that was refused goes on too.
            leave()

        if typed_at is None:
            go()
            return
        stood = typed_at.step.text[typed_at.step.accepted]
        begun = " " if stood.startswith(" ") else ""
        await self._ask("fork", "your text", f"put it in place of {quoted(stood)}", go, begun, leave)

    async def _ask(
        self,
        what: str,
        hint: str,
        does: str,
        answer: Callable[[str], None],
        begun: str | None = None,
        given_up: Callable[[], None] = lambda: None,
    ) -> None:
        from spectui.ui.screens.prompt import Question

        earlier = self._earlier.setdefault(what, [])
        await self.app.live.ask(Question(hint, answer, does, earlier, begun, given_up))

    def _typed_k(self, lane: LaneInfo, text: str) -> None:
        if text.isdecimal() or text == "auto":
            self.send(cmd.SetK(lane.name, None if text == "auto" else int(text)))
        else:
            self.app.say(f"'{text}' is not a valid K: enter 0 to {lane.k_max}, or auto")

    def _temperature(self, text: str) -> None:
        try:
            temperature = float(text)
        except ValueError:
            temperature = -1.0
        if 0 <= temperature <= MAX_TEMPERATURE:
            self.send(cmd.SetTemperature(temperature))
        else:
            self.app.say(f"'{text}' is not a valid temperature: enter 0 (greedy) to {MAX_TEMPERATURE:g}")
