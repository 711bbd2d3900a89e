"""Throughput of two K compared while the load changes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.core.attached.mixed_load import LEAST_TURNS, Arm, load_of, ratio
from spectui.core.paired import UNKNOWN


def arm(*steps: tuple[int, int, int, int]) -> Arm:
    """An arm from (turn, requests, tokens, ns)."""
    made = Arm()
    for turn, requests, tokens, ns in steps:
        made.add(turn, load_of(requests, False), tokens, ns)
    return made


def test_the_worked_example_of_the_module() -> None:
    two = arm((0, 1, 100, 2_000_000_000), (0, 4, 300, 3_000_000_000))
    none = arm((0, 1, 100, 4_000_000_000), (0, 4, 100, 1_000_000_000))
    assert two.tok_s == pytest.approx(80)
    assert none.tok_s == pytest.approx(40)
    found = ratio(two, none)
    assert found.mean == pytest.approx(2.75 / 1.75)
    assert (found.low, found.high) == (None, None)


def test_loads_are_single_numbers_of_few_requests_and_half_octaves_of_many() -> None:
    groups = [load_of(requests, False)[0] for requests in (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 17)]
    assert groups == [0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8]
    assert load_of(3, True) != load_of(3, False)
    assert load_of(100_000, False) == load_of(200_000, False)


def test_arms_that_met_no_load_or_turn_in_common_are_not_compared() -> None:
    assert ratio(arm((0, 1, 10, 10)), arm((0, 2, 10, 10))) == UNKNOWN
    assert ratio(arm((0, 1, 10, 10)), arm((1, 1, 10, 10))) == UNKNOWN
    assert ratio(arm((0, 1, 0, 10)), arm((0, 1, 10, 10))) == UNKNOWN
    assert Arm().tok_s is None


_MET = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 20), st.integers(1, 50)), min_size=1, max_size=60)


@given(_MET, _MET, st.integers(2, 9))
def test_how_often_each_load_was_met_favours_no_arm(
    mine: list[tuple[int, int, int]], others: list[tuple[int, int, int]], times: int
) -> None:
    """Where one arm is so many times as fast at every load, that is what is found, whoever met which load."""
    # Loads of one number of requests each, so that the time per token is the load's alone.
    slow = arm(*((turn, 1 if load < 8 else 4, n, n * 1000 * (1 if load < 8 else 4) * times) for turn, load, n in mine))
    fast = arm(*((turn, 1 if load < 8 else 4, n, n * 1000 * (1 if load < 8 else 4)) for turn, load, n in others))
    found = ratio(fast, slow)
    if found.mean is None:
        return
    assert found.mean == pytest.approx(times)
    assert (ratio(slow, fast).mean or 0) == pytest.approx(1 / times)
    if found.low is not None and found.high is not None:
        assert found.low <= found.mean * 1.000001
        assert found.high >= found.mean * 0.999999
        # Nothing but the time per token scatters, and it does not.
        assert found.high / found.low == pytest.approx(1, abs=1e-6)


@given(st.lists(st.tuples(st.floats(0.5, 2), st.floats(0.9, 1.1)), min_size=LEAST_TURNS, max_size=20))
def test_what_slows_a_whole_turn_down_widens_no_interval(turns: list[tuple[float, float]]) -> None:
    """Both arms share the turn's speed; only their own noise is in the interval."""
    one = arm(*((turn, 2, 100, round(1e9 * speed * own)) for turn, (speed, own) in enumerate(turns)))
    other = arm(*((turn, 2, 100, round(1e9 * speed)) for turn, (speed, _) in enumerate(turns)))
    steady = arm(*((turn, 2, 100, round(1e9 * own)) for turn, (_, own) in enumerate(turns)))
    even = arm(*((turn, 2, 100, 1_000_000_000) for turn in range(len(turns))))
    shared, alone = ratio(one, other), ratio(steady, even)
    assert shared.low is not None
    assert shared.high is not None
    assert alone.low is not None
    assert alone.high is not None
    # Slow turns weigh more, by at most their speed's range.
    assert math.log(shared.high / shared.low) <= 4 * math.log(alone.high / alone.low) + 1e-6
