"""What the keys of the live screen do; the prompt line and the list of themes take all keys while they are open."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, cast

from textual.binding import BindingType
from textual.screen import Screen

from spectui.core.views import RunView
from spectui.ui.actions import Action, bindings
from spectui.ui.controls import NEXT_REJECTED, Controls
from spectui.ui.screens.lines import MessageLine
from spectui.ui.screens.panes import Panes

if TYPE_CHECKING:
    from spectui.ui.app import SpecTUIApp
    from spectui.ui.screens.prompt import PromptLine
    from spectui.ui.theme.theme_list import ThemeList


class RaceKeys(Screen[None]):
    """Answers every action of the registry: by the controls, the panes or the application."""

    BINDINGS: ClassVar[list[BindingType]] = bindings()
    # Textual would give the keys to the hidden prompt line when another screen closes.
    AUTO_FOCUS = ""

    def __init__(self, controls: Controls, panes: Panes) -> None:
        super().__init__()
        self._controls = controls
        self._panes = panes
        self._prompt_line: PromptLine | None = None
        self._theme_list: ThemeList | None = None

    @property
    def _app(self) -> SpecTUIApp:
        return cast("SpecTUIApp", self.app)

    @property
    def _view(self) -> RunView:
        return self._app.view

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if (self.typing is not None or self.choosing is not None) and action != "quit":
            return False
        if action == "log":
            return True if self._app.log_tail is not None else None
        if action == "suspend":
            return True if self._app.check_action(action, parameters) else None
        return True if self._controls.possible(action, parameters, self._view) else None

    def doing(self, action: Action) -> Callable[[], None]:
        """What the action's key would do, for clicks and the command palette."""

        def do() -> None:
            if self.check_action(*action.parsed):
                self.call_later(self.run_action, action.call)

        return do

    def action_pause(self) -> None:
        self._controls.pause(self._view)
        self._app.frames.poke()

    def action_step(self) -> None:
        self._controls.step()

    def action_record(self) -> None:
        self._controls.record()

    def action_step_back(self) -> None:
        self._controls.step_back()

    def action_seek(self, seconds: int) -> None:
        self._controls.seek(seconds)

    def action_seek_to(self, share: int) -> None:
        self._controls.seek_to(share)

    def action_speed(self, by: int) -> None:
        self._controls.speed(by)

    def action_next_prompt(self, by: int) -> None:
        self._controls.next_prompt(by)

    def action_next_category(self) -> None:
        self._controls.next_category()

    def action_restart(self) -> None:
        self._controls.restart(self._view)

    def action_concurrency(self, by: int) -> None:
        self._controls.concurrency(self._view, by)

    def action_change_k(self, by: int) -> None:
        self._controls.change_k(self._view, by)

    def action_move_focus(self, by: int) -> None:
        self._controls.move_focus(self._view, by)
        self._app.redraw_all()

    def action_focus_lane(self, number: int) -> None:
        self._controls.focus(number - 1)
        self._app.redraw_all()

    def action_request(self, by: int) -> None:
        self._controls.request(self._view, by)
        self._app.redraw_all()

    def action_window(self) -> None:
        self._app.choices.windowed = not self._app.choices.windowed
        self._app.redraw_all()

    def action_rejected(self) -> None:
        choices = self._app.choices
        choices.rejected = NEXT_REJECTED[choices.rejected]
        self._panes.show_rejected()
        self._app.frames.poke()

    def action_present(self) -> None:
        self._controls.present()
        self._app.redraw_all()

    def action_slow(self) -> None:
        self._controls.slow(self._view)
        self._app.redraw_all()

    def action_scroll_text(self, where: str) -> None:
        if where in ("home", "end") and self._view.playhead is not None:
            self._controls.seek_to(1 if where == "end" else 0)
        else:
            self._panes.scroll(where)

    async def action_theme(self) -> None:
        from spectui.ui.theme.theme_list import ThemeList

        if self._theme_list is None:
            self._theme_list = ThemeList(self._app.themes, self._app.show_theme, self._app.redraw_all)
            await self.mount(self._theme_list, before=self.query_one(MessageLine))
        self._theme_list.open(self._app.shown_theme)
        self._app.redraw_all()

    def action_help(self) -> None:
        self._app.action_help()

    def action_shot(self) -> None:
        self._app.action_shot()

    def action_tune(self) -> None:
        self._controls.tune(self._view)

    def action_costs(self) -> None:
        self._app.action_costs()

    def action_machine(self) -> None:
        self._app.action_machine()

    def action_inspect(self) -> None:
        self._app.action_inspect()

    def action_log(self) -> None:
        self._app.action_log()

    def action_suspend(self) -> None:
        self._app.action_suspend()

    async def action_quit(self) -> None:
        await self._app.action_quit()

    async def action_ask(self, what: str) -> None:
        from spectui.ui.screens.prompt import PromptLine

        question = self._controls.question(what, self._view)
        if question is None:
            return
        if self._prompt_line is None:
            self._prompt_line = PromptLine(self._prompt_closed)
            await self.mount(self._prompt_line, before=self.query_one(MessageLine))
        self.add_class("prompting")
        self._prompt_line.open(question)
        self._app.frames.poke()

    def _prompt_closed(self) -> None:
        self.remove_class("prompting")
        self._app.frames.poke()

    @property
    def typing(self) -> PromptLine | None:
        """The prompt line while it is open."""
        line = self._prompt_line
        return line if line is not None and line.is_open else None

    @property
    def choosing(self) -> ThemeList | None:
        """The list of themes while it is open."""
        themes = self._theme_list
        return themes if themes is not None and themes.is_open else None
