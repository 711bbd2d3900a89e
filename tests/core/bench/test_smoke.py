"""What a smoke test refuses, and what it says about the time that a benchmark will take."""

from __future__ import annotations

import pytest

from spectui.core.bench.estimate import (
    greedy_seconds,
    left_out,
    piece_seconds,
    sampling_seconds,
    total_seconds,
    within_budget,
)
from spectui.core.bench.matrix import Block, Matrix, Variant, blocks_of
from spectui.core.bench.smoke import SmokeAnswer, SmokePace, smoke_fault
from spectui.protocol.events import LaneInfo, Sampling
from tests.support.benchmarks import VARIANTS, made_up_matrix

pytestmark = pytest.mark.unit

GOOD = SmokeAnswer(tuple(range(32)), "A good answer.", "Say something.")
MTP = LaneInfo("mtp", "mtp", "MTP", 3, "mtp:k=3")
NGRAM = LaneInfo("ngram", "ngram", "n-gram", 5, "ngram:k=5")


@pytest.mark.parametrize(
    ("info", "answers", "drafted", "accepted", "says", "cause"),
    [
        (MTP, [GOOD], 96, 40, "", ""),
        (MTP, [GOOD, SmokeAnswer((), "", "Why?")], 96, 40, "its answer to 'Why?' is empty", "--raw"),
        (MTP, [SmokeAnswer((1,), " \n", "Why?")], 96, 40, "its answer to 'Why?' is empty", "enable_thinking"),
        (MTP, [SmokeAnswer((7,) * 16, "!" * 16)], 96, 40, "its answer repeats one token", "weights are damaged"),
        (MTP, [SmokeAnswer((7,) * 15, "!" * 15)], 96, 40, "", ""),
        (MTP, [GOOD], 150, 2, "only 2 of 150 drafted tokens were accepted", "another model"),
        (MTP, [GOOD], 150, 3, "", ""),
        (MTP, [GOOD], 63, 0, "", ""),
        (NGRAM, [GOOD], 150, 0, "", ""),
    ],
)
def test_a_broken_lane_is_refused_with_its_causes(
    info: LaneInfo, answers: list[SmokeAnswer], drafted: int, accepted: int, says: str, cause: str
) -> None:
    fault, causes = smoke_fault(info, None, answers, drafted, accepted)
    assert fault == says
    assert cause in " ".join(causes)
    assert bool(fault) == bool(causes)


PACE = SmokePace(alone_s=0.02, together_s=0.03, together=5, tokens_per_step=2.0, prefill_s=0.001)


def test_a_step_is_on_the_line_through_what_was_measured() -> None:
    assert [PACE.step_s(n) for n in (1, 5, 9)] == pytest.approx([0.02, 0.03, 0.04])
    faster = SmokePace(0.03, 0.02, 5, 1.0, 0.0)
    assert faster.step_s(16) == 0.03


@pytest.mark.parametrize(
    ("block", "requests", "expected"),
    [
        # 128 tokens in 64 steps, and 10 prompt tokens of a millisecond each.
        (Block(1, "coding"), None, 64 * 0.02 + 0.01),
        (Block(5, "coding"), None, 64 * 0.03 + 5 * 0.01),
        (Block(5, "coding"), 6, 2 * 64 * 0.03 + 6 * 0.01),
        (Block(1, "coding", 2000), None, 64 * 0.02 + 2),
    ],
)
def test_the_time_of_a_repetition_by_hand(block: Block, requests: int | None, expected: float) -> None:
    matrix = Matrix(VARIANTS, (block,), "fixed", Sampling(max_tokens=128), requests=requests)
    seconds = piece_seconds(matrix, {variant.lane: PACE for variant in VARIANTS}, prompt_tokens=10)
    assert seconds(block, VARIANTS[0]) == pytest.approx(expected)
    assert total_seconds(matrix, seconds) == pytest.approx(9 * expected)


def test_answers_that_end_by_themselves_are_as_long_as_those_that_were_seen() -> None:
    matrix = Matrix(VARIANTS, (Block(1, "a"),), "natural", Sampling(max_tokens=1000))
    for answer, tokens in ((20.0, 20), (None, 500)):
        pace = SmokePace(0.02, 0.03, 5, 2.0, 0.0, answer)
        seconds = piece_seconds(matrix, {variant.lane: pace for variant in VARIANTS}, 0)
        assert seconds(Block(1, "a"), VARIANTS[0]) == pytest.approx(tokens / 2 * 0.02)


def test_the_time_of_the_checks_of_outputs_by_hand() -> None:
    paces = {"ar": PACE, "mtp": PACE}
    # Three passes of two rounds: 128 tokens in 64 steps, and 60 prompt tokens of a millisecond each.
    assert greedy_seconds(paces, "ar", [10] * 6, 128, 5) == pytest.approx(3 * (2 * 64 * 0.03 + 0.06))
    # Two lanes in 20 rounds of 10 steps; each of 100 answers and of 50 questions has a prompt of 10 tokens.
    assert sampling_seconds(paces, "ar", 10, 100, 20, 50, 5) == pytest.approx(2 * (20 * 10 * 0.03 + 1.5))


def one_second(block: Block, variant: Variant) -> float:
    return 1.0


@pytest.mark.parametrize("budget", [1, 10, 30, 54, 60, 100])
def test_a_thinned_matrix_keeps_to_the_budget_where_it_can(budget: float) -> None:
    sweep = tuple(Variant("mtp", "mtp", "MTP", k) for k in (1, 2, 3))
    matrix = made_up_matrix(variants=(VARIANTS[0], *sweep), categories=tuple("abc"))
    thinned = within_budget(matrix, one_second, budget)
    least = 3 * 2 * 2
    assert total_seconds(thinned, one_second) <= max(budget, least)
    assert {block.concurrency for block in thinned.blocks} == {1, 4}
    assert {variant.lane for variant in thinned.variants} == {"ar", "mtp"}
    assert bool(left_out(matrix, thinned)) == (thinned != matrix)


def test_what_is_left_out_is_named() -> None:
    matrix = Matrix(
        (VARIANTS[0], *(Variant("mtp", "mtp", "MTP", k) for k in (1, 2, 3))),
        blocks_of((1,), ("a", "b", "c", "d"), (None,)),
        "fixed",
        Sampling(),
    )
    thinned = within_budget(matrix, one_second, 18)
    assert left_out(matrix, thinned) == (
        "left out to keep to the budget: the categories b, c",
        "left out to keep to the budget: mtp K=2",
    )
    assert left_out(matrix, matrix) == ()
