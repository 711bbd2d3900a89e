"""Acceptance: the page's definitions on an example that can be worked out by hand, and what must always hold."""

from __future__ import annotations

from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.core.acceptance import Acceptance, AcceptanceCounter

STEPS = st.lists(st.integers(0, 6).flatmap(lambda drafted: st.tuples(st.just(drafted), st.integers(0, drafted))))


def counted(*steps: tuple[int, int], window: int | None = None) -> Acceptance:
    counter = AcceptanceCounter(window)
    for drafted, accepted in steps:
        counter.add(drafted, accepted)
    return counter.read()


def test_a_worked_example() -> None:
    """Five steps: one without a draft, one whose draft of two was accepted whole, three that drafted three."""
    read = counted((0, 0), (2, 2), (3, 0), (3, 1), (3, 3))
    assert (read.steps, read.drafted, read.accepted) == (4, 11, 6)
    assert read.length == 1 + 6 / 4
    assert read.rate == 6 / 11
    # The first draft of four steps was accepted in three; the first two in two of four; all three in one of three.
    assert read.by_position == (3 / 4, 2 / 4, 1 / 3)
    # Of the three that kept the first, two kept the second; the draft that ended there is no evidence on the third.
    assert read.conditional == (3 / 4, 2 / 3, 1 / 1)
    assert read.histogram == (1, 1, 1, 1)


def test_a_position_that_nobody_came_to_is_unknown_given_the_one_before_it() -> None:
    assert counted((2, 0)).conditional == (0.0, None)
    assert counted((1, 1), (2, 0)).conditional == (1 / 2, None)
    assert counted((0, 0)).conditional == ()
    assert counted((0, 0)).length is None


@given(STEPS)
def test_conditional_acceptance_counts_the_steps_that_came_so_far(steps: list[tuple[int, int]]) -> None:
    read = counted(*steps)
    assert len(read.conditional) == len(read.by_position)
    for position, share in enumerate(read.conditional, start=1):
        tried = [accepted for drafted, accepted in steps if drafted >= position and accepted >= position - 1]
        kept = sum(accepted >= position for accepted in tried)
        assert share == (kept / len(tried) if tried else None)


@given(st.integers(1, 6).flatmap(lambda k: st.lists(st.tuples(st.just(k), st.integers(0, k)), min_size=1)))
def test_with_drafts_of_one_length_the_conditional_shares_multiply_up(steps: list[tuple[int, int]]) -> None:
    read = counted(*steps)
    for position, share in enumerate(read.by_position):
        known = [one for one in read.conditional[: position + 1] if one is not None]
        assert share == pytest.approx(prod(known) if len(known) == position + 1 else 0.0)


@given(STEPS, st.integers(1, 5))
def test_a_window_has_the_last_steps_that_drafted(steps: list[tuple[int, int]], window: int) -> None:
    drafting = [step for step in steps if step[0]]
    assert counted(*steps, window=window) == counted(*drafting[-window:])
