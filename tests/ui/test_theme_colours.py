"""Themes that can be read and told apart, also by people whose colour vision is deficient."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import pytest

from tests.support.colours import DEFICIENCIES, contrast, distance, seen

THEMES = {
    path.stem: tomllib.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parents[2] / "themes").glob("*.toml"))
}
COLOURED = {name: theme for name, theme in THEMES.items() if theme.get("colours", True)}
SAFE = [("deuteranopia", "deuteranopia"), ("deuteranopia", "protanopia"), ("tritanopia", "tritanopia")]
"""Which theme is made for which deficiency: the two kinds of red-green blindness share one."""

APART = 16.0
"""CIEDE2000 that two roles keep at least: the closest pair of the default theme in normal vision is just above.

So with a theme made for it, a deficiency leaves no two roles nearer to each other than everybody else sees them.
"""

TEXT = 4.5
"""WCAG 2's AA for text. Also for muted text, because the figures of the screen are among it."""
FAR_TEXT = 7.0
"""AAA, for the theme that is read across a room through a projector."""
RULE = 1.4
"""Faint is for rules and tracks, and for keys that can do nothing now: no text that has to be read, only to be seen."""
FAR_RULE = 3.0
"""WCAG 2's for shapes: a projector swallows less."""


def close_pairs(colours: Mapping[str, str], deficiency: str | None) -> dict[str, float]:
    """Pairs that look nearer to each other than `APART`."""
    found = {
        f"{one} {other}": round(distance(seen(colours[one], deficiency), seen(colours[other], deficiency)), 1)
        for one, other in combinations(colours, 2)
    }
    return {pair: apart for pair, apart in found.items() if apart < APART}


def roles(name: str) -> dict[str, str]:
    """Colours of the token roles; cut tokens look like pending ones, and always stand in signs of their own."""
    colours = dict(THEMES[name]["roles"])
    assert colours.pop("cut") == colours["pending"]
    return colours


@pytest.mark.parametrize("name", COLOURED)
def test_roles_are_told_apart_by_colour(name: str) -> None:
    assert len(roles(name)) == 6
    assert close_pairs(roles(name), None) == {}


@pytest.mark.parametrize(("name", "deficiency"), SAFE)
def test_roles_are_told_apart_with_the_deficiency_that_the_theme_is_for(name: str, deficiency: str) -> None:
    assert close_pairs(roles(name), deficiency) == {}


@pytest.mark.parametrize(("name", "deficiency"), [*SAFE, ("deuteranopia", None), ("tritanopia", None)])
def test_so_are_the_lanes(name: str, deficiency: str | None) -> None:
    lanes = {str(number): colour for number, colour in enumerate(THEMES[name]["lanes"]["series"])}
    assert len(lanes) == 6
    assert close_pairs(lanes, deficiency) == {}


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_the_other_themes_would_not_do(deficiency: str) -> None:
    assert close_pairs(roles("midnight"), deficiency)
    assert close_pairs(roles("paper"), deficiency)


@pytest.mark.parametrize("name", COLOURED)
def test_text_is_readable(name: str) -> None:
    theme, base = THEMES[name], THEMES[name]["base"]
    written = {key: base[key] for key in ("text", "muted", "accent", "good", "warn", "bad")}
    written |= theme["roles"] | {f"lane {number}": colour for number, colour in enumerate(theme["lanes"]["series"], 1)}
    ground, far = base["background"], name == "stage"
    ratios = {key: round(contrast(colour, ground), 2) for key, colour in written.items()}
    assert {key: ratio for key, ratio in ratios.items() if ratio < (FAR_TEXT if far else TEXT)} == {}
    assert contrast(base["faint"], ground) >= (FAR_RULE if far else RULE)
    assert contrast(base["text"], base["panel"]) >= TEXT


@pytest.mark.parametrize(
    ("one", "other", "published"),
    [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0000),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((50.0, 2.5, 0.0), (58.0, 24.0, 15.0), 19.4535),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_distance_is_the_published_one(
    one: tuple[float, float, float], other: tuple[float, float, float], published: float
) -> None:
    """Pairs from the table with which Sharma, Wu and Dalal check an implementation."""
    assert distance(one, other) == pytest.approx(published, abs=5e-5)
    assert distance(other, one) == pytest.approx(published, abs=5e-5)


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_a_deficiency_leaves_greys_alone_and_takes_its_colours(deficiency: str) -> None:
    for grey in ("#ffffff", "#808080", "#000000"):
        assert distance(seen(grey), seen(grey, deficiency)) < 0.1
    confused = ("#f0d2d2", "#d2dcd2") if deficiency != "tritanopia" else ("#d2d2a0", "#d2d2d2")
    one, other = confused
    assert distance(seen(one, deficiency), seen(other, deficiency)) < distance(seen(one), seen(other)) / 2
