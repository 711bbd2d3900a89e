"""Student's t, and variances that borrow strength from each other."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from spectui.core.bench.student import MOST_FREEDOM, reach, two_sided, usual

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("freedom", "t"), [(1, 12.7062), (2, 4.3027), (3, 3.1824), (10, 2.2281), (30, 2.0423), (1000, 1.9623)]
)
def test_quantiles_are_those_of_the_tables(freedom: float, t: float) -> None:
    assert reach(freedom) == pytest.approx(t, abs=1e-4)
    assert two_sided(t, freedom) == pytest.approx(0.05, abs=1e-5)
    assert two_sided(-t, freedom) == two_sided(t, freedom)


def test_far_tails_are_exact() -> None:
    # With 2 degrees of freedom the distribution has a closed form.
    for t in (0.5, 5.0, 40.0, 1e4):
        assert two_sided(t, 2) == pytest.approx(2 / (math.sqrt(2 + t * t) * (math.sqrt(2 + t * t) + t)), rel=1e-9)
    assert two_sided(0, 7) == 1


def drawn(dice: random.Random, spread: float, count: int = 3) -> tuple[float, float]:
    return statistics.variance([dice.gauss(0, spread) for _ in range(count)]), count - 1


def test_variances_that_agree_are_drawn_together() -> None:
    dice = random.Random(1)
    found = usual([drawn(dice, 2.0) for _ in range(200)])
    assert found.freedom == MOST_FREEDOM
    assert found.variance == pytest.approx(4, rel=0.2)
    assert found.steadied(found.variance / 10, 2) == pytest.approx(found.variance * 0.7)
    assert found.steadied(found.variance * 9, 2) == found.variance * 9
    assert found.worth(2) == 6


def test_variances_that_disagree_are_left_alone() -> None:
    dice = random.Random(1)
    found = usual([drawn(dice, spread) for spread in (0.01, 1.0, 100.0) for _ in range(60)])
    assert found.freedom < 0.5
    assert found.steadied(0.0001, 2) < 2 * found.variance


def test_too_few_variances_say_nothing() -> None:
    found = usual([(1.0, 2), (2.0, 2), (0.0, 2)])
    assert found.freedom == 0
    assert (found.steadied(3.0, 2), found.worth(2)) == (3.0, 2)
