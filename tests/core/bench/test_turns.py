"""The order of interleaved measurements."""

from __future__ import annotations

import pytest

from spectui.core.bench.turns import Turns

pytestmark = pytest.mark.unit


def walk(turns: Turns, disturbed: set[int] = frozenset()) -> list[tuple[int, int, bool | None]]:  # type: ignore[assignment]
    """Every (turn, case, whether the turn counts); the n-th run is disturbed if n is in ``disturbed``."""
    seen: list[tuple[int, int, bool | None]] = []
    while (case := turns.case) is not None:
        turn = turns.turn
        seen.append((turn, case, turns.ran(len(seen) in disturbed)))
    return seen


def test_every_other_turn_is_reversed_and_the_warm_up_does_not_count() -> None:
    assert walk(Turns(2, 2)) == [
        (-1, 1, None),
        (-1, 0, False),
        (0, 0, None),
        (0, 1, True),
        (1, 1, None),
        (1, 0, True),
    ]


def test_a_disturbed_turn_is_repeated_as_a_whole() -> None:
    turns = Turns(2, 1, warm_up=0)
    assert walk(turns, {0}) == [(0, 0, None), (0, 1, False), (0, 0, None), (0, 1, True)]
    assert (turns.repeated, turns.disturbed) == (1, 0)


def test_repeats_at_most_double_the_work() -> None:
    turns = Turns(1, 2, warm_up=0)
    assert [counts for *_, counts in walk(turns, set(range(9)))] == [False, False, True, True]
    assert (turns.repeated, turns.disturbed) == (2, 2)


def test_a_disturbed_warm_up_is_not_repeated() -> None:
    turns = Turns(1, 1)
    assert [turn for turn, *_ in walk(turns, {0})] == [-1, 0]
    assert turns.repeated == 0


def test_what_is_done_is_not_taken_again() -> None:
    assert [(turn, counts) for turn, _, counts in walk(Turns(1, 3, done=2))] == [(1, False), (2, True)]
    assert walk(Turns(1, 3, done=3)) == []
    assert walk(Turns(0, 3)) == []
