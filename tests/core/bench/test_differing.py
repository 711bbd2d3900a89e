"""What changed between two benchmarks: how often it is a false alarm, what is found, and what is said beside it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from spectui.core.bench.changed_conditions import changed_conditions
from spectui.core.bench.differing import Diff, diff
from spectui.core.bench.matrix import Block, Matrix
from spectui.core.bench.results import Results, results_of
from tests.support import benchmarks
from tests.support.benchmarks import made_up_header, made_up_matrix, made_up_results, made_up_turns

pytestmark = pytest.mark.unit

PAIRS = 100
AT_LEAST = 95

MATRIX = made_up_matrix()
SHORT = made_up_matrix(tokens=48)


def even(block: Block) -> float:
    return 0.01


def uneven(block: Block) -> float:
    return {"coding": 0.01, "math": 0.02, "writing": 0.04}[block.category]


def held_up(block: Block) -> float:
    """One block is five times as noisy as the others."""
    return 0.05 if block == MATRIX.blocks[-1] else 0.01


def noisy(seed: int, noise: Callable[[Block], float] = even, slower: float = 1.0, matrix: Matrix = MATRIX) -> Results:
    """A benchmark whose repetitions take longer or shorter by chance, and ``slower`` times as long all of them."""
    turns = []
    for turn in made_up_turns(matrix, seed):
        dice = random.Random(f"{seed}:{turn.block.name}:{turn.turn}")
        pieces = []
        for piece in turn.pieces:
            longer = slower * math.exp(dice.gauss(0, noise(turn.block)))
            times = {name: getattr(piece, name) for name in ("wall_ns", "clock_ns", "draft_ns", "verify_ns")}
            pieces.append(replace(piece, **{name: t and int(t * longer) for name, t in times.items()}))
        turns.append(replace(turn, pieces=tuple(pieces)))
    return results_of(made_up_header(matrix), matrix, turns)


def with_header(results: Results, **changes: object) -> Results:
    return replace(results, header=replace(results.header, **changes))  # type: ignore[arg-type]


def other_prompts(results: Results) -> Results:
    return with_header(results, prompts=replace(results.header.prompts, digest="1" * 64))


def found(result: Diff) -> set[tuple[str, str, str | None]]:
    return {(change.metric, change.variant, change.category) for change in result.changed}


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "paired"), [(uneven, True), (held_up, False)])
def test_the_same_measured_twice_has_not_changed(noise: Callable[[Block], float], paired: bool) -> None:
    quiet = 0
    for seed in range(PAIRS):
        a, b = (noisy(2 * seed + second, noise, matrix=SHORT) for second in (0, 1))
        result = diff(a, b if paired else other_prompts(b))
        assert result.paired is paired
        quiet += not result.changed
    assert quiet >= AT_LEAST


@pytest.mark.parametrize("seed", range(5))
def test_a_slowdown_of_a_tenth_is_found(seed: int) -> None:
    result = diff(noisy(seed), noisy(seed + 50, slower=1.1))
    assert {("step_ms", name, None) for name in ("ar", "mtp K=2", "dflash K=3")} <= found(result)
    assert ("output_throughput", "ar", None) in found(result)
    assert not [change for change in result.changed if change.metric in ("speedup", "spec_decode_acceptance_length")]
    (slower, *_) = result.changes
    assert (slower.metric, slower.variant, slower.category, slower.relative) == ("output_throughput", "ar", None, True)
    assert slower.low is not None
    assert slower.high is not None
    assert slower.low < 1 / 1.1 < slower.high
    assert any("AR changed too" in note for note in result.notes)


@pytest.mark.parametrize("seed", range(5))
def test_a_drop_in_acceptance_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    a = noisy(seed)
    monkeypatch.setattr(benchmarks, "ACCEPTANCE", {"coding": 0.6, "math": 0.5, "writing": 0.3})
    result = diff(a, noisy(seed + 50))
    for name in ("mtp K=2", "dflash K=3"):
        assert {("spec_decode_acceptance_length", name, None), ("draft_acceptance_rate", name, None)} <= found(result)
    drop = next(one for one in result.changes if one.metric == "spec_decode_acceptance_length")
    assert drop.change < 0
    assert not drop.relative
    assert drop.a is not None
    assert drop.b is not None
    assert drop.b < drop.a
    assert not [one for one in result.changed if one.variant == "ar" or one.metric == "step_ms"]


def test_twice_the_same_benchmark_is_no_change_at_all() -> None:
    result = diff(noisy(1), noisy(1))
    assert all(one.p == 1 and one.change == (1 if one.relative else 0) for one in result.changes)
    assert not result.changed
    assert not result.conditions
    assert not result.only_a
    assert not result.only_b
    # Three categories and all together, at two concurrencies: 8 figures of a lane that drafts, 4 of AR.
    assert (result.cells, len(result.changes), result.comparisons) == (18, 160, 160)


def test_all_categories_together_come_first_and_are_the_common_ones() -> None:
    a = noisy(1)
    b = noisy(
        2, matrix=made_up_matrix(concurrencies=(1,), categories=("math", "writing", "qa")), noise=lambda block: 0.01
    )
    result = diff(a, b)
    first = result.changes[0]
    assert first.category is None
    common = [
        cell.figures
        for cell in a.cells
        if cell.variant.name == "ar" and cell.concurrency == 1 and cell.category in ("math", "writing")
    ]
    assert first.a == pytest.approx(
        sum(one.total_output_tokens for one in common) / sum(one.duration for one in common)
    )
    assert result.only_a[0] == "ar, 1 in flight: coding"
    assert "ar, 4 in flight: coding, math, writing" in result.only_a
    assert result.only_b[0] == "ar, 1 in flight: qa"
    assert result.cells == 6


def test_another_k_is_another_variant() -> None:
    variants = (*benchmarks.VARIANTS[:1], replace(benchmarks.VARIANTS[1], k=3))
    result = diff(made_up_results(), made_up_results(made_up_matrix(variants=variants)))
    assert {change.variant for change in result.changes} == {"ar"}
    assert any(line.startswith("mtp K=2") for line in result.only_a)
    assert any(line.startswith("mtp K=3") for line in result.only_b)
    assert ("K of mtp", "2", "3") in [(one.what, one.a, one.b) for one in result.conditions]


def test_conditions_that_differ_are_listed() -> None:
    a = made_up_results()
    engine = a.header.lanes[1].engine
    assert engine is not None
    lanes = list(a.header.lanes)
    lanes[1] = replace(lanes[1], spec="mtp:k=2,model=other", engine=replace(engine, dtype="float16"))
    lanes[2] = replace(lanes[2], engine=replace(engine, dtype="float16"))
    b = with_header(
        other_prompts(a),
        device="another processor",
        lanes=tuple(lanes),
        environment={**a.header.environment, "versions": {"vllm": "0.33.0"}, "load_average": 3.0},
    )
    a = with_header(
        a, lanes=(*a.header.lanes[:2], replace(a.header.lanes[2], engine=replace(engine, dtype="bfloat16")))
    )
    listed = {one.what: (one.a, one.b) for one in diff(a, b).conditions}
    assert listed.pop("texts of the prompts")[1].startswith("SHA-256 111111111111")
    assert listed == {
        "device": ("a made-up processor", "another processor"),
        "version of vllm": ("0.32.0", "0.33.0"),
        "options of mtp": ("mtp", "mtp:model=other"),
        "dtype of dflash": ("bfloat16", "float16"),
    }


def test_what_makes_figures_doubtful_is_said() -> None:
    a = made_up_results()
    cells = (replace(a.cells[0], figures=replace(a.cells[0].figures, disturbed=2)), *a.cells[1:-1])
    bare = tuple(replace(cell, figures=replace(cell.figures, by_repetition=())) for cell in a.cells)
    result = diff(replace(a, cells=cells, complete=False), replace(a, cells=bare))
    assert result.notes == (
        "A is not complete: some of its cells were not finished",
        "2 of 51 measurements in A were disturbed by other programs",
        "B has no figures per repetition, so its noise is unknown",
    )
    assert result.comparisons == 0


def test_single_repetitions_have_no_noise_and_no_change() -> None:
    matrix = replace(MATRIX, repetitions=1)
    result = diff(noisy(1, matrix=matrix), noisy(2, slower=2.0, matrix=matrix))
    assert result.comparisons == 0
    assert not result.changed
    assert result.changes[0].change == pytest.approx(0.5, rel=0.1)
    assert result.changes[0].low is None


def test_an_automatic_k_is_not_the_largest_one() -> None:
    fixed, auto = (
        made_up_matrix(variants=(*benchmarks.VARIANTS[:1], replace(benchmarks.VARIANTS[1], auto=one)))
        for one in (False, True)
    )
    changed = {one.what: (one.a, one.b) for one in changed_conditions(*map(made_up_results, (fixed, auto)))}
    assert changed["K of mtp"] == ("2", "auto:2")
