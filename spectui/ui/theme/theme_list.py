"""The list from which a theme is chosen, with a sample beside each name. The screen behind it shows the chosen one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType

from spectui.core.tokens import Role
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.rows import Row, Span, row_width
from spectui.ui.theme.palette import LANE_COLOURS, ROLE_STYLES, Theme, lane_style
from spectui.ui.theme.themes import Themes
from spectui.ui.widgets.stream_layout import BONUS_SIGN, BRACKETS

SAMPLED: tuple[Role, ...] = (
    Role.PLAIN,
    Role.ACCEPTED,
    Role.REJECTED,
    Role.RECOVERED,
    Role.BONUS,
    Role.PENDING,
)
LANE_SIGN = "━"
RACE_ROWS = 7
"""A pane with fewer rows has no room for its text."""

_SAMPLE_STYLES = ("text", *(ROLE_STYLES[role] for role in SAMPLED), *map(lane_style, range(LANE_COLOURS)))


class ThemeList(Canvas, can_focus=True):
    """Hidden until opened. Moving shows a theme at once, Enter keeps it, Esc returns to the previous one.

    Args:
        themes: The themes to choose from; they may change while the list is open.
        show: Called with the theme in which the screen is to be drawn.
        on_close: Called when the list is hidden again.
    """

    DEFAULT_CSS = """
    ThemeList { display: none; height: 1; margin: 0 1; }
    ThemeList.open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"move({by})", show=False) for key, by in (("up,k", -1), ("down,j,t", 1))),
        Binding("home,g", "end(0)", show=False),
        Binding("end,G", "end(-1)", show=False),
        Binding("enter", "keep", show=False),
        Binding("escape,q", "give_up", show=False),
        Binding("tab,shift+tab", "stay", show=False),
    ]

    def __init__(self, themes: Themes, show: Callable[[Theme], None], on_close: Callable[[], None]) -> None:
        super().__init__()
        self._themes = themes
        self._show = show
        self._on_close = on_close
        self._before: Theme | None = None
        self._chosen = ""
        self._first = 0

    @property
    def is_open(self) -> bool:
        return self.has_class("open")

    @property
    def before(self) -> str:
        """The theme that Esc returns to."""
        return "" if self._before is None else self._before.name

    def open(self, theme: Theme) -> None:
        """Show the list with ``theme`` chosen, and take the keys."""
        self._before, self._chosen = theme, theme.name
        self.add_class("open")
        # Not focus(), which takes the keys one message later.
        self.screen.set_focus(self)

    def wanted_rows(self, height: int) -> int:
        """Rows that the list takes on a screen of ``height``: at most two fifths, and leaving `RACE_ROWS`."""
        return min(len(self._themes.by_name) + 1, max(2, min(height * 2 // 5, height - RACE_ROWS)))

    @property
    def palette(self) -> Mapping[str, Style]:
        return {**super().palette, **sample_styles(self._themes.by_name)}

    def rows(self, width: int, height: int) -> list[Row]:
        names = list(self._themes.by_name)
        room = max(1, height - 1)
        place = names.index(self._chosen) if self._chosen in names else 0
        self._first = max(0, min(max(self._first, place - room + 1), place, len(names) - room))
        return theme_rows(self._themes.by_name, self._chosen, width, self._first)

    def _choose(self, place: int) -> None:
        names = list(self._themes.by_name)
        if names:
            self._chosen = names[place % len(names)]
            self._show(self._themes.by_name[self._chosen])

    def action_move(self, by: int) -> None:
        names = list(self._themes.by_name)
        self._choose(names.index(self._chosen) + by if self._chosen in names else 0)

    def action_end(self, place: int) -> None:
        self._choose(place)

    def action_stay(self) -> None:
        """Do nothing: Tab belongs to the lanes."""

    def action_keep(self) -> None:
        self._close()

    def action_give_up(self) -> None:
        before = self._before
        if before is not None and before.name != self._chosen:
            self._show(self._themes.by_name.get(before.name, before))
        self._close()

    def _close(self) -> None:
        self.remove_class("open")
        self.screen.set_focus(None)
        self._on_close()

    def on_click(self, event: events.Click) -> None:
        place = self._first + event.y - 1
        if event.y > 0 and place < len(self._themes.by_name):
            self._choose(place)

    def on_show(self) -> None:
        """Take the keys again: a screen that was too small hid the list, and with it the focus."""
        if self.is_open:
            self.screen.set_focus(self)


def sample_styles(themes: Mapping[str, Theme]) -> dict[str, Style]:
    """The styles that the rows of samples name: ``theme/style``."""
    return {f"{name}/{style}": theme.palette[style] for name, theme in themes.items() for style in _SAMPLE_STYLES}


def theme_rows(themes: Mapping[str, Theme], chosen: str, width: int, first: int = 0) -> list[Row]:
    """A heading, then the themes from the ``first`` on: name, role names in their colours, lane colours."""
    title = "themes "
    rows: list[Row] = [((title, "strong"), ("─" * max(0, width - len(title)), "faint"))]
    samples = [_words(theme) for theme in themes.values()]
    names, words = max(map(len, themes), default=0), max(map(row_width, samples), default=0)
    for name, sample in list(zip(themes, samples, strict=True))[first:]:
        mark, style = ("▸ ", "title") if name == chosen else ("  ", "muted")
        row: Row = ((f"{mark}{name:<{names}}  ", style), *sample)
        row += ((" " * (words - row_width(sample) + 1), f"{name}/text"),)
        lanes = (*((LANE_SIGN, f"{name}/{lane_style(index)}") for index in range(LANE_COLOURS)), (" ", f"{name}/text"))
        rows.append(row + lanes if row_width(row + lanes) <= width else row)
    return rows


def _words(theme: Theme) -> Row:
    """The names of the roles, each drawn like a token of that role."""
    spans: list[Span] = []
    for role in SAMPLED:
        opening, closing = BRACKETS.get(role, ("", "")) if role in theme.palette.signs else ("", "")
        sign = BONUS_SIGN if role is Role.BONUS and role in theme.palette.signs else ""
        spans.append((" ", f"{theme.name}/text"))
        spans.append((f"{opening}{sign}{role.name.lower()}{closing}", f"{theme.name}/{ROLE_STYLES[role]}"))
    return tuple(spans)
