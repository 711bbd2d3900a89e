"""What a talk can do to the running app: a race, live or replayed, and the screens around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spectui.core.views import RunView
from spectui.errors import did_you_mean
from spectui.protocol import commands as cmd
from spectui.protocol.events import Prompt
from spectui.ui.controls import Controls
from spectui.ui.screens import opening
from spectui.ui.screens.live import LiveScreen
from spectui.ui.talk.script import Do
from spectui.ui.theme.palette import ThemeError

if TYPE_CHECKING:
    from spectui.ui.app import SpecTUIApp

NEEDS: Mapping[str, type[cmd.Command]] = {
    "prompt": cmd.SetPrompt,
    "category": cmd.NextCategory,
    "k": cmd.SetK,
    "speed": cmd.SetSpeed,
}
"""Skipped where the source does not accept the command: the same talk can be performed live and from a trace."""

SCREENS = {"costs": opening.costs, "machine": opening.machine, "help": opening.explain}


class TalkPerformance:
    """Carries out scenes with the same commands and choices that keys use."""

    def __init__(self, app: SpecTUIApp, controls: Controls) -> None:
        self._app = app
        self._slow = app.slow
        self._controls = controls
        self._held = False
        self._wanted: str | None = None
        self._passed: list[Prompt] = []
        self._round: int | None = None

    @property
    def _view(self) -> RunView:
        return self._app.view

    @property
    def live(self) -> bool:
        return self._view.playhead is None

    def settled(self) -> bool:
        self._look_for_category()
        return self._wanted is None and (not self._slow.on or self._slow.going or self._slow.idle)

    def freeze(self, frozen: bool) -> None:
        self._slow.freeze(frozen)
        if self._slow.on:
            return
        if frozen:
            self._held = not self._view.paused and not self._view.round_over
        if self._held:
            self._slow.send(cmd.Pause() if frozen else cmd.Resume())

    def let_go(self) -> None:
        if self._slow.on:
            self._slow.stop()
        self._slow.freeze(False)

    def round_over(self) -> None:
        # Otherwise a replay would begin the next round by itself, under the caption about this one.
        if not self.live:
            self._slow.send(cmd.Pause())

    def do(self, act: Do) -> bool:
        if act.what in NEEDS and NEEDS[act.what] not in self._app.source.accepts:
            return False
        match act.what, act.value:
            case "prompt", text:
                return self._begin_round(cmd.SetPrompt(text))
            case "next", _:
                return self._begin_round(cmd.NextPrompt(1))
            case "restart", _:
                return self._begin_round(cmd.Restart())
            case "category", name:
                if self._view.prompts[0].category == name:
                    return self._begin_round(cmd.Restart())
                self._wanted, self._passed, self._round = name, [], None
                return True
            case "pause", _:
                self._stand()
            case "resume", _:
                self._run()
            case "step", number:
                self._step(number)
            case "focus", lane:
                if (place := self._lane(lane)) is not None:
                    self._controls.focus(place)
            case "k", (lane, k):
                if (place := self._lane(lane)) is not None:
                    self._slow.send(cmd.SetK(self._view.lanes[place].info.name, k))
            case "speed", speed:
                self._slow.send(cmd.SetSpeed(speed))
            case _:
                self._show(act)
        self._app.redraw_all()
        return False

    def _show(self, act: Do) -> None:
        """Carry out an act that concerns only the screen."""
        match act.what, act.value:
            case "present", on:
                if on != self._app.choices.presenting:
                    self._controls.present()
            case "slow", on:
                self._slow_motion(on)
            case "theme", name:
                try:
                    self._app.show_theme(self._app.themes.find(name))
                except ThemeError as error:
                    self._app.say(str(error))
            case "screen", name:
                self._open(name)
            case "press", keys:
                for key in keys:
                    self._app.simulate_key(key)

    def _begin_round(self, command: cmd.Command) -> bool:
        self._slow.send(command)
        if self._slow.on:
            self._slow.go()
        elif not self.live:
            self._slow.send(cmd.Resume())
        return True

    def _stand(self) -> None:
        if self._slow.on:
            self._slow.stop()
        elif not self._view.paused:
            self._slow.send(cmd.Pause())

    def _run(self) -> None:
        if self._slow.on:
            self._slow.go()
        else:
            self._slow.send(cmd.Resume())

    def _step(self, number: int) -> None:
        if self._slow.on:
            self._slow.step(number)
        else:
            for _ in range(number):
                self._slow.send(cmd.StepOnce())

    def _slow_motion(self, on: bool) -> None:
        if on and not self._slow.on:
            self._app.choices.presenting = True
            self._slow.begin(going=not self._view.paused)
        elif not on and self._slow.on:
            self._slow.leave()

    def _lane(self, name: str) -> int | None:
        """The position of the lane with that name, method or title; None if there is none."""
        infos = [lane.info for lane in self._view.lanes]
        for place, info in enumerate(infos):
            if name.lower() in (info.name.lower(), info.method.lower(), info.title.lower()):
                return place
        names = [info.name for info in infos]
        self._app.say(
            f"the talk asks for lane '{name}'{did_you_mean(name, names) or ': the lanes are ' + ', '.join(names)}"
        )
        return None

    def _open(self, name: str) -> None:
        while not isinstance(self._app.screen, LiveScreen):
            self._app.pop_screen()
        if name in SCREENS:
            SCREENS[name](self._controls)

    def _look_for_category(self) -> None:
        """Move from category to category until the wanted one races, or all have been seen."""
        view = self._view
        if self._wanted is None or view.round == self._round or not view.prompts:
            return
        found = view.prompts[0]
        if found.category == self._wanted:
            self._wanted = None
            if self._slow.on:
                self._slow.go()
        elif found in self._passed:
            there = sorted({prompt.category for prompt in self._passed})
            near = did_you_mean(self._wanted, there)
            self._app.say(
                f"the talk asks for category '{self._wanted}'{near or ': the categories are ' + ', '.join(there)}"
            )
            self._wanted = None
        else:
            self._passed.append(found)
            self._round = view.round
            self._slow.send(cmd.NextCategory())
