"""The search among K on a server's traffic: who is tried, who is dropped, what is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.core.attached.k_search import TrafficSearch, tried


@given(st.integers(0, 64), st.integers(0, 64))
def test_the_ends_and_the_servers_own_k_are_tried_and_few_others(k_max: int, own: int) -> None:
    ks = tried(k_max, own)
    assert list(ks) == sorted(set(ks))
    assert {0, k_max} <= set(ks) <= set(range(k_max + 1))
    assert own in ks or own > k_max
    assert len(ks) <= 16
    assert k_max > 8 or ks == tuple(range(k_max + 1))


def fed(search: TrafficSearch, rates: dict[int, float], turns: int, noise: float = 0.02) -> None:
    """Feed steps of 10 tokens at these tokens per second, every other turn a little slower."""
    for turn in range(turns):
        for k in search.running:
            own = 1 + noise * (1 if (turn + k) % 2 else -1)
            for _ in range(4):
                search.add(k, 2, False, 10, round(10 / rates[k] * 1e9 * own))
        search.end_turn()


def test_slower_ones_are_dropped_once_an_interval_says_so_and_the_last_is_the_result() -> None:
    search = TrafficSearch([0, 1, 2])
    fed(search, {0: 50.0, 1: 99.0, 2: 100.0}, 5)
    assert search.running == (0, 1, 2)
    assert search.best == 2
    assert search.decided is None
    assert search.out_of_time == "budget"
    fed(search, {0: 50.0, 1: 80.0, 2: 100.0}, 40)
    assert search.running == (2,)
    assert search.decided == search.out_of_time == "separated"


def test_equally_fast_ones_are_said_to_be_the_same() -> None:
    search = TrafficSearch([1, 2])
    fed(search, {1: 100.0, 2: 100.1}, 30, noise=0.001)
    assert search.decided in ("same", "separated")
    assert search.ratio(1, 2).mean == pytest.approx(1, abs=0.01)


def test_one_k_is_alone_and_none_is_an_error() -> None:
    search = TrafficSearch([3])
    assert search.best is None
    assert search.throughput(3).mean is None
    fed(search, {3: 100.0}, 1)
    assert search.decided == "alone"
    assert search.throughput(3).mean == pytest.approx(100, rel=0.05)
    with pytest.raises(ValueError, match="no K"):
        TrafficSearch([])


def test_figures_of_all_k_are_at_the_fastest_ones_load() -> None:
    """K = 0 met the quiet hour only, and K = 1 every load: its own totals would not say what it can do."""
    search = TrafficSearch([0, 1], keep_all=True)
    for _ in range(8):
        search.add(0, 1, False, 10, 1_000_000_000)
        search.add(1, 1, False, 20, 1_000_000_000)
        search.add(1, 9, False, 200, 1_000_000_000)
        search.end_turn()
    assert search.best == 1
    assert search.throughput(1).mean == pytest.approx(110)
    assert search.throughput(0).mean == pytest.approx(55)
    assert search.ratio(0, 1).mean == pytest.approx(0.5)
