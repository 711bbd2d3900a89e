"""The cost model against lanes whose costs are known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.core.cost import BatchCost, CostModel, Observed, StepTime, crossover, tokens_per_step
from spectui.core.cost import held_out as held_out_estimates

ms = st.floats(0.1, 50)


def line_lane(draft: float, per_draft: float, verify: float, per_row: float, rest: float, k: int) -> Observed:
    time = StepTime(draft + per_draft * k if k else 0.0, verify + per_row * k, rest)
    return Observed(k, 100, time)


@given(ms, ms, ms, ms, ms, st.lists(st.floats(0, 1), min_size=7, max_size=7))
def test_a_lane_of_straight_lines_is_foretold_exactly(
    draft: float, per_draft: float, verify: float, per_row: float, rest: float, shares: list[float]
) -> None:
    lane = [line_lane(draft, per_draft, verify, per_row, rest, k) for k in range(8)]
    by_position = sorted(shares, reverse=True)
    for held_out in range(1, 8):
        model = CostModel([o for o in lane if o.k != held_out])
        assert model.time(held_out).total == pytest.approx(lane[held_out].time.total)
        expected = tokens_per_step(held_out, by_position) / lane[held_out].time.total
        assert model.throughput(held_out, by_position) == pytest.approx(expected)
    estimates = held_out_estimates(lane, {o.k: by_position[: o.k] for o in lane})
    assert estimates.keys() == set(range(8))
    assert estimates[3] == pytest.approx(tokens_per_step(3, by_position) / lane[3].time.total)


def test_two_k_leave_nothing_to_fit_the_third_from() -> None:
    lane = [line_lane(1, 1, 20, 1, 1, k) for k in (1, 2)]
    assert held_out_estimates(lane, {1: (0.5,), 2: (0.5, 0.2)}) == {}


@pytest.mark.parametrize(
    ("k", "by_position", "tokens"),
    [
        (0, (0.9,), 1.0),
        (3, (), 1.0),
        (2, (0.5, 0.2), 1.7),
        (1, (0.5, 0.2), 1.5),
        (3, (0.5, 0.25), 1.875),
        (3, (0.5,), 1.875),
        (2, (1.0, 1.0), 3.0),
        (2, (0.0, 0.0), 1.0),
        (4, (0.5, 0.0), 1.5),
    ],
)
def test_tokens_of_a_step(k: int, by_position: tuple[float, ...], tokens: float) -> None:
    assert tokens_per_step(k, by_position) == pytest.approx(tokens)


@given(st.lists(st.floats(0, 1), max_size=8), st.integers(0, 12))
def test_a_step_gives_between_one_and_k_plus_one_tokens(shares: list[float], k: int) -> None:
    assert 1 <= tokens_per_step(k, sorted(shares, reverse=True)) <= k + 1


def test_one_k_beside_plain_decoding_is_enough_for_a_line() -> None:
    model = CostModel([Observed(0, 10, StepTime(0, 20, 2)), Observed(2, 10, StepTime(6, 24, 2))])
    assert model.time(4) == StepTime(12, 28, 2)
    assert model.time(0) == StepTime(0, 20, 2)
    assert model.best(4, (0.01,) * 4) == 0
    assert model.best(4, (0.9, 0.8, 0.7, 0.6)) == 4


def test_without_plain_decoding_its_time_is_where_the_lines_begin() -> None:
    model = CostModel([Observed(k, 1, StepTime(k, 20 + 2 * k, 1)) for k in (1, 3)])
    assert model.time(0) == StepTime(0, 20, 1)
    with pytest.raises(ValueError, match="at least one K"):
        CostModel([])


@given(ms, ms, ms, ms, st.floats(1.01, 4))
def test_at_the_crossover_both_are_equally_fast(
    base: float, row: float, base_s: float, row_s: float, gain: float
) -> None:
    plain = BatchCost.of([(n, base + row * n) for n in (1, 8)], 1.0)
    fast = BatchCost.of([(n, base_s + row_s * n) for n in (1, 8)], gain)
    requests = crossover(fast, plain)
    if requests is not None and requests < 1e6:
        seconds, plain_seconds = (cost.line.base + cost.line.slope * requests for cost in (fast, plain))
        assert gain / seconds == pytest.approx(1 / plain_seconds, rel=1e-6)


def test_speculation_that_always_or_never_pays_has_no_crossover() -> None:
    plain = BatchCost.of([(1, 10.0), (4, 13.0)], 1.0)
    assert crossover(BatchCost.of([(1, 10.0), (4, 13.0)], 2.0), plain) is None
    assert crossover(BatchCost.of([(1, 30.0), (4, 60.0)], 1.1), plain) is None
    assert crossover(BatchCost.of([(1, 12.0), (4, 24.0)], 1.5), plain) == pytest.approx(2.2, abs=0.2)
