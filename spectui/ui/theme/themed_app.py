"""The application's colours: which theme is shown, and how everything on the screen changes with it."""

from __future__ import annotations

import os

from rich.color import ColorSystem
from textual.app import App
from textual.driver import Driver

from spectui.ui.paint.canvas import Canvas
from spectui.ui.theme.palette import BrokenThemeError, Theme
from spectui.ui.theme.themes import Themes

DEFAULT_THEME, NO_COLOUR_THEME = "midnight", "mono"


class ThemedApp(App[None]):
    """Draws in one of our themes and follows the themes' files.

    Args:
        theme: A theme's name; None for the default, or for the one without colours if ``NO_COLOR`` is set.
    """

    def __init__(self, theme: str | None) -> None:
        super().__init__()
        self.themes = Themes()
        default = NO_COLOUR_THEME if os.environ.get("NO_COLOR") else DEFAULT_THEME
        self._use_theme(self.themes.find(theme or default))

    def get_driver_class(self) -> type[Driver]:
        """Our own driver where Textual would use its own for a terminal."""
        found = super().get_driver_class()
        from spectui.ui.paint.terminal_driver import TerminalDriver

        return TerminalDriver if issubclass(TerminalDriver, found) else found

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {}

    def _use_theme(self, theme: Theme) -> None:
        self.shown_theme = theme
        self.palette = theme.palette
        self.register_theme(theme.textual_theme())
        again = self.theme == theme.name
        self.theme = theme.name
        if again:
            # To Textual the same name means no change, even if the theme behind it has changed.
            self.mutate_reactive(App.theme)

    def show_theme(self, theme: Theme) -> None:
        """Draw everything in ``theme`` from now on."""
        self._use_theme(theme)
        self._restyle()

    def fit_to_colours(self, depth: ColorSystem | None) -> None:
        """Adapt the themes to a terminal with ``depth`` colours; None for a terminal without colours."""
        self.themes.fit_to(depth)
        self._use_theme(self.themes.by_name.get(self.theme, self.shown_theme))

    def _restyle(self) -> None:
        for screen in self.screen_stack:
            for canvas in screen.query(Canvas):
                canvas.restyle()

    def follow_theme_files(self) -> bool:
        """Apply changes in the theme files; True if there were any."""
        if not self.themes.look():
            return False
        theme = self.themes.by_name.get(self.theme, self.shown_theme)
        if theme is not self.shown_theme:
            self._use_theme(theme)
        self._restyle()
        return True

    def take_theme_fault(self) -> str | None:
        """One sentence about the theme files that cannot be used, once for each; None if there are none."""
        broken = self.themes.take_broken()
        return _skipped(broken) if broken else None


def _skipped(broken: list[BrokenThemeError]) -> str:
    """All names come before what is wrong with the first file, because the end of the line may be cut off."""
    names = ", ".join(error.path.name for error in broken)
    first = f"{broken[0].path.name} {broken[0].why}"
    return f"theme skipped: {first}" if len(broken) == 1 else f"themes skipped: {names}; {first}"
