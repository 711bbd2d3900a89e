"""What measurements say: figures of cells, intervals, and their JSON form."""

from __future__ import annotations

import itertools
import math
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.bench.reports.selection import Selection
from spectui.core.bench.beside import overall
from spectui.core.bench.codec import NotResultsError, as_data, from_data, read_results, results_json
from spectui.core.bench.figures import CellFigures, cell_figures
from spectui.core.bench.intervals import ratio_interval
from spectui.core.bench.matrix import Block, Variant, kept_evenly, with_fewer
from spectui.core.bench.records import PieceRecord, RequestRecord, TurnRecord
from spectui.core.bench.results import finished_blocks, results_of
from tests.support.benchmarks import VARIANTS, made_up_header, made_up_matrix, made_up_results, made_up_turns

pytestmark = pytest.mark.unit

MS = 1_000_000


def piece(tokens: int, wall_ms: float, *pairs: tuple[int, int, int], chunks: int = 0) -> PieceRecord:
    """A repetition with a single request."""
    wall_ns = int(wall_ms * MS)
    drafts, drafted = sum(n for *_, n in pairs), sum(d * n for d, _, n in pairs)
    accepted = sum(a * n for _, a, n in pairs)
    request = RequestRecord(0, 10, tokens, wall_ns // 4, wall_ns, chunks or tokens, drafts, drafted, accepted, "length")
    return PieceRecord("x", (request,), wall_ns, wall_ns, chunks or tokens, None, None, pairs)


def test_figures_of_a_cell_by_hand() -> None:
    ar = [piece(40, 1000), piece(40, 1000)]
    # 20 tokens in 10 steps, the first without a draft; 9 steps of 2 drafts: 5 accepted both, 1 one, 3 none.
    lane = [piece(20, 250, (2, 0, 3), (2, 1, 1), (2, 2, 5), chunks=10)] * 2
    figures = cell_figures(VARIANTS[1], lane, ar)
    assert figures.output_throughput == 80
    assert figures.speedup == pytest.approx(2)
    assert figures.speedup_ci_low == pytest.approx(2)
    assert figures.spec_decode_acceptance_length == pytest.approx(1 + 22 / 18)
    assert figures.draft_acceptance_rate == pytest.approx(22 / 36)
    assert figures.spec_decode_per_position_acceptance_rates == (pytest.approx(12 / 18), pytest.approx(10 / 18))
    assert figures.conditional_acceptance_rates == (pytest.approx(12 / 18), pytest.approx(10 / 12))
    assert figures.accepted_histogram == (6, 2, 10)
    assert figures.naive_throughput == 40
    assert figures.naive_speedup == 1
    assert figures.mean_ttft_ms == 62.5
    assert figures.mean_tpot_ms == pytest.approx(187.5 / 19)
    assert figures.unknown["estimated_mbu"] == "the peak memory bandwidth is not known"
    assert figures.unknown["verify_ms"] == "the engine's parts were not timed"


def test_every_figure_that_is_none_has_a_reason_and_no_other() -> None:
    for cells in (made_up_results().cells, made_up_results(made_up_matrix(variants=VARIANTS[1:])).cells):
        for cell in cells:
            missing = {one.name for one in fields(CellFigures) if getattr(cell.figures, one.name) is None}
            assert set(cell.figures.unknown) == missing


def test_only_lanes_with_a_drafter_have_a_k() -> None:
    assert Variant("mtp", "mtp", "MTP", 0).name == "mtp K=0"
    assert Variant("ar", "ar", "AR", 0).name == "ar"
    diffusion = Variant("diffusion", "diffusion", "diffusion", 0)
    assert diffusion.name == "diffusion"
    assert not diffusion.plain
    shown = Selection(made_up_results(made_up_matrix(variants=(VARIANTS[0], diffusion))))
    assert shown.title(diffusion) == "diffusion"


def test_answers_of_a_single_step_have_no_time_per_token() -> None:
    whole = piece(2, 250, (3, 1, 1), chunks=1)
    whole = replace(whole, requests=(replace(whole.requests[0], first_ns=whole.requests[0].wall_ns),))
    figures = cell_figures(VARIANTS[1], [whole], [])
    assert figures.mean_tpot_ms is figures.output_token_throughput_per_user is None
    assert figures.unknown["mean_tpot_ms"] == "no answer took a second step"
    assert figures.mean_ttft_ms == 250
    # Beside others it does not count.
    assert cell_figures(VARIANTS[1], [whole, piece(20, 250)], []).mean_tpot_ms == pytest.approx(187.5 / 19)


def test_every_repetition_keeps_its_own_figures() -> None:
    for cell in (results := made_up_results()).cells:
        own = cell.figures.by_repetition
        assert len(own) == cell.figures.repetitions
        rates = [one.output_throughput for one in own if one.output_throughput is not None]
        assert (min(rates), max(rates)) == (cell.figures.output_throughput_low, cell.figures.output_throughput_high)
        assert [one.spec_decode_acceptance_length is None for one in own] == [cell.variant.plain] * len(own)
    assert len(results.pooled[0].figures.by_repetition) == 9
    figures = cell_figures(VARIANTS[1], [piece(20, 250, (2, 0, 1), (2, 2, 1), chunks=10)], [])
    assert figures.by_repetition[0].spec_decode_acceptance_length == 2
    assert figures.by_repetition[0].draft_acceptance_rate == 0.5
    assert figures.by_repetition[0].step_ms == figures.step_ms == 25


def test_without_ar_there_is_no_speedup() -> None:
    results = made_up_results(made_up_matrix(variants=VARIANTS[1:]))
    assert all(cell.figures.speedup is None for cell in results.cells)
    assert results.cells[0].figures.unknown["speedup"] == "there is no AR lane to compare with"


def test_ratio_interval_is_that_of_the_worked_example() -> None:
    interval = ratio_interval([1.2, 1.5, 1.35])
    assert (interval.mean, interval.low, interval.high) == pytest.approx((1.344, 1.018, 1.775), abs=1e-3)
    assert ratio_interval([1.5]).low is None
    assert ratio_interval([]).mean is None


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=40))
def test_the_interval_holds_its_mean(ratios: list[float]) -> None:
    interval = ratio_interval(ratios)
    assert interval.mean is not None
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low <= interval.mean * (1 + 1e-9)
    assert interval.mean <= interval.high * (1 + 1e-9)
    assert interval.mean == pytest.approx(math.exp(sum(map(math.log, ratios)) / len(ratios)))


def test_pooled_rows_add_up_the_categories() -> None:
    results = made_up_results()
    for pooled in results.pooled:
        own = [
            cell.figures
            for cell in results.cells
            if cell.variant == pooled.variant and cell.concurrency == pooled.concurrency
        ]
        assert pooled.category is None
        assert pooled.figures.total_output_tokens == sum(one.total_output_tokens for one in own)
        assert pooled.figures.duration == pytest.approx(sum(one.duration for one in own))
        assert pooled.figures.spec_decode_num_drafts == sum(one.spec_decode_num_drafts for one in own)


def test_only_whole_blocks_are_finished() -> None:
    matrix = made_up_matrix()
    turns = made_up_turns(matrix)
    assert list(finished_blocks(matrix, turns)) == list(matrix.blocks)
    assert list(finished_blocks(matrix, turns[:-1])) == list(matrix.blocks[:-1])
    assert list(finished_blocks(matrix, turns[:2])) == []


def test_a_lane_that_died_has_the_cells_that_were_finished_before() -> None:
    matrix = made_up_matrix((1,))
    turns = made_up_turns(matrix)
    part = [replace(turn, pieces=turn.pieces[:2]) for turn in turns]
    results = results_of(made_up_header(matrix), matrix, [*turns[:3], *part[3:]])
    assert [cell.variant.lane for cell in results.cells] == ["ar", "mtp", "dflash", "ar", "mtp", "ar", "mtp"]
    assert [cell.variant.lane for cell in results.pooled] == ["ar", "mtp"]
    assert {cell.variant.lane for cell in overall(results)} == {"ar", "mtp"}
    assert not results.complete
    # Measured again with all lanes, it is whole.
    assert (
        results_of(made_up_header(matrix), matrix, [*turns[:3], *part[3:], *turns[3:]]).cells
        == results_of(made_up_header(matrix), matrix, turns).cells
    )
    # Without AR there is nothing to compare with.
    alone = results_of(made_up_header(matrix), matrix, [replace(turn, pieces=turn.pieces[1:]) for turn in turns])
    assert all(cell.figures.speedup is None for cell in alone.cells)
    assert len(alone.cells) == 6


def test_results_and_records_survive_json() -> None:
    results = made_up_results()
    assert read_results(results_json(results)) == results
    turn = made_up_turns(made_up_matrix())[0]
    assert from_data(as_data(turn), TurnRecord) == turn


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{", "not JSON"),
        (b"[]", "not the results"),
        (b'{"schema": 99}', "newer version"),
        (b'{"schema": 1}', "header"),
    ],
)
def test_what_is_no_result_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(NotResultsError, match=why):
        read_results(data)


def test_repetitions_take_other_prompts_and_begin_again() -> None:
    matrix = replace(made_up_matrix(), requests=3)
    block = Block(2, "coding")
    assert [matrix.prompts_of(block, turn, 7) for turn in range(3)] == [(0, 1, 2), (3, 4, 5), (6, 0, 1)]
    assert matrix.requests_of(Block(8, "coding")) == 8


@given(st.integers(1, 30), st.integers(1, 30))
def test_what_is_kept_is_spread_evenly(count: int, most: int) -> None:
    kept = kept_evenly(count, most)
    assert len(kept) == min(count, most) == len(set(kept))
    assert kept[0] == 0
    assert most == 1 or kept[-1] == count - 1
    gaps = [b - a for a, b in itertools.pairwise(kept)]
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_a_thinned_matrix_keeps_the_same_categories_everywhere() -> None:
    matrix = with_fewer(made_up_matrix(), categories=2, ks=1)
    assert [(block.concurrency, block.category) for block in matrix.blocks] == [
        (1, "coding"),
        (1, "writing"),
        (4, "coding"),
        (4, "writing"),
    ]
    assert matrix.variants == VARIANTS
