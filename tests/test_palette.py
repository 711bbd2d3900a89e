"""Themes: complete, readable, and told apart without colour."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.style import Style

import spectui
from spectui.core.tokens import Role
from spectui.ui import palette
from spectui.ui.palette import ROLE_STYLES, Theme, ThemeError

ROOT = Path(__file__).parent.parent
THEMES = sorted((ROOT / "themes").glob("*.toml"))
DECORATION = {"faint"}
"""Rules and tracks; no text is written in it."""


def luminance(colour: tuple[int, int, int]) -> float:
    """Relative luminance as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(style: Style) -> float:
    """WCAG contrast ratio of a style's text on its background."""
    assert style.color is not None
    assert style.bgcolor is not None
    one, other = (luminance(colour.get_truecolor()) for colour in (style.color, style.bgcolor))
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def signs(style: Style) -> tuple[object, ...]:
    return (style.strike, style.underline, style.bold, style.italic, style.dim)


@pytest.fixture(params=THEMES, ids=lambda path: path.stem)
def theme(request: pytest.FixtureRequest) -> Theme:
    return palette.load(request.param)


def test_both_themes_ship() -> None:
    assert {path.stem for path in THEMES} >= {"midnight", "paper"}
    assert set(palette.available()) >= {"midnight", "paper"}
    assert palette.find("midnight").dark
    assert not palette.find("paper").dark


def test_a_theme_is_named_like_its_file(theme: Theme) -> None:
    assert palette.find(theme.name).name == theme.name


def test_text_is_readable(theme: Theme) -> None:
    too_faint = {
        name: round(contrast(style), 2)
        for name, style in theme.palette.items()
        if name not in DECORATION and contrast(style) < 4.5
    }
    assert not too_faint


def test_all_themes_style_the_same_things(theme: Theme) -> None:
    assert set(theme.palette) == set(palette.mono().palette)


@pytest.mark.parametrize("chosen", [*THEMES, None], ids=lambda path: path.stem if path else "mono")
def test_a_role_has_a_sign_beside_its_colour(chosen: Path | None) -> None:
    styles = palette.load(chosen).palette if chosen else palette.mono().palette
    told_apart = {
        signs(styles[ROLE_STYLES[role]]) for role in (Role.ACCEPTED, Role.REJECTED, Role.RECOVERED, Role.BONUS)
    }
    assert len(told_apart) == 4
    assert styles[ROLE_STYLES[Role.REJECTED]].strike
    assert styles[ROLE_STYLES[Role.RECOVERED]].underline


def test_mono_has_no_colour_and_asks_for_signs() -> None:
    styles = palette.find("mono").palette
    assert styles.signs
    assert all(style.color is None and style.bgcolor is None for style in styles.values())
    assert not palette.find("paper").palette.signs


def test_textual_can_use_every_theme(theme: Theme) -> None:
    for one in (theme, palette.mono()):
        textual = one.textual_theme()
        assert textual.name == one.name
        assert textual.dark == one.dark
        assert textual.to_color_system().generate()


MIDNIGHT = (ROOT / "themes" / "midnight.toml").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            MIDNIGHT.replace('muted = "#8593a3"\nfaint', "faint"),
            "key 'base.muted' must be a colour like '#rrggbb', not None",
        ),
        (
            re.sub('accepted = "#.{6}"', 'accepted = "green"', MIDNIGHT),
            "key 'roles.accepted' must be a colour like '#rrggbb', not 'green'",
        ),
        (MIDNIGHT.replace('name = "midnight"', "name = 3"), "key 'name' must be a text"),
        (MIDNIGHT.replace("dark = true", 'dark = "yes"'), "key 'dark' must be true or false"),
        (MIDNIGHT.replace("[lanes]\n", "[tracks]\n"), "key 'lanes.series' must be a list of colours"),
        (re.sub(r"series = \[.*\]", 'series = ["#ffffff", 7]', MIDNIGHT), "key 'lanes.series[1]' must be a colour"),
        (MIDNIGHT.replace("[roles]", "[rules]"), "table [roles] is missing"),
        ("name = [", "is not valid TOML"),
    ],
)
def test_a_broken_theme_is_named_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(text)
    with pytest.raises(ThemeError) as caught:
        palette.load(path)
    message = str(caught.value)
    assert str(path) in message
    assert said in message
    assert "\n" not in message
    assert message.endswith(".")


def test_missing_and_unreadable_themes(tmp_path: Path) -> None:
    with pytest.raises(ThemeError, match="cannot be read: No such file"):
        palette.load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "caf\xe9"')
    with pytest.raises(ThemeError, match="is not valid TOML"):
        palette.load(tmp_path / "latin.toml")
    with pytest.raises(ThemeError, match=r"no theme 'solar'; choose from .*midnight, paper, mono"):
        palette.find("solar")


def test_the_first_folder_wins(tmp_path: Path) -> None:
    mine = tmp_path / "midnight.toml"
    mine.write_text(MIDNIGHT.replace("#0d1117", "#000000"))
    assert palette.available([tmp_path, *palette.theme_folders()])["midnight"] == mine
    assert palette.find("midnight", [tmp_path]).base["background"] == "#000000"


def test_no_colour_is_written_in_code() -> None:
    package = Path(spectui.__file__).parent
    coloured = [
        str(path) for path in package.rglob("*.py") if re.search(r"[\"']#[0-9a-fA-F]{3,8}[\"']", path.read_text())
    ]
    assert coloured == []
