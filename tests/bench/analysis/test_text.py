"""An analysis as lines of a terminal."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len

from spectui.bench.analysis.columns import Line, Row, fitted, paragraph, spelled, table
from spectui.bench.analysis.text import WIDEST, analysis_lines
from spectui.core.analysis.results import Analysis
from tests.support import analyses


def shown(analysis: Analysis, width: int = 80) -> list[str]:
    """The lines as they are printed without colour."""
    return [spelled(line, colour=False) for line in analysis_lines(analysis, width)]


def test_a_lane_begins_with_its_sentences_and_then_has_its_headroom() -> None:
    lines = shown(analyses.analysis())
    assert lines[:3] == [
        "MTP",
        "The drafter is weak at numbers: 20 % accepted where 62 % is expected.",
        "They cost 8.4 tokens per 100 drafted, 21 % of all lost tokens.",
    ]
    at = lines.index("Headroom                   tok/s   x AR  K")
    assert lines[at + 1 : at + 6] == [
        "  as recorded               52.4  1.38x  K=3",
        "  best fixed K         est. 54.0  1.42x  K=2",
        "  best K per category  est. 55.5  1.46x  coding K=3, writing K=1",
        "  oracle               est. 61.0  1.60x  K as accepted",
        "  adaptive K                   —      —",
    ]
    assert lines[at + 7] == "  —: too few steps: record a longer run."
    assert lines[at + 8] == "Work on the drafter: a perfect one would give 3.15x AR (est.), a better K only"
    assert lines.index("DFlash") > at


def test_every_dimension_has_its_table_or_says_why_not() -> None:
    lines = shown(analyses.analysis())
    at = lines.index("Kind of token              judged  accepted         95 %  expected   lost   vs K")
    assert lines[at + 1 : at + 5] == [
        "  word starts               1,000      64 %   61 to 67 %         —    720  1,080",
        "- numbers                     200      20 %   14 to 26 %      62 %    320    480",
        "+ punctuation                 200      95 %   92 to 98 %      60 %     20     30",
        "* special tokens                9      33 %  2.5 to 64 %      60 %     12     18",
    ]
    assert "Certainty of the target: no log-probabilities were recorded." in lines
    assert lines.index("Distance since the last refusal") > at
    assert "  *: too few to rank: fewer than 30 judged tokens" in lines


def test_confusions_say_where_they_are() -> None:
    lines = shown(analyses.analysis())
    at = next(at for at, line in enumerate(lines) if line.startswith("Drafted -> wanted"))
    assert lines[at + 1].split() == ['"␣the"', "->", '"␣a"', "31", "62"]
    assert lines[at + 2] == "    sat on  round 1, step 13"
    assert lines[at + 4].startswith('* token 30 -> "↵"')
    assert "  *: too few to rank: fewer than 30 refusals" in lines


def test_two_lanes_stand_beside_each_other_and_notes_come_last() -> None:
    lines = shown(analyses.analysis())
    at = next(at for at, line in enumerate(lines) if line.startswith("mtp and dflash at the same places"))
    assert [line.split()[-3:] for line in lines[at + 2 : at + 4]] == [["120", "15", "%"], ["60", "7.5", "%"]]
    assert lines[-2:] == ["Notes", "- 12 steps were lost."]


@pytest.mark.parametrize("width", [20, 80, 100, 300])
@pytest.mark.parametrize("made", [analyses.analysis, analyses.hostile])
def test_no_line_is_wider_than_the_terminal(made: object, width: int) -> None:
    lines = shown(made(), width)  # type: ignore[operator]
    assert max(map(cell_len, lines)) <= min(max(width, 76), WIDEST)


def test_hostile_texts_are_harmless_and_stay_on_their_line() -> None:
    for line in analysis_lines(analyses.hostile(), 80):
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202e\ud800]", line.text)
        assert re.fullmatch("(?:\x1b\\[\\d+m[^\x1b]*\x1b\\[0m)?[^\x1b]*", spelled(line, colour=True))
    text = "\n".join(shown(analyses.hostile(), 110))
    assert "\\x1b[2J\\x07\\x9b31m\\u202e\\ud800|`<b>\\n\\x7f=1+1" in text


def test_colour_is_only_where_it_is_wanted() -> None:
    line = Line("By kind", "heading")
    assert spelled(line, colour=True) == "\x1b[1mBy kind\x1b[0m"
    assert spelled(line, colour=False) == spelled(Line("By kind"), colour=True) == "By kind"


def test_a_figure_is_not_parted_from_its_sign_and_no_word_is_lost() -> None:
    text = " ".join(f"word{number} {number} %" for number in range(40))
    lines = [line.text for line in paragraph(text, 21, first="- ", rest="  ")]
    assert all(line.startswith(("- ", "  ")) and not line.strip().startswith("%") for line in lines)
    assert " ".join(line[2:] for line in lines) == text
    assert [line.text for line in paragraph("coding K=3, math K=1", 14)] == ["coding K=3,", "math K=1"]
    long = "x" * 100
    assert "".join(line.text for line in paragraph(long, 21)) == long


def test_text_that_is_too_long_shows_the_end_that_matters() -> None:
    assert fitted("abcdef", 6) == "abcdef"
    assert fitted("abcdefg", 6) == "abcde…"
    assert fitted("abcdefg", 6, keep_end=True) == "…cdefg"
    assert cell_len(fitted("你好你好", 6)) <= 6


def test_wide_characters_keep_columns_in_line() -> None:
    rows = [Row("数字", ("1", "22"), tail="b"), Row("numbers", ("100", "2"), tail="b")]
    lines = [line.text for line in table(rows, 60)]
    assert len({cell_len(line) for line in lines}) == 1


def test_a_long_name_goes_on_in_the_next_line_but_not_for_ever() -> None:
    [head, first, second, *more] = [
        line.text
        for line in table([Row("Kind", ("judged",), style="heading"), Row("a name of many words", ("12",), "- ")], 22)
    ]
    assert (head, first, second, more) == ("Kind            judged", "- a name of         12", "    many words", [])
    assert len(list(table([Row("name " * 1000, ("12",))], 40))) <= 5
