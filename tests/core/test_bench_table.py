"""The table of a benchmark that fills, and what it comes to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spectui.core.bench.results import cells_of as results_cells
from spectui.core.bench.results import pooled_cells
from spectui.core.bench.table import begun_cells, cells_of, finding, lanes_of
from spectui.protocol.benching import BenchCell, BenchLane, BenchTurn
from tests.support.benchmarks import CATEGORIES, VARIANTS, made_up_header, made_up_matrix, made_up_turns

pytestmark = pytest.mark.unit

MATRIX = made_up_matrix()
TURNS = made_up_turns(MATRIX)


def test_a_full_table_has_the_figures_of_the_results() -> None:
    header = made_up_header(MATRIX)
    whole = [*results_cells(header, MATRIX, TURNS), *pooled_cells(header, MATRIX, TURNS)]
    cells = {(one.lane, one.concurrency, one.category): one for one in cells_of(MATRIX, TURNS)}
    assert len(cells) == len(whole) == len(VARIANTS) * 2 * (len(CATEGORIES) + 1)
    for one in whole:
        cell, figures = cells[one.variant.lane, one.concurrency, one.category], one.figures
        assert (cell.tok_s, cell.length) == (figures.output_throughput, figures.spec_decode_acceptance_length)
        assert cell.repetitions == figures.repetitions
        if not one.variant.plain:
            assert (cell.speed_up, cell.low) == (figures.speedup, figures.speedup_ci_low)


def test_a_table_fills_turn_by_turn() -> None:
    assert cells_of(MATRIX, []) == ()
    cells = cells_of(MATRIX, TURNS[:4])
    assert [(c.category, c.repetitions) for c in cells if c.lane == "mtp"] == [(None, 4), ("coding", 3), ("math", 1)]
    assert {c.concurrency for c in cells} == {1}
    (single,) = (c for c in cells if c.lane == "mtp" and c.category == "math")
    assert single.speed_up is not None
    assert single.low is None, "a single repetition has no interval"
    assert all(c.speed_up is None for c in cells if c.lane == "ar")


def test_a_turn_that_has_begun_shows_its_throughput_and_counts_for_nothing() -> None:
    first = TURNS[3]
    cells = begun_cells(MATRIX, first.block, first.pieces[:2])
    assert [(c.lane, c.category, c.repetitions, c.speed_up) for c in cells] == [
        ("ar", "math", 0, None),
        ("mtp", "math", 0, None),
    ]
    assert cells[1].tok_s == first.pieces[1].rate
    state = turn(AR, ("MTP", 1.3, 1.2, 1.4), done=2)
    assert finding(replace(state, cells=(*state.cells, *(replace(c, category="c9") for c in cells))), 1) == (
        finding(state, 1)
    )


def turn(
    *lanes: tuple[str, float | None, float | None, float | None], categories: int = 11, done: int = 11
) -> BenchTurn:
    """Lanes by title, with their speed-up and its interval."""
    columns = tuple(BenchLane(name, name, 3, name == "AR") for name, *_ in lanes)
    names = tuple(f"c{n}" for n in range(categories))
    cells = tuple(
        BenchCell(name, 1, category, 3, 40.0 * (speed_up or 1), speed_up, low, high)
        for category in (None, *names[:done])
        for name, speed_up, low, high in lanes
    )
    return BenchTurn(columns, names, (1,), 3, 64, cells, 99, 99, None, 60.0)


AR = ("AR", None, None, None)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (turn(AR, ("MTP", 1.3, 1.2, 1.4), ("DFlash", 1.52, 1.44, 1.6)),
         "DFlash K=3 is 1.52 times as fast as AR (1.44 to 1.60) over 11 categories"),
        (turn(AR, ("MTP", 1.3, None, None), done=1), "MTP K=3 is 1.30 times as fast as AR over 1 of 11 categories"),
        (turn(AR, ("MTP", 1.02, 0.97, 1.07), categories=1, done=1),
         "MTP K=3 cannot be told from AR: 1.02 times as fast (0.97 to 1.07) over one category"),
        (turn(AR, ("MTP", 0.8, 0.7, 0.9), ("n-gram", 0.6, 0.5, 0.7)),
         "AR is the fastest lane: MTP K=3, the fastest of the others, is 0.80 times as fast (0.70 to 0.90) over 11 "
         "categories"),
        (turn(("MTP", None, None, None), ("DFlash", None, None, None)),
         "MTP K=3 is the fastest lane: 40.0 tok/s over 11 categories; without an AR lane there is no speed-up"),
        (turn(AR), "AR: 40.0 tok/s over 11 categories"),
        (replace(turn(AR), cells=()), ""),
    ],
)  # fmt: skip
def test_the_finding_is_a_sentence(state: BenchTurn, said: str) -> None:
    assert finding(state, 1) == said
    assert finding(state, 4) == ""


def test_columns_are_the_lanes_at_their_k() -> None:
    assert lanes_of(MATRIX)[2] == BenchLane("dflash", "DFlash", 3)
    assert [lane.plain for lane in lanes_of(MATRIX)] == [True, False, False]
