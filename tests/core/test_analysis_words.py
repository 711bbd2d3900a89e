"""An analysis in words: the rows that the screen, the command line and reports share."""

from __future__ import annotations

from dataclasses import replace

from spectui.core.analysis import words
from spectui.core.analysis.results import Context, Dimension
from tests.support import analyses


def test_a_bucket_has_a_text_for_every_column_and_a_mark_where_it_stands_out() -> None:
    rows = {row.name: row for row in words.bucket_rows(analyses.dimensions()[1])}
    assert [len(row.figures) for row in rows.values()] == [len(words.BUCKET_COLUMNS)] * 4
    assert rows["numbers"].figures == ("200", "20 %", "14 to 26 %", "62 %", "320", "480")
    marks = {name: row.mark for name, row in rows.items()}
    assert marks == {"word starts": "", "numbers": "-", "punctuation": "+", "special tokens": "*"}


def test_what_is_unknown_is_a_dash_and_has_no_mark() -> None:
    [row, _] = words.bucket_rows(analyses.dimensions()[0])
    assert row.figures[3] == "—"
    assert row.mark == ""
    empty = replace(row.bucket, acceptance=analyses.share(0, 0))
    [shown] = words.bucket_rows(replace(analyses.dimensions()[0], buckets=(empty,)))
    assert shown.figures[:3] == ("0", "—", "—")
    assert words.share_text(empty.acceptance) == "—"


def test_a_bucket_of_a_few_tokens_does_not_stand_out() -> None:
    few = analyses.bucket("few", 5, 29, 1.0)
    many = analyses.bucket("many", 5, 30, 1.0)
    for one, mark in ((few, "*"), (many, "-")):
        kind = Dimension("kind", "Kind", (one, analyses.bucket("others", 100, 100)))
        assert words.bucket_rows(kind)[0].mark == mark


def test_only_the_marks_that_are_used_are_explained() -> None:
    rows = words.bucket_rows(analyses.dimensions()[1])
    assert words.marks_used(rows)[2] == "* too few to rank: fewer than 30 judged tokens"
    assert words.marks_used(rows[1:2]) == ["- accepted less often than expected, beyond the interval"]
    assert words.marks_used(words.bucket_rows(analyses.dimensions()[0])) == []


def test_a_choice_that_cannot_be_estimated_says_why() -> None:
    rows = {row.choice.key: row for row in words.choice_rows(analyses.headroom())}
    assert rows["now"].figures == ("52.4", "1.38x")
    assert rows["fixed"].figures == ("est. 54.0", "1.42x")
    assert rows["bandit"].figures == ("—", "—")
    assert rows["bandit"].detail == ""
    assert words.why_missing(analyses.headroom()) == ["too few steps: record a longer run."]
    said = replace(analyses.headroom(), sentence="too few steps: record a longer run.")
    assert words.why_missing(said) == []


def test_a_token_without_text_has_its_number() -> None:
    told, short = analyses.lane().confusions
    assert words.confusion_name(told) == '"␣the" -> "␣a"'
    assert words.confusion_name(short) == 'token 30 -> "↵"'
    assert words.confusion_figures(told) == ("31", "62")


def test_two_lanes_add_up() -> None:
    agreement = analyses.analysis().agreements[0]
    assert words.agreement_rows(agreement) == [
        ("both right", "400", "50 %"),
        ("only mtp", "120", "15 %"),
        ("only dflash", "60", "7.5 %"),
        ("neither", "220", "28 %"),
    ]
    said = words.agreement_sentence(agreement)
    assert said.startswith("At 800 places that both judged, mtp was right in 65 % (62 to 68 %) and dflash in 57 %")
    nothing = replace(agreement, both=0, only_first=0, only_second=0, neither=0)
    assert {row[2] for row in words.agreement_rows(nothing)} == {"—"}


def test_the_extremes_are_those_farthest_from_what_is_expected() -> None:
    worst, best = words.extremes(analyses.lane())
    assert [row.name for _, row in worst] == ["numbers", "a repetition", "writing"]
    assert [row.name for _, row in best] == ["punctuation", "coding"]


def test_a_lane_says_what_it_is_based_on() -> None:
    assert words.lane_counts(analyses.lane()) == (
        "24 answers, 1,000 steps with a draft; 1,100 of 3,000 drafted tokens accepted (37 %, acceptance length 2.10); "
        "1,900 lost, 2,000 against K"
    )
    assert words.lane_counts(replace(analyses.lane(), lost_k=1900)).endswith("; 1,900 lost")


def test_losses_against_k_are_shown_only_where_they_differ() -> None:
    [position, *_] = analyses.dimensions()
    same = replace(position, buckets=tuple(replace(one, lost_k=one.lost) for one in position.buckets))
    assert [len(words.bucket_columns([one])) for one in (position, same)] == [6, 5]


def test_what_most_tokens_have_in_common_is_held_against_nothing() -> None:
    starts = words.bucket_rows(analyses.dimensions()[1])[0]
    assert (starts.figures[3], starts.bucket.expected, starts.mark) == ("—", None, "")


def test_places_count_from_one() -> None:
    assert words.place_name(Context("", 3, 1, 4)) == "round 4, request 2, step 5"
    assert words.place_name(Context("", -1, 0, 0)) == "step 1"
