"""The first sentence names the weakness that was planted, and none where there is none."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from spectui.core.analysis.analyse import analyse
from spectui.core.analysis.columns import Columns
from spectui.core.analysis.results import LaneAnalysis
from spectui.protocol import events as ev
from tests.support.planted_traces import Plant, planted

NAMED: dict[Plant, str] = {
    "numbers": "MTP is weak at numbers: ",
    "indentation": "MTP is weak at white space and indentation: ",
    "context": "MTP is weak beyond 1,024 tokens of context: ",
    "refusal": "MTP is weak up to 4 tokens after a refusal: ",
}
NONE = "No weakness of MTP is certain from "
STRETCHES = ((30, 2.0), (10, 3.0), (30, 3.0), (5, 3.0), (100, 2.0))
"""How many tokens easy and hard stretches of text have on average, and how far they part: a drafter that refusals do
nothing to fails more often after them in all of these."""


def analysed(plant: Plant | None, seed: int) -> LaneAnalysis:
    [lane] = analyse(Columns().add_all(planted(plant, seed))).lanes
    return lane


def named(first: int, of_each: int, without: int) -> tuple[int, int, Counter[str]]:
    """How many planted weaknesses are named, how many traces without one are let be, of which half have stretches of
    hard text, and what is wrong in the rest."""
    wrong: Counter[str] = Counter()
    right = 0
    for plant, said in NAMED.items():
        for seed in range(first, first + of_each):
            sentence = analysed(plant, seed).sentences[0]
            right += sentence.startswith(said)
            if not sentence.startswith(said):
                wrong[f"{plant}: {sentence}"] += 1
    quiet = 0
    for seed in range(first, first + without):
        for stretch, swing in ((0, 0.0), STRETCHES[seed % len(STRETCHES)]):
            [lane] = analyse(Columns().add_all(planted(None, seed, stretch, swing))).lanes
            quiet += lane.sentences[0].startswith(NONE)
            if not lane.sentences[0].startswith(NONE):
                wrong[f"none, stretches of {stretch}: {lane.sentences[0]}"] += 1
    return right, quiet, wrong


def test_a_planted_weakness_is_named_first_and_none_is_made_up() -> None:
    right, quiet, wrong = named(1000, 2, 5)
    assert (right, quiet) == (8, 10), wrong


def test_the_sentence_has_the_figures_of_the_weakness() -> None:
    lane = analysed("numbers", 1)
    weak = lane.weaknesses[0]
    [bucket] = [
        one
        for dimension in lane.dimensions
        if dimension.key == "kind"
        for one in dimension.buckets
        if one.name == "numbers"
    ]
    assert (weak.acceptance, weak.expected) == (bucket.acceptance, bucket.expected)
    assert weak.lost_share == bucket.lost / lane.lost
    assert f"of {bucket.acceptance.count:,})" in lane.sentences[0]
    assert weak.excess == pytest.approx(float(lane.sentences[0].split("costs ")[1].split(" of")[0]), abs=0.05)


def test_a_second_weakness_must_hold_outside_the_first() -> None:
    """Maths and code have most of the numbers, and are not named for it."""
    for seed in range(20, 24):
        assert [one.where for one in analysed("numbers", seed).weaknesses] == ["at numbers"]


def test_the_same_answers_again_make_nothing_surer() -> None:
    events = planted("numbers", 3)
    once = analyse(Columns().add_all(events)).lanes[0]
    again = analyse(Columns().add_all(events + events[1:])).lanes[0]
    assert again.judged == 2 * once.judged
    assert again.weaknesses[0].strength == pytest.approx(once.weaknesses[0].strength, rel=0.01)
    assert again.weaknesses[0].acceptance.low == pytest.approx(once.weaknesses[0].acceptance.low, abs=0.003)


def test_answers_to_one_prompt_say_nothing_about_others() -> None:
    same = ev.Prompt("the same", "math", 0)
    events = [
        replace(event, prompts=(same,)) if isinstance(event, ev.RoundStarted) else event
        for event in planted("numbers", 1)
    ]
    [lane] = analyse(Columns().add_all(events)).lanes
    assert lane.sentences[0].startswith("In these answers to one prompt, MTP is weak at numbers: ")


def test_what_most_tokens_have_in_common_is_said_to_be_that() -> None:
    """Most tokens of a drafter that is weak after a refusal come soon after one."""
    lane = analysed("refusal", 1)
    assert 2 * lane.weaknesses[0].acceptance.count > lane.judged
    assert "of all, so it may be the others that are easy." in lane.sentences[0]
    assert "costs" not in lane.sentences[0]


def test_too_few_tokens_are_not_judged() -> None:
    columns = Columns().add_all(planted("numbers", 1)[:12])
    [lane] = analyse(columns).lanes
    assert lane.judged < 30
    assert lane.weaknesses == ()
    assert lane.sentences == (f"Only {lane.judged} drafted tokens were judged, 30 are needed: record a longer run.",)
