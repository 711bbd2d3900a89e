"""The heat of the text on the screen: what is coloured how, at every size, and the way back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from rich.color import ColorSystem

from spectui.core.heat import LEVELS
from spectui.core.views import StreamView, Viewer
from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.ui.paint.rows import Row, plain
from spectui.ui.theme import themes
from spectui.ui.theme.palette import HEAT_STYLES, at_depth
from spectui.ui.widgets.heat_legend import legend_row
from spectui.ui.widgets.heat_text import HeatText, heat_rows
from spectui.ui.widgets.token_stream import TokenStream
from tests.core.test_heat import RANDOM, answers, begun, folded
from tests.support.colours import DEFICIENCIES, contrast, distance, seen
from tests.support.rig import SIZES, running
from tests.ui.test_app import check_screen, panes
from tests.ui.test_theme_colours import COLOURED, FAR_TEXT, TEXT, THEMES

NEXT = 2.5
"""CIEDE2000 between two levels at least, and between the last one and the ground: they are large patches side by side,
where 1 is seen."""


def stream(*events: ev.Event) -> StreamView:
    view = Viewer(folded(list(events))).read().lanes[0].stream
    assert view is not None
    return view


def chunks(*parts: str) -> list[list[int]]:
    return [[ord(letter) for letter in part] for part in parts]


def test_a_token_has_the_colour_of_what_its_look_gave() -> None:
    view = stream(begun(0), *answers(chunks("a", "bc", "def", "\nghi", "jklmn", "opqrstuv", "w"), 0))
    assert heat_rows(view, 40) == [
        (("a", "heat.1"), ("bc", "heat.2"), ("def", "heat.3")),
        (("ghi", "heat.4"), ("jklmnopqrstuv", "heat.5"), ("w", "heat.1")),
    ]
    assert [plain(row) for row in heat_rows(view, 9)] == ["abcdef", "ghijklmno", "pqrstuvw"]


def test_the_spaces_at_which_a_line_breaks_are_not_coloured() -> None:
    view = stream(begun(0), *answers(chunks("one ", "two ", "a", " ", "b", "\n", "  "), 0))
    assert heat_rows(view, 5) == [
        (("one", "heat.4"), (" ", "role.plain")),
        (("two ", "heat.4"), ("a", "heat.1")),
        (("b", "heat.1"),),
        (("  ", "role.plain"),),
    ]


def test_only_the_answer_is_shown() -> None:
    refused = ev.Step(
        "mtp", "0-0", 0, 0, 3, (97, 120, 121), 1, (97, 98), (), "recovered", None, ("a", "b"), ("a", "x", "y"), 1, 1, 1
    )
    ended = ev.Step("mtp", "0-0", 0, 1, 1, (99,), 1, (99,), (100,), None, "eos", ("c", "d"), ("c",), 1, 1, 2)
    view = stream(begun(0), ev.RequestStarted("mtp", "0-0", 0, 5), refused, ended)
    assert heat_rows(view, 40) == [(("ab", "heat.2"), ("c", "heat.1"))]


def test_a_long_answer_is_laid_out_from_its_last_tokens_and_followed() -> None:
    state = folded([begun(0), *answers(chunks(*["ab", "c"] * 20), 0, ended=False)])
    view = Viewer(state).read().lanes[0].stream
    assert view is not None
    assert view.heat is not None
    text = HeatText(view, view.heat, 40, 10)
    text.extend(view, view.heat)
    assert text.layout.first == 50
    assert plain(text.layout.row(0)) == "cabcabcabc"
    assert text.layout.row(0)[0] == ("c", "heat.1")
    assert text.leads_to(view, 40, 10)
    assert not text.leads_to(view, 41, 10)
    assert not text.leads_to(StreamView(view.log, view.length + 11, view.heat), 40, 10)


@pytest.mark.parametrize(
    ("answers_", "width", "row"),
    [
        (1, 60, "tokens per step  1 (hard) 2  3  4  5+ (easy)"),
        (4, 70, "tokens per step  1 (hard) 2  3  4  5+ (easy)         mean of 4 answers"),
        (4, 55, "tokens per step  1 (hard) 2  3  4  5+ (easy)  4 answers"),
        (4, 48, "per step  1 (hard) 2  3  4  5+ (easy)  4 answers"),
        (4, 46, "per step  1  2  3  4  5+     mean of 4 answers"),
        (4, 36, "per step  1  2  3  4  5+   4 answers"),
        (1, 38, "per step  1 (hard) 2  3  4  5+ (easy)"),
        (1, 33, "tokens per step  1  2  3  4  5+ "),
        (1, 28, "per step  1  2  3  4  5+ "),
        (4, 9, " 1  2  3  4  5+ "),
    ],
)
def test_the_scale_is_explained_in_what_room_there_is(answers_: int, width: int, row: str) -> None:
    assert plain(legend_row(answers_, width)) == row


@pytest.mark.parametrize("name", COLOURED)
def test_the_scale_is_one_of_lightness_on_which_text_can_be_read(name: str) -> None:
    palette = themes.find(name).palette
    grounds = [style.bgcolor.triplet.hex for key in HEAT_STYLES if (style := palette[key]).bgcolor]  # type: ignore[union-attr]
    assert len(grounds) == LEVELS
    text, ground = THEMES[name]["base"]["text"], THEMES[name]["base"]["background"]
    ratios = [round(contrast(text, one), 2) for one in (*grounds, ground)]
    assert ratios == sorted(ratios)
    assert min(ratios) >= (FAR_TEXT if name == "stage" else TEXT)
    for deficiency in (None, *DEFICIENCIES):
        apart = [
            distance(seen(one, deficiency), seen(other, deficiency)) for one, other in pairwise([*grounds, ground])
        ]
        assert min(apart) >= NEXT, (deficiency, apart)


@pytest.mark.parametrize("system", [ColorSystem.TRUECOLOR, ColorSystem.EIGHT_BIT, ColorSystem.STANDARD, None])
@pytest.mark.parametrize("name", THEMES)
def test_levels_are_told_apart_with_few_colours_or_none(name: str, system: ColorSystem | None) -> None:
    palette = at_depth(themes.find(name), system).palette

    def look(style: str) -> tuple[object, ...]:
        one = palette[style]
        ground = None if one.bgcolor is None or system is None else one.bgcolor.downgrade(system)
        number = None if ground is None else ground.triplet or (ground.number or 0) % (256 if system != 1 else 8)
        return number, one.bold, one.underline, one.dim

    assert len({look(style) for style in HEAT_STYLES}) == LEVELS


@pytest.mark.parametrize("presenting", [False, True])
@pytest.mark.parametrize("size", SIZES)
async def test_it_colours_the_text_and_gives_it_back(size: tuple[int, int], presenting: bool) -> None:
    async with running(size) as rig:
        await rig.steps(40)
        if presenting:
            await rig.press("p")
        before = rig.text
        await rig.press("h")
        check_screen(rig)
        assert rig.text.count("per step  1") >= len(panes(rig))
        for pane in panes(rig):
            assert styles(pane.stream.rows(*pane.stream.cells)) <= set(HEAT_STYLES)
        await rig.steps(10)
        check_screen(rig)
        await rig.press("h")
        assert "per step  1" not in rig.text
        assert not any(stream.heat for stream in rig.app.screen.query(TokenStream))
        check_screen(rig)
        assert len(rig.text) == len(before)


def styles(rows: list[Row]) -> set[str]:
    return {style for row in rows for text, style in row if text.strip()}


async def test_ar_is_of_one_colour_and_drafting_is_not() -> None:
    async with running((200, 50)) as rig:
        await rig.steps(60)
        await rig.press("h")
        ar, mtp = panes(rig)[:2]
        assert styles(ar.stream.rows(*ar.stream.cells)) == {"heat.1"}
        assert len(styles(mtp.stream.rows(*mtp.stream.cells))) > 1


async def test_it_is_scrolled_and_jumped_in_like_any_text() -> None:
    async with running((60, 14)) as rig:
        await rig.steps(100)
        await rig.press("h", "up", "up")
        [pane] = panes(rig)
        assert not pane.stream.following
        assert "more" in rig.text
        check_screen(rig)
        await rig.press("end", "x")
        assert pane.stream.following
        assert rig.app.choices.rejected == "first", "there are no rejected drafts to show"


async def test_slow_motion_acts_out_roles() -> None:
    async with running() as rig:
        await rig.press("p", "h")
        assert "per step  1" in rig.text
        await rig.press("m")
        assert "per step  1" not in rig.text
        await rig.press("m")
        assert "per step  1" in rig.text


async def test_rounds_of_the_same_prompt_are_averaged() -> None:
    async with running((200, 50), paused=False, sampling=RANDOM) as rig:
        await rig.settle(lambda: rig.view.round_over)
        await rig.press("h")
        assert "mean of" not in rig.text
        rig.source.send(cmd.Restart())
        await rig.settle(lambda: rig.view.round == 1 and rig.view.round_over)
        assert rig.text.count("mean of 2 answers") == len(panes(rig))
        check_screen(rig)
        mtp = rig.lane("mtp")
        assert mtp.stream is not None
        assert mtp.stream.heat is not None
        assert mtp.stream.heat.answers == 2
