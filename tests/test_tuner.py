"""The tuner on lanes whose best K is known."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectui.core.cost import tokens_per_step
from spectui.core.tuner import UNKNOWN, Elimination, interval, student_t

BUDGET_TURNS = 40


class SyntheticLane:
    """Throughput by K from acceptance and costs; every measurement has noise of its own and the turn's."""

    def __init__(self, seed: int, noise: float = 0.04) -> None:
        self.dice = random.Random(seed)
        self.noise = noise
        share, chain, per_draft, per_row = (self.dice.uniform(*r) for r in ((0.1, 0.9), (0.3, 1), (0, 9), (0, 3)))
        by_position = [share * chain**i for i in range(8)]
        costs = [30 + (k and 2) + (per_draft + per_row) * k for k in range(9)]
        self.truth = {k: tokens_per_step(k, by_position) / costs[k] * 1000 for k in range(9)}

    def turn(self, arms: tuple[int, ...]) -> dict[int, float]:
        drift = self.dice.gauss(0, 0.2)
        return {k: self.truth[k] * math.exp(drift + self.dice.gauss(0, self.noise)) for k in arms}


def search(lane: SyntheticLane, arms: tuple[int, ...]) -> Elimination:
    elimination = Elimination(arms)
    while elimination.decided is None and elimination.turns < BUDGET_TURNS:
        elimination.add(lane.turn(elimination.running))
    return elimination


@pytest.mark.slow
def test_the_best_k_is_found_in_nearly_all_random_profiles() -> None:
    found = measured = 0
    for seed in range(400):
        lane = SyntheticLane(seed)
        result = search(lane, tuple(range(9)))
        best = max(lane.truth.values())
        # K whose true throughputs are less than a hundredth apart are equally right.
        found += lane.truth[result.best] >= 0.99 * best
        measured += sum(len(logs) for logs in result._logs.values())
    assert found >= 0.95 * 400
    # No time for hopeless K: less than half of what a sweep of all of them would take.
    assert measured < 400 * 9 * BUDGET_TURNS / 2


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sets(st.integers(0, 8), min_size=1))
def test_only_what_was_asked_is_measured_and_chosen(seed: int, arms: set[int]) -> None:
    result = search(SyntheticLane(seed), tuple(arms))
    assert result.best in result.running
    assert set(result.running) <= arms
    throughput = result.throughput(result.best)
    if len(arms) > 1:
        assert throughput.mean is not None
        assert throughput.low is not None
        assert throughput.high is not None
        assert throughput.low <= throughput.mean <= throughput.high


@pytest.mark.parametrize("seed", range(20))
def test_where_speculation_never_pays_plain_decoding_wins(seed: int) -> None:
    lane = SyntheticLane(seed)
    lane.truth = {k: 30.0 / (1 + 0.05 * k) for k in range(9)}
    assert search(lane, tuple(range(9))).best == 0


def test_equal_k_end_the_search_as_the_same() -> None:
    lane = SyntheticLane(1, noise=0.001)
    lane.truth = dict.fromkeys(range(3), 50.0)
    result = search(lane, (0, 1, 2))
    assert result.decided in ("same", "separated")
    assert result.turns <= 10


def test_a_hopeless_k_gets_two_turns() -> None:
    result = Elimination((0, 1, 2))
    for _ in range(2):
        result.add({0: 50.0, 1: 49.0, 2: 30.0})
    assert result.running == (0, 1)
    assert result.ratio(2, 0).mean == pytest.approx(0.6)
    result.add({0: 50.0, 1: 49.0})
    assert result.decided == "separated"


def test_bounds() -> None:
    with pytest.raises(ValueError, match="no K"):
        Elimination(())
    alone = Elimination((3,))
    assert (alone.decided, alone.best, alone.throughput(3), alone.ratio(3, 3)) == ("alone", 3, UNKNOWN, UNKNOWN)


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    dice = random.Random(7)
    covered = 0
    for _ in range(2000):
        found = interval([dice.gauss(1, 1) for _ in range(6)])
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 1 <= found.high
    assert 0.93 <= covered / 2000 <= 0.97
    assert interval([2.0]).low is None
    assert [round(student_t(n), 3) for n in (1, 10, 11, 30, 10**6)] == [12.706, 2.228, 2.201, 2.042, 1.960]
    assert [student_t(n, 0.99) for n in (1, 11, 30)] == pytest.approx([63.657, 3.106, 2.750], abs=0.003)


def test_a_sweep_keeps_every_k_and_decides_nothing() -> None:
    sweep = Elimination((0, 1, 2), keep_all=True)
    for _ in range(6):
        sweep.add({0: 10.0, 1: 50.0, 2: 11.0})
    assert sweep.running == (0, 1, 2)
    assert sweep.decided is None
    assert sweep.best == 1
