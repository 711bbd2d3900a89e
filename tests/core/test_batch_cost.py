"""Where speculation stops paying, against lanes whose costs are known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.core.batch_cost import BatchCost, Pays, pays

ms = st.floats(0.1, 50)
AR = BatchCost.of([(1, 10.0), (4, 13.0)], 1.0)


@given(ms, ms, ms, ms, st.floats(1.01, 4))
def test_at_the_crossing_both_are_equally_fast(
    base: float, row: float, base_s: float, row_s: float, gain: float
) -> None:
    plain = BatchCost.of([(n, base + row * n) for n in (1, 8)], 1.0)
    fast = BatchCost.of([(n, base_s + row_s * n) for n in (1, 8)], gain)
    found = pays(fast, plain)
    assert found is not None
    assert (found.least, found.most) == (1, 15)
    ends = []
    for n in (1, 15):
        one, other = fast.throughput(n), plain.throughput(n)
        assert one is not None
        assert other is not None
        ends.append(one > other)
    assert found.first == ends[0]
    assert (found.crossing is None) == (ends[0] == ends[1])
    if found.crossing is not None:
        seconds, plain_seconds = (cost.line.at(found.crossing) for cost in (fast, plain))
        assert gain / seconds == pytest.approx(1 / plain_seconds, rel=1e-6)


@pytest.mark.parametrize(
    ("seconds", "tokens", "expected"),
    [
        pytest.param([(1, 10.0), (4, 13.0)], 2.0, Pays(1, 7, True, None), id="always ahead"),
        pytest.param([(1, 30.0), (4, 60.0)], 1.1, Pays(1, 7, False, None), id="never ahead"),
        pytest.param([(1, 12.0), (4, 24.0)], 1.5, Pays(1, 7, True, pytest.approx(2.2)), id="ahead at first"),
        pytest.param([(1, 22.0), (4, 22.0)], 2.0, Pays(1, 7, False, pytest.approx(2.0)), id="ahead later on"),
        pytest.param([(1, 12.0), (2, 12.6)], 1.4, Pays(1, 3, True, None), id="crosses where nothing carries"),
        pytest.param([(30, 12.0), (32, 12.6)], 1.4, None, id="nothing in common"),
        pytest.param([(2, 12.0)], 1.4, None, id="one number of requests in common"),
    ],
)
def test_who_is_ahead_is_said_as_far_as_the_measured_numbers_carry(
    seconds: list[tuple[int, float]], tokens: float, expected: Pays | None
) -> None:
    assert pays(BatchCost.of(seconds, tokens), AR) == expected


@pytest.mark.parametrize(
    ("seconds", "carried", "unknown"),
    [
        ([(1, 10.0), (4, 13.0)], (1, 7), (0, 8)),
        ([(8, 10.0), (16, 24.0)], (3, 24), (0, 1, 2, 25)),
        ([(4, 10.0), (5, 4.0)], (3, 5), (2, 6)),
        ([(4, 10.0)], (4, 4), (3, 5)),
    ],
)
def test_throughput_is_unknown_where_the_measured_numbers_do_not_carry_it(
    seconds: list[tuple[int, float]], carried: tuple[int, int], unknown: tuple[int, ...]
) -> None:
    cost = BatchCost.of(seconds, 1.5)
    assert cost.carried == carried
    assert all(cost.throughput(n) is None for n in unknown)
    assert all((cost.throughput(n) or 0) > 0 for n in range(carried[0], carried[1] + 1))
    for requests, time in seconds:
        assert cost.throughput(requests) == pytest.approx(requests * 1.5 / time)
