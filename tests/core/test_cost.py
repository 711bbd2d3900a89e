"""The cost model against lanes whose costs are known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.core.cost import CostModel, Drafts, Observed, StepTime, tokens_per_step
from spectui.core.cost import held_out as held_out_estimates

ms = st.floats(0.1, 50)
SPARE = StepTime(0, 0, 0.009)


def line_lane(draft: float, per_draft: float, verify: float, per_row: float, rest: float, k: int) -> Observed:
    time = StepTime(draft + per_draft * k if k else 0.0, verify + per_row * k, rest)
    return Observed(k, 100, time)


def whole(k: int, seconds: float) -> Observed:
    """Steps whose parts are not timed."""
    return Observed(k, 100, StepTime(0, 0, seconds))


def timed(k: int, seconds: float) -> Observed:
    return Observed(k, 100, StepTime(0.1 * seconds, 0.8 * seconds, 0.1 * seconds))


@given(ms, ms, ms, ms, ms, st.lists(st.floats(0, 1), min_size=7, max_size=7))
def test_a_lane_of_straight_lines_is_foretold_exactly(
    draft: float, per_draft: float, verify: float, per_row: float, rest: float, shares: list[float]
) -> None:
    lane = [line_lane(draft, per_draft, verify, per_row, rest, k) for k in range(8)]
    kept = tuple(sorted(shares, reverse=True))
    for held_out in range(1, 8):
        model = CostModel([o for o in lane if o.k != held_out])
        time = model.time(held_out)
        assert time is not None
        assert time.total == pytest.approx(lane[held_out].time.total)
        expected = tokens_per_step(held_out, kept) / lane[held_out].time.total
        estimate = model.estimate(held_out, [Drafts(7, 1.0, kept)])
        assert (estimate.tok_s, estimate.accepted_at, estimate.why) == (pytest.approx(expected), 7, "")
    estimates = held_out_estimates(lane, [Drafts(o.k, 1.0, kept[: o.k]) for o in lane])
    assert estimates.keys() == set(range(8))
    assert estimates[3] == pytest.approx(tokens_per_step(3, kept) / lane[3].time.total)


def test_two_k_leave_nothing_to_fit_the_third_from() -> None:
    lane = [line_lane(1, 1, 20, 1, 1, k) for k in (1, 2)]
    assert held_out_estimates(lane, [Drafts(1, 1.0, (0.5,)), Drafts(2, 1.0, (0.5, 0.2))]) == {}


@pytest.mark.parametrize(
    ("k", "kept", "share", "tokens"),
    [
        (0, (0.9,), 1, 1.0),
        (3, (), 1, 1.0),
        (2, (0.5, 0.2), 1, 1.7),
        (1, (0.5, 0.2), 1, 1.5),
        (3, (0.5, 0.25), 1, 1.875),
        (3, (0.5,), 1, 1.875),
        (2, (1.0, 1.0), 1, 3.0),
        (2, (0.0, 0.0), 1, 1.0),
        (4, (0.5, 0.0), 1, 1.5),
        (2, (0.1,), 0.2, 1.15),
        (2, (0.0,), 0.0, 1.0),
    ],
)
def test_tokens_of_a_step(k: int, kept: tuple[float, ...], share: float, tokens: float) -> None:
    assert tokens_per_step(k, kept, share) == pytest.approx(tokens)


@given(st.lists(st.floats(0, 1), max_size=8), st.integers(0, 12))
def test_a_step_gives_between_one_and_k_plus_one_tokens(shares: list[float], k: int) -> None:
    assert 1 <= tokens_per_step(k, sorted(shares, reverse=True)) <= k + 1


def test_one_k_beside_plain_decoding_is_enough_for_a_line() -> None:
    model = CostModel([Observed(0, 10, StepTime(0, 20, 2)), Observed(2, 10, StepTime(6, 24, 2))])
    assert model.time(4) == StepTime(12, 28, 2)
    assert model.time(0) == StepTime(0, 20, 2)
    assert model.time(5) is None
    assert model.doubt(5) == "only K = 2 was measured"


def test_without_plain_decoding_its_time_is_where_the_lines_begin() -> None:
    model = CostModel([Observed(k, 1, StepTime(k, 20 + 2 * k, 1)) for k in (1, 3)])
    assert model.time(0) == StepTime(0, 20, 1)
    with pytest.raises(ValueError, match="at least one K"):
        CostModel([])


FAR = "too far from the measured K (14 and 15)"
NEAR = "too far from the measured K (6 and 7)"


@pytest.mark.parametrize(
    ("observed", "k", "seconds", "why"),
    [
        pytest.param([whole(14, 0.020), whole(15, 0.0216)], 0, None, FAR, id="down to plain decoding"),
        pytest.param([whole(14, 0.020), whole(15, 0.0216)], 1, None, FAR, id="down to one draft"),
        pytest.param([whole(14, 0.020), whole(15, 0.0216)], 13, 0.0184, "", id="the next one down"),
        pytest.param([whole(14, 0.020), whole(15, 0.0216)], 16, 0.0232, "", id="the next one up"),
        pytest.param([whole(14, 0.020), whole(15, 0.0216)], 17, None, FAR, id="two further up"),
        pytest.param([timed(6, 0.010), timed(7, 0.0125)], 2, None, NEAR, id="with parts, where the line is 0"),
        pytest.param([timed(6, 0.010), timed(7, 0.0125)], 5, 0.0075, "", id="with parts, the next one down"),
        pytest.param(
            [whole(6, 0.010), whole(7, 0.022)],
            5,
            None,
            "the line through the step times at K = 6 and 7 leaves no time there",
            id="steeper than the step is long",
        ),
        pytest.param([whole(5, 0.020)], 5, 0.020, "", id="one K, itself"),
        pytest.param([whole(5, 0.020)], 4, None, "only K = 5 was measured", id="one K, its neighbour"),
        pytest.param([whole(0, 0.020)], 1, None, "only K = 0 was measured", id="plain decoding alone"),
        pytest.param([whole(0, 0.010), whole(14, 0.020), whole(15, 0.0216)], 7, 0.015, "", id="between plain and K"),
    ],
)
def test_nothing_is_estimated_where_no_measured_point_carries_it(
    observed: list[Observed], k: int, seconds: float | None, why: str
) -> None:
    model = CostModel(observed)
    time = model.time(k)
    assert (time and time.total) == (seconds and pytest.approx(seconds))
    assert model.doubt(k) == why
    estimate = model.estimate(k, [Drafts(7, 1.0, (0.5,) * 7)])
    assert estimate.why == why
    assert (estimate.tok_s is None) == bool(why)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 10**9), st.floats(0, 1)), min_size=1, max_size=5),
    st.integers(0, 64),
)
def test_every_estimate_is_a_positive_figure_or_says_why_not(lane: list[tuple[int, int, float]], k: int) -> None:
    observed = [
        Observed(one, round(100 * share), timed(one, ns / 1e9).time, 100, StepTime(0, 0, ns / 2e9))
        for one, ns, share in {one: (one, ns, share) for one, ns, share in lane}.values()
    ]
    estimate = CostModel(observed).estimate(k, [Drafts(one, share, (share / 2,)) for one, _, share in lane])
    assert bool(estimate.why) == (estimate.tok_s is None)
    assert estimate.tok_s is None or estimate.tok_s > 0


def test_drafts_that_are_seldom_there_count_as_often_as_they_are() -> None:
    """The worked example of the module: one step in five drafts, and four of its five tokens are accepted."""
    kept = (0.2, 0.2, 0.2, 0.2, 0.0)
    assert tokens_per_step(5, kept, 0.2) == pytest.approx(1.8)
    model = CostModel([Observed(5, 200, StepTime(0, 0, 0.014), 800, SPARE)])
    time = model.time(5)
    assert time is not None
    assert time.total == pytest.approx(0.010)
    assert model.estimate(5, [Drafts(5, 0.2, kept)]).tok_s == pytest.approx(180)


def test_steps_with_a_draft_and_without_have_a_time_each() -> None:
    """At K = 1 the text had few drafts, at K = 5 many; at K = 3 as many as at K = 5 are expected."""
    few = Observed(1, 100, StepTime(0, 0, 0.010), 900, SPARE)
    many = Observed(5, 900, StepTime(0, 0, 0.014), 100, SPARE)
    time = CostModel([few, many]).time(3)
    assert time is not None
    assert time.total == pytest.approx(0.9 * 0.012 + 0.1 * 0.009)


def test_a_lane_that_never_drafts_is_estimated_at_no_k_but_0() -> None:
    model = CostModel([Observed(5, 0, StepTime(0, 0, 0), 100, SPARE)])
    assert model.estimate(5, [Drafts(5, 0.0, ())]).why == "nothing was drafted"
    assert model.estimate(0, [Drafts(5, 0.0, ())]).tok_s == pytest.approx(1 / 0.009)


def test_acceptance_measured_at_a_k_counts_for_that_k() -> None:
    """A drafter that proposes all positions at once: the more it proposes, the worse the first ones are."""
    lane = [line_lane(0, 0, 0.02, 0, 0, k) for k in (2, 7)]
    drafts = [Drafts(2, 1.0, (0.9, 0.8)), Drafts(7, 1.0, (0.6, 0.4, 0.2, 0.1, 0.1, 0.1, 0.1))]
    found = {k: CostModel(lane).estimate(k, drafts) for k in (1, 2, 3, 7, 9)}
    assert {k: estimate.accepted_at for k, estimate in found.items()} == {1: 2, 2: 2, 3: 7, 7: 7, 9: 7}
    assert found[2].tok_s == pytest.approx(2.7 / 0.02)
    assert found[3].tok_s == pytest.approx(2.2 / 0.02)
    assert found[7].tok_s == pytest.approx(2.6 / 0.02)
