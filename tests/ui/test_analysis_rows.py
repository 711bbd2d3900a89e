"""Why drafts fail, as rows of text."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.core.analysis.results import Analysis, Headroom, Share
from spectui.core.analysis.words import RECORD_LONGER
from spectui.ui.paint.rows import plain, row_width
from spectui.ui.widgets.agreement_rows import LaneFace
from spectui.ui.widgets.analysis_rows import AnalysisRows, analysis_rows
from spectui.ui.widgets.share_bar import share_bar
from tests.support.analyses import analysis, hostile, share

FACES = {"mtp": LaneFace("2 MTP", "lane.1"), "dflash": LaneFace("3 DFlash", "lane.2")}
MORE = "let the race run on, then press r"
KIND, COPYABLE = 1, 5
FEW = f"Only 12 drafted tokens were judged, 30 are needed: {RECORD_LONGER}."


def few() -> Analysis:
    """So few judged tokens that nothing is ranked, and a headroom that nobody can estimate."""
    made = analysis()
    lanes = tuple(replace(lane, judged=12, confusions=(), sentences=(FEW,), weaknesses=()) for lane in made.lanes)
    unknown = tuple(
        replace(choice, tok_s=None, times_ar=None, missing="too few steps") for choice in headroom(made).choices
    )
    agreement = replace(made.agreements[0], union=share(9, 12))
    return Analysis(lanes, (agreement,), (replace(headroom(made), choices=unknown, formula=""),))


def headroom(made: Analysis) -> Headroom:
    return made.headroom[0]


def nothing() -> Analysis:
    made = analysis()
    return Analysis((replace(made.lanes[0], drafted=0, accepted=0, judged=0, lost=0, dimensions=()),), (), ())


def made_rows(made: Analysis, dimension: int = KIND, width: int = 116) -> AnalysisRows:
    return analysis_rows(made, made.lanes[0], dimension, FACES, MORE, width)


def texts(made: Analysis, dimension: int = KIND, width: int = 116) -> list[str]:
    return [plain(row).rstrip() for row in made_rows(made, dimension, width).rows]


@pytest.mark.parametrize("width", [1, 2, 5, 12, 23, 40, 60, 76, 116, 139, 140, 141, 196])
@pytest.mark.parametrize("make", [analysis, hostile, few, nothing])
def test_rows_fit(make: Callable[[], Analysis], width: int) -> None:
    for dimension in range(9):
        made = made_rows(make(), dimension, width)
        assert all(row_width(row) <= width for row in made.rows), [plain(row) for row in made.rows]
        assert 0 <= made.dimension.start <= made.dimension.stop <= len(made.rows)


def test_no_unsafe_character_comes_through() -> None:
    for width in (20, 76, 196):
        text = "".join(texts(hostile(), 0, width))
        assert not {unicodedata.category(char) for char in text} & {"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"}


def test_the_weakness_comes_first_and_the_table_shows_it_without_colours() -> None:
    said = texts(analysis())
    assert said[0].startswith("24 answers, 1,000 steps with a draft")
    assert said[3] == "The drafter is weak at numbers: 20 % accepted where 62 % is expected."
    assert "12 steps were lost." in said
    numbers = next(line for line in said if line.startswith("numbers"))
    assert numbers.split()[1] == "-"
    assert numbers.split()[-9:] == ["200", "20", "%", "14", "to", "26", "%", "62", "%", "320", "480"][-9:]
    assert numbers.index("╍") < numbers.index("┃"), "the interval ends before what was expected"
    assert next(line for line in said if line.startswith("punctuation")).split()[1] == "+"
    assert next(line for line in said if line.startswith("special tokens")).split()[2] == "*"
    assert "* too few to rank: fewer than 30 judged tokens" in said


def test_a_property_that_is_not_known_says_why() -> None:
    said = texts(analysis(), COPYABLE)
    assert analysis().lanes[0].dimensions[COPYABLE].missing in said
    assert any("▸copyable" in line for line in said)


def test_headroom_has_a_bar_for_each_way_and_says_what_is_missing() -> None:
    said = texts(analysis())
    bars = {name: next(line for line in said if line.startswith(name)) for name in ("as recorded", "perfect drafter")}
    assert bars["as recorded"].count("━") < bars["perfect drafter"].count("━")
    assert bars["perfect drafter"].split()[-3:] == ["120", "3.15x", "K=3"]
    assert next(line for line in said if line.startswith("adaptive K")).split()[2:] == ["—", "—"]
    assert f"—: too few steps: {MORE}." in said
    assert any(line.startswith("tok/s = ") for line in said)
    assert "too few steps" in texts(few())


def test_confusions_have_their_contexts_and_lanes_their_agreement() -> None:
    said = texts(analysis())
    pair = next(place for place, line in enumerate(said) if line.startswith("␣the"))
    assert said[pair].split() == ["␣the", "→", "␣a", "31", "62", "3.3", "%"]
    assert said[pair + 2] == "  looked at   round 4, request 2, step 5"
    assert any(line.startswith("token 30") for line in said)
    assert any(line.startswith("2 MTP and 3 DFlash at the same places") for line in said)
    assert "both right 400 (50 %); only 2 MTP 120 (15 %); only 3 DFlash 60 (7.5 %); neither 220 (28 %)" in said


def test_a_wide_screen_has_two_columns() -> None:
    said = texts(analysis(), width=196)
    assert any(line.startswith("Headroom") and "Kind of token" in line for line in said)
    assert len(said) < len(texts(analysis()))


def test_empty_states_say_what_to_do() -> None:
    assert texts(nothing())[-1] == f"No drafts yet: {MORE}."
    assert f"Only 12 drafted tokens were judged, 30 are needed: {MORE}." in texts(few())
    assert any("12 places that both judged" in line and "too few to rank" in line for line in texts(few()))
    assert any(line.startswith("No refusal yet") for line in texts(few()))


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.none() | st.floats(0, 1), st.integers(0, 70))
def test_a_bar_has_the_cells_that_it_was_given(
    a: float, b: float, c: float, expected: float | None, cells: int
) -> None:
    low, value, high = sorted((a, b, c))
    bar = share_bar(Share(value, low, high, 50), "lane.1", cells, expected)
    assert row_width(bar) == cells
    assert ("┃" in plain(bar)) == (expected is not None and cells > 0)
    assert plain(share_bar(Share(None, None, None, 0), "lane.1", cells)) == "─" * cells
