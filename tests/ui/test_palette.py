"""Themes: complete, readable, and told apart without colour."""

from __future__ import annotations

import re
import sys
from itertools import combinations
from pathlib import Path

import pytest
from rich.color import ColorSystem
from rich.style import Style

import spectui
from spectui.core.tokens import Role, TokenLog
from spectui.ui.paint.rows import plain
from spectui.ui.theme import palette
from spectui.ui.theme.palette import ROLE_STYLES, WRITTEN, BrokenThemeError, Theme, at_depth
from spectui.ui.widgets.token_stream import stream_rows
from tests.support.terminal import PtySession

ROOT = Path(__file__).parents[2]
THEMES = sorted((ROOT / "themes").glob("*.toml"))


def signs(style: Style) -> tuple[object, ...]:
    return (style.strike, style.underline, style.bold, style.italic, style.dim)


@pytest.fixture(params=THEMES, ids=lambda path: path.stem)
def theme(request: pytest.FixtureRequest) -> Theme:
    return palette.load(request.param)


def test_dark_and_light_ones_ship() -> None:
    dark = {path.stem: palette.load(path).dark for path in THEMES}
    assert dark == {**dict.fromkeys(("midnight", "stage", "deuteranopia", "tritanopia", "mono"), True), "paper": False}


def test_all_themes_style_the_same_things(theme: Theme) -> None:
    assert set(theme.palette) == set(palette.load(ROOT / "themes" / "midnight.toml").palette)


def test_a_role_has_a_sign_beside_its_colour(theme: Theme) -> None:
    styles = theme.palette
    told_apart = {
        signs(styles[ROLE_STYLES[role]]) for role in (Role.ACCEPTED, Role.REJECTED, Role.RECOVERED, Role.BONUS)
    }
    assert len(told_apart) == 4
    assert styles[ROLE_STYLES[Role.REJECTED]].strike
    assert styles[ROLE_STYLES[Role.RECOVERED]].underline


def test_mono_alone_has_no_colour_and_asks_for_signs(theme: Theme) -> None:
    colourless = theme.name == "mono"
    assert bool(theme.palette.signs) == colourless
    assert all((style.color is None and style.bgcolor is None) == colourless for style in theme.palette.values())


DEPTHS = {
    "truecolor": (ColorSystem.TRUECOLOR, lambda number: number),
    "256": (ColorSystem.EIGHT_BIT, lambda number: number),
    "16": (ColorSystem.STANDARD, lambda number: number),
    "8": (ColorSystem.STANDARD, lambda number: number % 8),
}
"""How a terminal with so many colours is told from others, and what it makes of a colour's number."""


@pytest.mark.parametrize("depth", DEPTHS)
def test_roles_stay_apart_where_colours_run_out(theme: Theme, depth: str) -> None:
    system, shown = DEPTHS[depth]
    fitted = at_depth(theme, system).palette

    def look(role: Role) -> tuple[object, ...]:
        style = fitted[ROLE_STYLES[role]]
        colour = None if style.color is None else style.color.downgrade(system)
        number = None if colour is None else colour.triplet if colour.number is None else shown(colour.number)
        log = TokenLog()
        log.append("token", role)
        log.append("the next", Role.PLAIN)
        (row,) = stream_rows(log, 40, signs=fitted.signs)
        # Italics and a line through letters are what a terminal with few colours lacks too.
        return number, style.underline, plain(row)

    told = [role for role in Role if role is not Role.PLAIN]
    assert {one.name: other.name for one, other in combinations(told, 2) if look(one) == look(other)} == {}
    if theme.base:
        ground = theme.palette["text"].bgcolor
        assert ground is not None
        number = ground.downgrade(system).number
        hidden = [role for role in Role if number is not None and look(role)[0] == shown(number)]
        assert hidden == [], "written in the colour of the ground"


def test_signs_are_written_only_where_they_are_needed(theme: Theme) -> None:
    assert at_depth(theme, ColorSystem.TRUECOLOR) is theme
    assert at_depth(theme, ColorSystem.EIGHT_BIT).palette.signs == theme.palette.signs
    needed = at_depth(theme, ColorSystem.STANDARD).palette.signs
    assert needed == (WRITTEN if theme.name == "mono" else needed - {Role.CUT})


@pytest.mark.parametrize(
    ("term", "colorterm", "signs"),
    [("xterm", "", True), ("linux", "", True), ("xterm-256color", "", False), ("xterm", "truecolor", False)],
)
def test_a_terminal_with_few_colours_shows_the_signs(tmp_path: Path, term: str, colorterm: str, signs: bool) -> None:
    env = {"PYTHONPATH": str(ROOT), "SPECTUI_LOG_DIR": str(tmp_path), "TERM": term, "COLORTERM": colorterm}
    trace = ROOT / "demos" / "traces" / "coding.jsonl"
    with PtySession([sys.executable, "-m", "spectui", "replay", trace, "--at", "40"], env=env) as session:
        session.wait_for(lambda rows: any("def fib" in row and "#" not in row for row in rows))
        text = "\n".join(row for row in session.rows() if "#" not in row)
        assert ("[_" in text or "[ " in text) == signs
        session.send("q")
        assert session.wait_exit() == 0


def test_textual_can_use_every_theme(theme: Theme) -> None:
    textual = theme.textual_theme()
    assert textual.name == theme.name
    assert textual.dark == theme.dark
    assert textual.to_color_system().generate()


MIDNIGHT = (ROOT / "themes" / "midnight.toml").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MIDNIGHT.replace('muted = "#8593a3"\nfaint', "faint"), "needs 'base.muted' to be a colour like '#rrggbb'"),
        (
            re.sub('accepted = "#.{6}"', 'accepted = "green"', MIDNIGHT),
            "needs 'roles.accepted' to be a colour like '#rrggbb', not 'green'",
        ),
        (MIDNIGHT.replace("dark = true", 'dark = "yes"'), "needs 'dark' to be true or false, not 'yes'"),
        (MIDNIGHT.replace("dark = true", ""), "needs 'dark' to be true or false"),
        ("dark = true\ncolours = 0", "needs 'colours' to be true or false, not 0"),
        (MIDNIGHT.replace("[lanes]\n", "[tracks]\n"), "needs 'lanes.series' to be a list of colours"),
        (
            re.sub(r"series = \[.*\]", 'series = ["#ffffff", 7]', MIDNIGHT),
            "needs 'lanes.series[1]' to be a colour like '#rrggbb', not 7",
        ),
        (MIDNIGHT.replace("[roles]", "[rules]"), "needs a table [roles]"),
        ("name = [", "is not valid TOML"),
        ("deep = " + "[" * 10_000, "is not valid TOML"),
        ("long = " + "1" * 10_000, "is not valid TOML"),
    ],
    ids=range(11),
)
def test_a_broken_theme_is_named_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(text)
    with pytest.raises(BrokenThemeError) as caught:
        palette.load(path)
    message = str(caught.value)
    assert message.startswith(f"Theme {path} ")
    assert "\n" not in message
    assert message.endswith(".")
    assert caught.value.path == path
    assert said in caught.value.why


def test_missing_and_unreadable_themes(tmp_path: Path) -> None:
    with pytest.raises(BrokenThemeError, match="cannot be read: No such file"):
        palette.load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "caf\xe9"')
    with pytest.raises(BrokenThemeError, match="is not UTF-8 text"):
        palette.load(tmp_path / "latin.toml")
    (tmp_path / "two words.toml").write_text(MIDNIGHT)
    with pytest.raises(BrokenThemeError, match="needs a name made of letters"):
        palette.load(tmp_path / "two words.toml")


def test_no_colour_is_written_in_code() -> None:
    package = Path(spectui.__file__).parent
    coloured = [
        str(path) for path in package.rglob("*.py") if re.search(r"[\"']#[0-9a-fA-F]{3,8}[\"']", path.read_text())
    ]
    assert coloured == []
