"""Greedy texts beside AR's, the target's probabilities after sampling's cuts, and what is said about both."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from dataclasses import asdict, replace

import pytest

from spectui.core.lossless.chances import Chances, chances
from spectui.core.lossless.distribution import DistributionCheck
from spectui.core.lossless.greedy import (
    Answer,
    GreedyLane,
    Losslessness,
    Name,
    Parting,
    distances,
    first_difference,
    first_words,
    name_of,
)
from spectui.core.lossless.significance import judge_drafts, judge_tokens
from spectui.core.lossless.tally import Tally, chains
from spectui.core.lossless.words import distribution_lines, distribution_table, greedy_lines, greedy_table
from spectui.core.losslessness import NEAR_TIE_MARGIN
from spectui.protocol.events import Prompt
from tests.support.synthetic_sampler import Sampler, judged

np = pytest.importorskip("numpy")

TIE = Parting(5, "coding", "Write a function", 14, "token", " need", " can", 0.125, 0.125)
REAL = Parting(3, "math", "What is 2 + 2?", 7, "token", " 5", " 4", 2.0, 2.5)
EARLY = Parting(4, "", "Hello", 9, "early", None, " more")
LATE = Parting(4, "", "Hello", 9, "late", " more", None)
UNASKED = Parting(6, "qa", "Who?", 1, "token", "a", "b")
AR = GreedyLane("ar", "AR", True, 22, 1408)


def check(*partings: Parting, control: tuple[Parting, ...] = ()) -> Losslessness:
    lanes = (replace(AR, partings=control), GreedyLane("mtp", "MTP", False, 22, 1300, 390, 145, partings))
    return Losslessness(lanes, 64, 4)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [([1, 2, 3], None), ([1, 9, 3], (1, "token")), ([1, 2], (2, "early")), ([1, 2, 3, 4], (3, "late"))],
)
def test_a_difference_has_a_place_and_a_kind(ids: list[int], expected: object) -> None:
    assert first_difference(Answer([1, 2, 3]), Answer(ids)) == expected


def test_one_accepted_token_in_two_hundred_is_found() -> None:
    """A lane of 20 answers of 128 tokens, of which two in three are accepted drafts; the target is sure of each."""
    dice = random.Random(1)
    references = [[dice.randrange(1000) for _ in range(128)] for _ in range(20)]
    sure = ((7, math.log(0.9)), (8, math.log(0.05)), (9, math.log(0.01)))
    partings, altered = [], 0
    for number, ids in enumerate(references):
        answer = list(ids)
        for place in range(128):
            if place % 3 and dice.random() < 1 / 200:
                answer[place] += 1000
                altered += 1
        found = first_difference(Answer(ids), Answer(answer))
        if found is not None:
            margin, behind = distances(sure, 7, 8)
            partings.append(Parting(number, "coding", "x", *found, "a", "b", margin, behind))
    result = check(*partings)
    assert 5 <= altered <= 20
    assert result.failed
    assert len(result.lanes[1].real(NEAR_TIE_MARGIN)) == len(partings) >= 4
    clean = [first_difference(Answer(ids), Answer(list(ids))) for ids in references]
    assert set(clean) == {None}


def test_how_far_two_answers_are_apart_at_their_first_difference() -> None:
    """The worked example, and an answer that the target did not even name."""
    likeliest = ((1, -0.5), (2, -0.7), (3, -1.5))
    assert distances(likeliest, 1, 2) == pytest.approx((0.2, 0.2))
    assert distances(likeliest, 1, 3) == pytest.approx((0.2, 1.0))
    assert distances(likeliest, 2, 99) == pytest.approx((0.2, 1.0))
    assert distances(likeliest[:1], 1, 2) == (None, None)


def test_only_a_different_token_can_be_a_near_tie() -> None:
    assert [one.near_tie() for one in (TIE, REAL, EARLY, LATE, UNASKED)] == [True, False, False, False, None]
    assert TIE.near_tie(0.1) is False


def test_near_ties_pass_and_real_disagreements_fail_the_run() -> None:
    assert not check().failed
    assert not check(TIE, UNASKED).failed
    assert check(TIE, REAL).failed
    assert check(EARLY).failed
    assert check(TIE).judged
    assert not check(control=(REAL,)).judged


def test_an_answer_that_was_cut_short_is_not_identical() -> None:
    (_, mtp) = check(TIE).lanes
    cut = Losslessness((AR, replace(mtp, unfinished=2)), 64, 4)
    assert cut.lanes[1].identical == 19
    assert greedy_lines(cut)[1].startswith("MTP: 19 of 22 answers identical to AR's; 1 near tie, at most 0.12 nats beh")
    assert "; 2 not finished; first difference" in greedy_lines(cut)[1]
    assert "| MTP | 22 | 19 (2 not finished) |" in greedy_table(cut)


def test_a_prompt_has_its_place_within_its_category_whatever_was_put_before_it() -> None:
    prompts = [Prompt("x + y?", "math"), Prompt("Hello", "chat"), Prompt("What is x + y?", "math", 7)]
    assert name_of(Prompt("Some text.\n\nWhat is x + y?", "math"), prompts) == Name(1, "What is x + y?")
    assert name_of(Prompt("Some text.\n\nx + y?", "math"), prompts) == Name(0, "x + y?")
    assert name_of(Prompt("Hello", "chat", 5), prompts) == Name(0, "Hello")
    assert name_of(Prompt("else", "math", 3), prompts) == Name(3, "else")


def test_prompts_are_named_by_how_they_begin() -> None:
    assert first_words("Write a\nfunction") == "Write a function"
    assert first_words("one two three four five six seven eight nine") == "one two three four five six seven eight …"
    assert len(first_words("x" * 200)) == 60


def test_a_real_disagreement_names_the_prompt_and_the_place() -> None:
    lines = greedy_lines(check(TIE, REAL, EARLY, LATE, UNASKED))
    assert lines == [
        "AR again: 22 of 22 answers identical to its own",
        "MTP: 17 of 22 answers identical to AR's; 1 near tie, at most 0.12 nats behind; 3 real disagreements; "
        "1 where the target could not be asked; first difference at token 2, median 10",
        "  MTP, math prompt 4 (\"What is 2 + 2?\"), token 8: it says ' 5', AR ' 4', 2.50 nats behind the target's "
        "likeliest token",
        "  MTP, prompt 5 (\"Hello\"), token 10: its answer ends, AR goes on with ' more'",
        "  MTP, prompt 5 (\"Hello\"), token 10: AR has ended, it goes on with ' more'",
    ]
    assert greedy_lines(check(*[REAL] * 5))[-1] == "  and 2 more"


def test_ar_that_differs_from_itself_judges_nobody() -> None:
    assert greedy_lines(check(control=(REAL,)))[-1] == (
        "AR differs from itself where the target is sure, so no lane can be judged: the engine is at fault"
    )


def test_the_table_has_a_row_for_each_lane() -> None:
    assert greedy_table(check(TIE, REAL)).splitlines() == [
        "| lane | prompts | identical | first difference | near ties | real disagreements |",
        "| --- | --- | --- | --- | --- | --- |",
        "| AR again | 22 | 22 | — | 0 | 0 |",
        "| MTP | 22 | 20 | token 8 (median 11.5) | 1 (at most 0.12 nats) | 1 |",
    ]


def test_results_survive_json() -> None:
    greedy = check(TIE, EARLY)
    assert Losslessness.from_dict(json.loads(json.dumps(asdict(greedy)))) == greedy
    lanes = (
        judged(Sampler(np.random.default_rng(1), k=0).tally(400)),
        judged(Sampler(np.random.default_rng(2)).tally(400)),
    )
    sampled = DistributionCheck(lanes, 1.0, 0.9, 20, 8, 16)
    assert DistributionCheck.from_dict(json.loads(json.dumps(asdict(sampled)))) == sampled


LIKELIEST = [(1, math.log(0.6)), (2, math.log(0.3)), (3, math.log(0.1))]


@pytest.mark.parametrize(
    ("temperature", "top_p", "top_k", "expected"),
    [
        (1.0, 1.0, 0, {1: 0.6, 2: 0.3, 3: 0.1}),
        (0.5, 1.0, 0, {1: 36 / 46, 2: 9 / 46, 3: 1 / 46}),
        (0.5, 0.9, 0, {1: 0.8, 2: 0.2}),
        (1.0, 1.0, 2, {1: 2 / 3, 2: 1 / 3}),
        (1.0, 0.5, 0, {1: 1.0}),
        (2.0, 1.0, 3, {1: 0.6**0.5, 2: 0.3**0.5, 3: 0.1**0.5}),
    ],
)
def test_the_probabilities_are_those_that_the_sampler_draws_from(
    temperature: float, top_p: float, top_k: int, expected: dict[int, float]
) -> None:
    found = chances(LIKELIEST, temperature, top_p, top_k)
    assert found is not None
    total = sum(expected.values())
    assert found.known == pytest.approx({token: p / total for token, p in expected.items()})
    assert found.rest == pytest.approx(0, abs=1e-12)


def test_what_is_not_named_has_the_rest() -> None:
    found = chances([(1, math.log(0.6)), (2, math.log(0.3))], 1.0)
    assert found == Chances(pytest.approx({1: 0.6, 2: 0.3}), pytest.approx(0.1), 0.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("likeliest", "temperature", "top_p", "top_k"),
    [
        ([], 1.0, 1.0, 0),
        (LIKELIEST, 0.0, 1.0, 0),
        ([(1, math.log(0.4)), (2, math.log(0.2))], 0.7, 1.0, 0),
        ([(1, math.log(0.4)), (2, math.log(0.2))], 1.5, 1.0, 0),
        ([(1, math.log(0.4)), (2, math.log(0.2))], 1.0, 0.9, 0),
        (LIKELIEST, 1.0, 0.91, 0),
        ([(1, math.log(0.4)), (2, math.log(0.35)), (3, math.log(0.25))], 1.0, 1.0, 1),
    ],
    ids=["nothing", "greedy", "cold tail", "hot tail", "beyond", "at the edge of top-p", "at the edge of top-k"],
)
def test_what_cannot_be_known_is_not_guessed(
    likeliest: list[tuple[int, float]], temperature: float, top_p: float, top_k: int
) -> None:
    assert chances(likeliest, temperature, top_p, top_k) is None


def test_a_step_counts_each_draft_up_to_the_refused_one() -> None:
    tally = Tally()
    tally.step(0, [5], [6, 7, 8], 1)
    tally.step(0, [5], [6, 7, 8], 3)
    assert tally.drafts == {((0, 5), 6): [2, 2], ((0, 5, 6), 7): [1, 2], ((0, 5, 6, 7), 8): [1, 1]}
    tally.answer(0, [5, 6, 7, 8])
    assert tally.tokens == {(0,): Counter([5]), (0, 5): Counter([6]), (0, 5, 6): Counter([7])}


def test_one_question_answers_for_every_beginning() -> None:
    contexts = [(0,), (0, 1), (0, 1, 2), (0, 3), (1,), (1, 4)]
    assert chains(contexts, 10) == [(0, 1, 2), (0, 3), (1, 4)]
    assert chains(contexts, 1) == [(0, 1, 2)]


def test_a_token_that_top_p_excludes_is_a_fault_however_few_there_are() -> None:
    tally = Tally()
    tally.tokens[(0,)].update({1: 500, 2: 499, 3: 1})
    cut = chances([(1, math.log(0.4)), (2, math.log(0.4)), (3, math.log(0.05))], 1.0, 0.75)
    assert cut is not None
    found = judge_tokens(tally, {(0,): cut}, 1e-4, 1e-3)
    assert found is not None
    assert (found.outside, found.p) == (1, 0.0)
    whole = judge_tokens(tally, {(0,): Chances({1: 0.5, 2: 0.499}, 0.001)}, 1e-4, 1e-3)
    assert whole is not None
    assert whole.p > 0.5


def test_nothing_is_outside_of_a_distribution_that_happens_to_sum_to_1() -> None:
    tally = Tally()
    tally.tokens[(0,)].update({1: 500, 2: 499, 3: 1})
    known = chances([(1, math.log(0.5)), (2, math.log(0.5))], 1.0)
    assert known == Chances({1: 0.5, 2: 0.5}, 0.0)
    found = judge_tokens(tally, {(0,): known}, 1e-4, 1e-3)
    assert found is not None
    assert found.outside == 0


def test_nothing_known_is_nothing_tested() -> None:
    tally = Sampler(np.random.default_rng(1)).tally(400)
    assert judge_tokens(tally, {}, 0.0, 1e-3) is None
    assert judge_drafts(tally, {}, 0.0, 1e-3) is None


def test_the_distribution_is_told_with_its_power() -> None:
    lanes = (
        judged(Sampler(np.random.default_rng(1), k=0).tally(4000)),
        judged(Sampler(np.random.default_rng(2)).tally(400)),
        judged(Sampler(np.random.default_rng(3), fault=0.2).tally(4000)),
    )
    told = DistributionCheck(lanes, 1.0, 1.0, 0, 4, 16)
    text = "\n".join(distribution_lines(told))
    assert "AR: no difference found, 4,000 samples at temperature 1\n  tokens: chi-square " in text
    assert "drafts accepted 2 percentage points too often would be found in" in text
    assert "; 90 % need " in text
    assert "MTP: not the target's distribution, 4,000 samples" in text
    rows = distribution_table(told).splitlines()
    assert len(rows) == 5
    assert rows[4].endswith("| not the target's distribution |")
    assert rows[2].endswith("| — | no difference found |")
