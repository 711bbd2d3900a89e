"""Throughput of a whole prompt set from some of its prompts: the estimate, and how often its interval is right."""

from __future__ import annotations

import math
import random

import pytest

from spectui.core.paired import Arm, Estimate, PromptSet, Visit, student_t

TRIALS = 1_000


def covered(seed: int, kinds: int, of_a_kind: int, drawn: int, noise: float) -> bool | None:
    """Whether the interval of a ratio covers that of the whole set; None where there is no interval."""
    dice = random.Random(seed)
    means = [dice.uniform(0.3, 3.0) for _ in range(kinds)]
    prompts = PromptSet([str(kind) for kind in range(kinds) for _ in range(of_a_kind)], seed)
    steps = [[max(1, round(dice.gauss(30 * means[i // of_a_kind], 6))) for i in range(len(prompts))] for _ in range(2)]
    arms = Arm(), Arm()
    for turn in range(drawn):
        number = prompts.order[turn % len(prompts)]
        drift = math.exp(dice.gauss(0, 0.2))
        for arm, own in zip(arms, steps, strict=True):
            seconds = own[number] * 0.02 * drift * math.exp(dice.gauss(0, noise))
            arm.add(number, Visit(turn, 64, seconds, own[number]))
    interval = Estimate(prompts, *arms).interval()
    truth = sum(steps[1]) / sum(steps[0])
    return None if interval.low is None or interval.high is None else interval.low <= truth <= interval.high


@pytest.mark.parametrize(
    ("kinds", "of_a_kind", "drawn"),
    [(11, 4, 22), (11, 4, 33), (11, 4, 44), (11, 4, 88), (1, 44, 8), (1, 44, 30), (3, 60, 40), (1, 4, 12), (1, 8, 40)],
)
@pytest.mark.parametrize("noise", [0.01, 0.06])
def test_the_interval_covers_the_whole_set_as_often_as_it_says(
    kinds: int, of_a_kind: int, drawn: int, noise: float
) -> None:
    found = [covered(seed, kinds, of_a_kind, drawn, noise) for seed in range(TRIALS)]
    known = [one for one in found if one is not None]
    assert len(known) >= 0.9 * TRIALS
    # 93 to 97 %, and the three standard errors that so many trials have.
    assert 0.93 - 0.02 <= sum(known) / len(known) <= 0.97 + 0.01


def test_every_kind_counts_by_its_prompts_and_not_by_those_that_were_drawn() -> None:
    """Worked example: 6 prompts of 1 s and 2 of 4 s, of each kind one drawn: 8 x 64 tokens in 6 x 1 + 2 x 4 = 14 s."""
    prompts = PromptSet(["short"] * 6 + ["long"] * 2)
    arm = Arm()
    arm.add(0, Visit(0, 64, 1.0, 40))
    arm.add(7, Visit(1, 64, 4.0, 160))
    assert math.exp(Estimate(prompts, arm).log_rate or 0) == pytest.approx(8 * 64 / 14)
    assert Estimate(prompts, arm).interval().low is None


def test_the_worked_example() -> None:
    arm = Arm()
    for number, (tokens, seconds) in {0: (30, 1.5), 2: (10, 0.5), 4: (40, 4.0), 5: (40, 4.0)}.items():
        arm.add(number, Visit(number, tokens, seconds, tokens))
    estimate = Estimate(PromptSet(["a"] * 4 + ["b"] * 2), arm)
    assert estimate.log_rate is not None
    assert math.exp(estimate.log_rate) == pytest.approx(160 / 12)
    assert sum(math.exp(each) for each in estimate.each) / 4 == pytest.approx(15)


def test_what_was_measured_twice_counts_once() -> None:
    arm = Arm()
    for turn, seconds in enumerate((1.0, 3.0)):
        arm.add(0, Visit(turn, 64, seconds, 40))
    arm.add(1, Visit(2, 64, 6.0, 40))
    assert math.exp(Estimate(PromptSet(["a", "a"]), arm).log_rate or 0) == pytest.approx(128 / 8)


def test_a_set_of_too_many_kinds_is_one_kind() -> None:
    assert PromptSet([str(i) for i in range(40)]).sizes == (40,)
    assert PromptSet(["a", "b", "a", "b"]).sizes == (2, 2)


def test_quantiles() -> None:
    assert [student_t(n) for n in (3, 4, 8, 30, 1e9)] == pytest.approx([3.182, 2.776, 2.306, 2.042, 1.960], abs=0.005)
    assert [student_t(n, 2.575829) for n in (4, 8, 30)] == pytest.approx([4.604, 3.355, 2.750], abs=0.012)
