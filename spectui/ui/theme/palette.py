"""Themes: one TOML file each, read into the styles that rows name.

A theme has the name of its file. The file has ``dark``, a table ``[base]`` (see `BASE`), a table ``[roles]`` (one
colour per token role) and ``[lanes] series`` (the lanes' colours, reused from the start if there are more lanes). All
colours are ``#rrggbb``. With ``colours = false`` the theme uses the terminal's own colours and tells roles apart by
their signs. How a role looks apart from its colour is decided here, not in the file, so that no theme can remove the
second sign.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.color import Color, ColorSystem, blend_rgb
from rich.style import Style
from textual.theme import BUILTIN_THEMES
from textual.theme import Theme as TextualTheme

from spectui.core.heat import LEVELS
from spectui.core.tokens import Role

BASE = ("background", "surface", "panel", "text", "muted", "faint", "accent", "good", "warn", "bad")
LANE_COLOURS = 6
_BORROWED: Mapping[Role, str] = {Role.KEPT: "muted", Role.PUT: "title"}
"""Roles without a colour of their own, and the style that they are drawn in."""

THEMED: tuple[Role, ...] = tuple(role for role in Role if role not in _BORROWED)
"""Roles to which a theme gives a colour."""

ROLE_STYLES: tuple[str, ...] = tuple(_BORROWED.get(role, f"role.{role.name.lower()}") for role in Role)
"""The style name of each `Role`, by its value."""

REJECTED_COUNT = "role.rejected.count"
"""The style name for the count of hidden rejected drafts, which is not part of the model's text."""

HEAT_STYLES: tuple[str, ...] = tuple(f"heat.{level}" for level in range(1, LEVELS + 1))
"""The style name of each level of heat, from one token per step to the most."""

WRITTEN = frozenset({Role.REJECTED, Role.BONUS, Role.PENDING, Role.CUT})
"""Roles whose sign is written in characters."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_ROLE_SIGNS: Mapping[Role, Mapping[str, bool]] = {
    Role.PLAIN: {},
    Role.ACCEPTED: {},
    Role.REJECTED: {"strike": True},
    Role.RECOVERED: {"underline": True},
    Role.BONUS: {"bold": True},
    Role.PENDING: {"italic": True},
    Role.CUT: {"italic": True},
}

_HEAT_DARK = (0.41, 0.28, 0.185, 0.115, 0.06)
_HEAT_LIGHT = (0.62, 0.43, 0.285, 0.17, 0.08)
"""How much of the colour of warnings is in the ground under each level of heat: as much as the text on it bears."""

_HEAT_SIGNS: tuple[Mapping[str, bool], ...] = (
    {"bold": True, "underline": True},
    {"underline": True},
    {"bold": True},
    {},
    {"dim": True},
)
"""The signs of the levels where the grounds cannot be told apart: the fewer tokens per step, the more ink."""


class ThemeError(ValueError):
    """The theme cannot be used; the message is one sentence."""


class BrokenThemeError(ThemeError):
    """The theme file cannot be used.

    Attributes:
        path: The file.
        why: What is wrong with it, to follow its name in a sentence.
    """

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"Theme {path} {why}.")
        self.path = path
        self.why = why


class Palette(dict[str, Style]):
    """Styles by name. ``signs`` are the roles whose signs widgets also write as text, because no colour tells them
    apart."""

    def __init__(self, styles: Mapping[str, Style], signs: Set[Role] = frozenset()) -> None:
        super().__init__(styles)
        self.signs = frozenset(signs)


@dataclass(frozen=True)
class Theme:
    """A usable theme. ``base`` holds the colours of `BASE`; it is empty in a theme without colours."""

    name: str
    dark: bool
    base: Mapping[str, str]
    palette: Palette

    def textual_theme(self) -> TextualTheme:
        """The same colours for Textual's own parts: inputs, dialogs, scroll bars."""
        if not self.base:
            return replace(BUILTIN_THEMES["ansi-dark" if self.dark else "ansi-light"], name=self.name)
        base = self.base
        return TextualTheme(
            name=self.name,
            primary=base["accent"],
            secondary=base["muted"],
            accent=base["accent"],
            success=base["good"],
            warning=base["warn"],
            error=base["bad"],
            foreground=base["text"],
            background=base["background"],
            surface=base["surface"],
            panel=base["panel"],
            dark=self.dark,
        )


def lane_style(index: int, title: bool = False) -> str:
    """The style name of the ``index``-th lane; ``title`` for its heading."""
    return f"lane.{index % LANE_COLOURS}.title" if title else f"lane.{index % LANE_COLOURS}"


def load(path: Path) -> Theme:
    """Read a theme file; raises `BrokenThemeError` if it cannot be used."""
    if not _NAME.fullmatch(path.stem):
        raise BrokenThemeError(path, "needs a name made of letters (a to z), digits, '-' and '_'")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise BrokenThemeError(path, f"cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BrokenThemeError(path, "is not UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        raise BrokenThemeError(path, f"is not valid TOML: {error}") from error
    dark = _truth(path, data, "dark")
    if not _truth(path, data, "colours", default=True):
        return Theme(path.stem, dark, {}, _signs())
    base = _colours(path, data, "base", BASE)
    roles = _colours(path, data, "roles", [role.name.lower() for role in THEMED])
    return Theme(path.stem, dark, base, _palette(dark, base, roles, _series(path, data)))


def _truth(path: Path, data: Mapping[str, Any], key: str, default: bool | None = None) -> bool:
    value = data.get(key, default)
    if not isinstance(value, bool):
        raise BrokenThemeError(path, f"needs '{key}' to be true or false{_not(value)}")
    return value


def _colours(path: Path, data: Mapping[str, Any], table: str, keys: Iterable[str]) -> dict[str, str]:
    section = data.get(table)
    if not isinstance(section, dict):
        raise BrokenThemeError(path, f"needs a table [{table}]")
    return {key: _colour(path, f"{table}.{key}", section.get(key)) for key in keys}


def _series(path: Path, data: Mapping[str, Any]) -> list[str]:
    lanes = data.get("lanes")
    series = lanes.get("series") if isinstance(lanes, dict) else None
    if not isinstance(series, list) or not series:
        raise BrokenThemeError(path, "needs 'lanes.series' to be a list of colours")
    return [_colour(path, f"lanes.series[{index}]", colour) for index, colour in enumerate(series)]


def _colour(path: Path, key: str, value: object) -> str:
    if not isinstance(value, str) or not _COLOUR.fullmatch(value):
        raise BrokenThemeError(path, f"needs '{key}' to be a colour like '#rrggbb'{_not(value)}")
    return value


def _not(value: object) -> str:
    """What is in the file instead; empty if the key is missing."""
    return "" if value is None else f", not {value!r}"


def _palette(dark: bool, base: Mapping[str, str], roles: Mapping[str, str], series: list[str]) -> Palette:
    ground = base["background"]

    def style(colour: str, **signs: bool) -> Style:
        return Style(color=colour, bgcolor=ground, **signs)  # type: ignore[arg-type]

    styles = {name: style(base[name]) for name in ("text", "muted", "faint", "accent", "good", "warn", "bad")}
    styles["strong"] = style(base["text"], bold=True)
    styles["title"] = style(base["accent"], bold=True)
    styles["key"] = style(base["accent"], bold=True)
    for role in THEMED:
        styles[ROLE_STYLES[role]] = style(roles[role.name.lower()], **_ROLE_SIGNS[role])
    styles[REJECTED_COUNT] = style(roles["rejected"], dim=True)
    for name, share in zip(HEAT_STYLES, _HEAT_DARK if dark else _HEAT_LIGHT, strict=True):
        styles[name] = Style(color=base["text"], bgcolor=_mixed(ground, base["warn"], share))
    for index in range(LANE_COLOURS):
        colour = series[index % len(series)]
        styles[lane_style(index)] = style(colour)
        styles[lane_style(index, title=True)] = style(colour, bold=True)
    return Palette(styles)


def _mixed(one: str, other: str, share: float) -> str:
    """The colour ``one`` with a ``share`` of another in it."""
    return blend_rgb(Color.parse(one).get_truecolor(), Color.parse(other).get_truecolor(), share).hex


def _heat_signs(text: Style) -> dict[str, Style]:
    """The levels of heat on the ground of other text, told apart by their signs."""
    return {name: text + Style(**signs) for name, signs in zip(HEAT_STYLES, _HEAT_SIGNS, strict=True)}  # type: ignore[arg-type]


def _signs() -> Palette:
    """The styles without colours: the terminal's own, with every role marked by its sign."""
    plain, bold, dim = Style(), Style(bold=True), Style(dim=True)
    styles = dict.fromkeys(("text", "accent", "good", "warn"), plain)
    styles |= dict.fromkeys(("strong", "title", "key", "bad"), bold) | dict.fromkeys(("muted", "faint"), dim)
    for role in THEMED:
        quiet = {"dim": True} if role in (Role.PENDING, Role.CUT) else {}
        styles[ROLE_STYLES[role]] = Style(**_ROLE_SIGNS[role], **quiet)  # type: ignore[arg-type]
    for index in range(LANE_COLOURS):
        styles[lane_style(index)] = plain
        styles[lane_style(index, title=True)] = bold
    styles[REJECTED_COUNT] = dim
    styles |= _heat_signs(plain)
    return Palette(styles, signs=WRITTEN)


def at_depth(theme: Theme, system: ColorSystem | None) -> Theme:
    """Adapt the theme to a terminal with ``system`` colours: roles that look the same there get their signs.

    With sixteen or eight colours, bright ones count as their normal counterparts, because not every terminal has them.
    None means a terminal without colours.
    """
    if not theme.base or system is ColorSystem.TRUECOLOR:
        return theme
    looks = {role: _seen(theme.palette[ROLE_STYLES[role]], system) for role in THEMED}
    # The sign of cut tokens is always written, so nothing else need tell them apart.
    others = [role for role in THEMED if role is not Role.CUT]
    same = {role for role in others if any(looks[role] == looks[other] for other in others if other is not role)}
    signs = same & WRITTEN
    styles = dict(theme.palette)
    grounds = [Style(color=styles[name].bgcolor) for name in ("text", *HEAT_STYLES)]
    faint = len({_seen(ground, system) for ground in grounds}) < len(grounds)
    if faint:
        styles |= _heat_signs(styles["text"])
    return replace(theme, palette=Palette(styles, signs)) if signs or faint else theme


def _seen(style: Style, system: ColorSystem | None) -> int | None:
    """The number of the colour that a terminal shows for a style."""
    if system is None or style.color is None:
        return None
    number = style.color.downgrade(system).number
    return number if number is None or system is ColorSystem.EIGHT_BIT else number % 8
