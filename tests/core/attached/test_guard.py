"""The limit on the time per output token."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spectui.core.attached.guard import LEAST_STEPS, WINDOW_STEPS, LatencyGuard

MS = 1_000_000


def test_it_says_nothing_before_it_has_seen_enough_and_ignores_single_slow_steps() -> None:
    guard = LatencyGuard(20)
    for _ in range(LEAST_STEPS - 1):
        guard.add(100 * MS, [1])
    assert guard.reached_ms is None
    assert not guard.crossed
    calm = LatencyGuard(20)
    for number in range(5 * WINDOW_STEPS):
        calm.add((500 if number % 40 == 0 else 10) * MS, [1])
        assert not calm.crossed


def test_a_slow_k_is_noticed_within_four_steps() -> None:
    guard = LatencyGuard(20)
    for _ in range(WINDOW_STEPS):
        guard.add(30 * MS, [2, 3, 2])
    assert guard.reached_ms == 15
    for _ in range(4):
        assert not guard.crossed or guard.reached_ms == 30
        guard.add(60 * MS, [2, 2, 2])
    assert guard.crossed
    assert guard.reached_ms == 30


def test_what_counts_is_the_time_per_token_of_each_request() -> None:
    """A long step is none too slow for requests that get many tokens; steps without any later row say nothing."""
    guard = LatencyGuard(20)
    for _ in range(WINDOW_STEPS):
        guard.add(60 * MS, [4, 4])
        guard.add(900 * MS, [])
        guard.add(900 * MS, [0])
    assert guard.reached_ms == 15


@given(
    st.lists(st.tuples(st.integers(1, 100), st.lists(st.integers(0, 8), max_size=6)), max_size=120), st.integers(1, 60)
)
def test_it_is_crossed_only_if_one_in_twenty_of_what_is_looked_at_is_slower(
    steps: list[tuple[int, list[int]]], limit: int
) -> None:
    guard = LatencyGuard(limit)
    for ms, emitted in steps:
        guard.add(ms * MS, emitted)
    seen = [[ms / tokens for tokens in emitted if tokens] for ms, emitted in steps]
    seen = [one for one in seen if one][-WINDOW_STEPS:]
    every = [ms for one in seen for ms in one]
    slower = sum(ms > limit for ms in every)
    assert guard.crossed == (len(seen) >= LEAST_STEPS and slower > 0.05 * len(every) - 1e-9 and slower >= 1)
