"""Tails of distributions against tables and identities."""

from __future__ import annotations

import math

import pytest

from spectui.core.chi_square import chi_square_quantile, chi_square_tail, normal_quantile, normal_tail, upper_gamma


@pytest.mark.parametrize(
    ("freedom", "statistic", "tail"),
    [(1, 3.841459, 0.05), (1, 10.827566, 0.001), (2, 5.991465, 0.05), (10, 18.307038, 0.05), (10, 2.558212, 0.99),
     (30, 50.892181, 0.01), (100, 124.342113, 0.05), (1000, 1106.968962, 0.01)],
)  # fmt: skip
def test_tails_are_those_of_the_tables(freedom: int, statistic: float, tail: float) -> None:
    assert chi_square_tail(statistic, freedom) == pytest.approx(tail, rel=1e-5)
    assert chi_square_quantile(tail, freedom) == pytest.approx(statistic, rel=1e-6)


@pytest.mark.parametrize(("z", "tail"), [(0, 0.5), (1.959964, 0.025), (3.090232, 0.001), (-1.281552, 0.9)])
def test_the_normal_tail_is_the_tables(z: float, tail: float) -> None:
    assert normal_tail(z) == pytest.approx(tail, rel=1e-5)
    assert normal_quantile(tail) == pytest.approx(z, abs=1e-5)


def test_no_quantile_of_what_is_no_probability() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        normal_quantile(1.0)


@pytest.mark.parametrize("x", [0.0, 0.1, 1.0, 2.0, 5.0, 40.0])
def test_whole_and_half_orders_have_closed_forms(x: float) -> None:
    assert upper_gamma(1, x) == pytest.approx(math.exp(-x), rel=1e-12)
    assert upper_gamma(0.5, x) == pytest.approx(math.erfc(math.sqrt(x)), rel=1e-10)
    assert upper_gamma(3, x) == pytest.approx(math.exp(-x) * (1 + x + x * x / 2), rel=1e-12)


@pytest.mark.parametrize("shift", [0.3, 1.0, 3.0, 8.0])
def test_one_shifted_degree_of_freedom_is_a_shifted_normal(shift: float) -> None:
    for z in (0.5, 2.0, 3.3):
        exact = normal_tail(z - shift) + normal_tail(z + shift)
        assert chi_square_tail(z * z, 1, shift * shift) == pytest.approx(exact, rel=1e-9)


def test_the_noncentral_tail_is_the_tables() -> None:
    """Power tables of Haynam, Govindarajulu and Leone (1962): 10 degrees of freedom at 5 % need 20.53 for 90 %."""
    assert chi_square_tail(chi_square_quantile(0.05, 10), 10, 20.53) == pytest.approx(0.9, abs=1e-3)
    assert chi_square_quantile(0.9, 10, 20.53) == pytest.approx(chi_square_quantile(0.05, 10), rel=1e-3)
