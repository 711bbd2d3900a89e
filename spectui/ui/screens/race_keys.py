"""Handles the keys of the live screen; the prompt line and the list of themes take all keys while they are open."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, ClassVar, cast

from textual.binding import BindingType
from textual.screen import Screen

from spectui.ui.action import Action, bindings
from spectui.ui.actions import ACTIONS
from spectui.ui.controls import Controls
from spectui.ui.screens.lines import MessageLine
from spectui.ui.screens.panes import Panes

if TYPE_CHECKING:
    from spectui.ui.app import SpecTUIApp
    from spectui.ui.screens.prompt import PromptLine, Question
    from spectui.ui.theme.theme_list import ThemeList

_BY_ID = {action.id: action for action in ACTIONS}


class RaceKeys(Screen[None]):
    """A screen that runs every action by its id."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(ACTIONS)
    # Otherwise Textual would focus the hidden prompt line when another screen closes.
    AUTO_FOCUS = ""

    def __init__(self, controls: Controls, panes: Panes) -> None:
        super().__init__()
        self.panes = panes
        self._controls = controls
        self._prompt_line: PromptLine | None = None
        self._theme_list: ThemeList | None = None

    @property
    def _app(self) -> SpecTUIApp:
        return cast("SpecTUIApp", self.app)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        wanted = _BY_ID[str(parameters[0])] if action == "do" else None
        if (self.typing is not None or self.choosing is not None) and (wanted is None or wanted.id != "program.quit"):
            return False
        if wanted is None or self._controls.possible(wanted):
            return True
        return True if self._controls.why_not(wanted) else None

    def doing(self, action: Action) -> Callable[[], None]:
        """Return a function that does what the action's key does, for clicks and the command palette."""

        def do() -> None:
            self.call_later(self.run_action, action.call)

        return do

    async def action_do(self, wanted: str) -> None:
        self._app.acts(wanted)
        action = _BY_ID[wanted]
        if not self._controls.possible(action):
            if why := self._controls.why_not(action):
                self._app.say(why)
            return
        do = action.do
        if not callable(do):
            self._controls.send(do)
        elif isawaitable(done := do(self._controls)):
            await done

    async def choose_theme(self) -> None:
        """Open the list of themes."""
        from spectui.ui.theme.theme_list import ThemeList

        if self._theme_list is None:
            self._theme_list = ThemeList(self._app.themes, self._app.show_theme, self._app.redraw_all)
            await self.mount(self._theme_list, before=self.query_one(MessageLine))
        self._theme_list.open(self._app.shown_theme)
        self._app.redraw_all()

    async def ask(self, question: Question) -> None:
        """Open the prompt line with ``question``."""
        from spectui.ui.screens.prompt import PromptLine

        if self._prompt_line is None:
            self._prompt_line = PromptLine(self._prompt_closed)
            await self.mount(self._prompt_line, before=self.query_one(MessageLine))
        self.add_class("prompting")
        self._prompt_line.open(question)
        self._app.redraw()

    def _prompt_closed(self) -> None:
        self.remove_class("prompting")
        self._app.redraw()

    @property
    def typing(self) -> PromptLine | None:
        """The prompt line if it is open."""
        line = self._prompt_line
        return line if line is not None and line.is_open else None

    @property
    def choosing(self) -> ThemeList | None:
        """The list of themes if it is open."""
        themes = self._theme_list
        return themes if themes is not None and themes.is_open else None
