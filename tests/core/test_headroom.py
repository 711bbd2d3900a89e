"""Headroom: exact where it can be counted, and honest where it cannot be known."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectui.core.analysis.results import Headroom
from spectui.core.headroom.choosing import best_choices, grouped
from spectui.core.headroom.costs import costs_of
from spectui.core.headroom.headroom import TITLES, headroom
from spectui.core.headroom.replaying import MOST_STEPS, replay

FIELDS = ("index", "k", "drafted", "accepted", "emitted", "batch", "disturbed", "wall_ns", "draft_ns", "verify_ns")
MS = 1_000_000


@st.composite
def small_traces(draw: st.DrawFn) -> tuple[list[int], list[int], list[float]]:
    """Accepted lengths, categories and step times of up to six steps with K up to 3."""
    k_max = draw(st.integers(1, 3))
    count = draw(st.integers(1, 6))
    accepted = draw(st.lists(st.integers(0, k_max), min_size=count, max_size=count))
    category = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    times = draw(st.lists(st.floats(0.001, 10), min_size=k_max + 1, max_size=k_max + 1))
    if draw(st.booleans()):
        times[draw(st.integers(0, k_max))] = float("inf")
    return accepted, category, times


def brute_force(accepted: list[int], group: list[int], times: list[float]) -> float:
    """The best rate over every assignment of a K to each group."""
    known = [k for k, time in enumerate(times) if np.isfinite(time)]
    names = sorted(set(group))
    best = 0.0
    for ks in itertools.product(known, repeat=len(names)):
        of = dict(zip(names, ks, strict=True))
        tokens = sum(min(a, of[g]) + 1 for a, g in zip(accepted, group, strict=True))
        best = max(best, tokens / sum(times[of[g]] for g in group))
    return best


@given(small_traces())
@settings(max_examples=200, deadline=None)
def test_fixed_category_and_oracle_are_those_of_brute_force(trace: tuple[list[int], list[int], list[float]]) -> None:
    accepted, category, times = trace
    if not np.isfinite(times).any():
        return
    k_max, lengths = len(times) - 1, np.array(accepted)
    found = []
    for group in ([0] * len(accepted), category, list(range(len(accepted)))):
        tokens, steps = grouped(lengths, np.array(group), max(group) + 1, k_max)
        rate, chosen = best_choices(tokens[steps > 0], steps[steps > 0], np.array(times))
        assert rate == pytest.approx(brute_force(accepted, group, times), rel=1e-12)
        assert len(chosen) == len(set(group))
        found.append(rate)
    # Grouping the steps by their accepted length is as good as choosing for each of them.
    tokens, steps = grouped(lengths, lengths, k_max + 1, k_max)
    assert best_choices(tokens, steps, np.array(times))[0] == pytest.approx(found[2], rel=1e-12)
    assert found[0] <= found[1] * (1 + 1e-12)
    assert found[1] <= found[2] * (1 + 1e-12)


def rows_of(ks: list[int], accepted: list[int], times: dict[int, float], index: int = 1) -> Any:
    rows = np.zeros(len(ks), dtype=[(name, "<i8") for name in FIELDS])
    rows["index"], rows["k"], rows["drafted"], rows["accepted"] = index, ks, ks, accepted
    rows["batch"] = 1
    rows["emitted"] = np.array(accepted) + 1
    rows["wall_ns"] = [round(times[k] * MS) for k in ks]
    rows["draft_ns"] = rows["verify_ns"] = -1
    return rows


def geometric(count: int, k: int, acceptance: float, seed: int = 0) -> list[int]:
    drawn = np.random.default_rng(seed).random((count, k)) < acceptance
    return [int(one.argmin()) if not one.all() else k for one in drawn]


AR = rows_of([0] * 50, [0] * 50, {0: 20.0})


def of(rows: Any, ar: Any = AR, **more: Any) -> tuple[dict[str, Any], Headroom]:
    found = headroom("mtp", rows, np.zeros(len(rows), dtype=int), ("coding",), ar, **more)
    assert [choice.key for choice in found.choices] == list(TITLES)
    return {choice.key: choice for choice in found.choices}, found


def test_all_choices_of_a_lane_with_two_k() -> None:
    times = {2: 26.0, 4: 32.0}
    ks = [2] * 200 + [4] * 400
    choices, found = of(rows_of(ks, geometric(200, 2, 0.6) + geometric(400, 4, 0.6, 1), times))
    rates: dict[str, Any] = {key: choice.tok_s for key, choice in choices.items()}
    assert None not in rates.values()
    assert rates["fixed"] <= rates["oracle"] < rates["perfect"]
    assert rates["perfect"] == pytest.approx(5 / 0.032)
    assert rates["category"] == pytest.approx(rates["fixed"])
    assert 0.9 * rates["fixed"] < rates["bandit"] <= rates["oracle"]
    assert choices["perfect"].times_ar == pytest.approx(5 / 0.032 * 0.02)
    assert (choices["now"].detail, choices["fixed"].detail, choices["category"].detail) == ("K=4", "K=2", "coding K=2")
    assert found.work_on == "drafter"
    assert found.sentence.startswith("Work on the drafter: half as many refusals would make the lane ")
    assert re.search(r" % faster than it was, .*, K=2 by \d %", found.sentence)
    assert found.sentence.endswith(" (est.).")
    assert "t(4) = 32.0 ms" in found.formula
    assert "tokens(4) = 1 + 0.6" in found.formula


def test_each_of_the_three_can_be_what_to_work_on() -> None:
    sure = of(rows_of([2, 4, 4] * 200, [2, 4, 4] * 200, {2: 40.0, 4: 60.0}))[1]
    assert (
        sure.work_on,
        "half of what a step takes longer than AR's would make the lane 50 % faster" in sure.sentence,
    ) == ("cost", True)
    hopeless = of(rows_of([2, 4] * 200, [0] * 400, {2: 30.0, 4: 40.0}))[1]
    assert hopeless.work_on in ("k", "drafter")
    best = of(rows_of([1, 4, 4] * 200, [1, 1, 1] * 200, {1: 21.0, 4: 60.0}))[1]
    assert (best.work_on, "Work on K: K=1 would make the lane" in best.sentence) == ("k", True)
    nothing = of(rows_of([2, 4, 4] * 200, [2, 4, 4] * 200, {2: 20.0, 4: 20.0}))[1]
    assert (nothing.work_on, nothing.sentence[:39]) == (None, "Nothing stands out to work on: half as ")
    assert nothing.sentence.endswith("; K=4 is the best of those estimated.")


def test_the_largest_k_is_said_to_be_no_more_than_that() -> None:
    choices, _ = of(rows_of([2, 4, 4] * 200, [2, 4, 4] * 200, {2: 26.0, 4: 32.0}))
    assert choices["fixed"].detail == choices["perfect"].detail == "K=4, largest recorded"
    rare, _ = of(rows_of([2] * 400 + [4] * 20, [2] * 420, {2: 26.0, 4: 32.0}))
    assert rare["perfect"].detail == "K=2, largest with enough steps"


def test_categories_have_their_own_k() -> None:
    rows = rows_of([3, 4] * 100, [3, 4] * 50 + [0] * 100, {3: 29.0, 4: 32.0})
    found = headroom("mtp", rows, np.array([0] * 100 + [1] * 100), ("coding", "writing"), AR)
    choices: dict[str, Any] = {choice.key: choice for choice in found.choices}
    assert choices["category"].detail == "coding K=4, writing K=0"
    assert choices["category"].tok_s == pytest.approx(choices["oracle"].tok_s)
    assert choices["category"].tok_s > choices["fixed"].tok_s


def test_with_one_k_an_ar_lane_gives_the_other_end_of_the_line() -> None:
    rows = rows_of([4] * 100, geometric(100, 4, 0.6), {4: 30.0})
    costs = costs_of(rows, 4, AR)
    assert costs.assumed
    assert costs.times.tolist() == pytest.approx([0.020, 0.0225, 0.025, 0.0275, 0.030])
    choices, found = of(rows)
    assert choices["fixed"].tok_s is not None
    assert "if a step without drafts takes as long as AR's" in found.formula
    choices, found = of(rows, ar=None)
    assert choices["now"].tok_s is not None
    assert choices["now"].times_ar is None
    assert {key: choices[key].tok_s for key in ("fixed", "category", "oracle", "bandit")} == dict.fromkeys(
        ("fixed", "category", "oracle", "bandit")
    )
    assert choices["fixed"].missing.startswith("The times of K = 4 do not carry to every other K: record an AR lane")
    assert choices["perfect"].tok_s == pytest.approx(5 / 0.030)
    assert found.work_on == "drafter"


def test_what_an_automatic_k_took_says_nothing_about_others() -> None:
    choices, _ = of(rows_of([2, 4] * 100, [1, 2] * 100, {2: 26.0, 4: 32.0}), automatic=True)
    assert choices["now"].detail == "K=auto"
    assert choices["oracle"].missing.startswith("K was automatic")


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (rows_of([3] * 20, [1] * 20, {3: 25.0}), "Fewer than 30 steps could draft: record a longer run."),
        (rows_of([0] * 50, [0] * 50, {0: 25.0}), "Fewer than 30 steps could draft: record a longer run."),
        (rows_of([3] * 50, [1] * 50, {3: 25.0}, index=0), "Fewer than 30 steps could draft: record a longer run."),
    ],
)
def test_too_few_steps_are_said_to_be_too_few(rows: Any, why: str) -> None:
    choices, found = of(rows)
    assert (found.work_on, found.sentence, found.formula) == (None, why, "")
    assert {choices[key].missing for key in TITLES if key != "now"} == {why}


def test_steps_without_any_draft() -> None:
    rows = rows_of([3] * 50, [0] * 50, {3: 25.0})
    rows["drafted"] = 0
    assert of(rows)[1].sentence == "Nothing was drafted, so there is nothing to estimate from."


def test_no_step_that_was_not_measured_is_faster_than_ars() -> None:
    rows = rows_of([1, 4] * 100, [1, 1] * 100, {1: 21.0, 4: 60.0})
    assert costs_of(rows, 4, AR).times[0] == pytest.approx(0.020)
    assert costs_of(rows, 4, None).times[0] < 0.010


def test_disturbed_steps_do_not_count_towards_the_cost() -> None:
    rows = rows_of([2, 4] * 100, [1, 1] * 100, {2: 26.0, 4: 32.0})
    rows["wall_ns"][:50] *= 4
    rows["disturbed"][:50] = 1
    assert costs_of(rows, 4, AR).times[4] == pytest.approx(0.032)
    rows["disturbed"] = 1
    assert costs_of(rows, 4, AR).times[4] > 0.040


def test_a_long_trace_is_replayed_in_part() -> None:
    lengths = np.array(geometric(MOST_STEPS + 5000, 4, 0.8))
    times = np.array([0.02, 0.022, 0.023, 0.024, 0.025])
    found = replay(lengths, times, 2)
    assert found.steps == MOST_STEPS
    tokens, steps = grouped(lengths, np.zeros_like(lengths), 1, 4)
    assert found.tok_s >= 0.97 * best_choices(tokens, steps, times)[0]
    choices, _ = of(rows_of([4] * len(lengths), lengths.tolist(), {4: 25.0}))
    assert choices["bandit"].detail.endswith("on average, on 20,000 of 25,000 steps")
