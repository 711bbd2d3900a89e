"""The walk over a benchmark's matrix, on lanes whose steps are known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spectui.core.bench.figures import acceptance_of, cell_figures
from spectui.core.bench.matrix import Block, Matrix, Variant, blocks_of
from spectui.core.bench.records import PieceRecord, TurnRecord
from spectui.protocol.events import Event, Sampling, Step
from spectui.sources.vllm.bench_piece import BenchPiece
from spectui.sources.vllm.benching import WARM_UP_TOKENS, Benching
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from tests.support.drafting_lane import DraftingLane
from tests.support.fake_lanes import fake_engine

pytestmark = pytest.mark.unit

MS = 1_000_000
TOKENS = 32
AR, MTP_3, MTP_1 = Variant("ar", "ar", "AR", 0), Variant("mtp", "mtp", "MTP", 3), Variant("mtp", "mtp", "MTP", 1)
FIXED = Sampling(max_tokens=TOKENS, ignore_eos=True, seed=0)
OF_A_LANE = {(category, None): [[n] * (n + 4) for n in range(5)] for category in ("a", "b")}
PROMPTS = {"ar": OF_A_LANE, "mtp": OF_A_LANE}


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    fake_engine(monkeypatch, {})
    specs = [parse_lane_spec("ar"), parse_lane_spec("mtp:k=3,model=x")]
    lanes = [DraftingLane(i, s, "fake", {}) for i, s in zip(lane_infos(specs), specs, strict=True)]
    # A clock of its own makes wall times those of the engine.
    monkeypatch.setattr("spectui.sources.vllm.bench_piece.awake_ns", lambda: sum(lane.clock_ns for lane in lanes))
    return lanes


def matrix(*variants: Variant, concurrencies: tuple[int, ...] = (1,), categories: tuple[str, ...] = ("a",)) -> Matrix:
    return Matrix(variants, blocks_of(concurrencies, categories, (None,)), "fixed", FIXED)


def walk(benching: Benching, at_most: int = 1 << 30) -> list[TurnRecord]:
    """Take steps until the end; returns the turns that count."""
    turns: list[TurnRecord] = []
    for _ in range(at_most):
        if benching.place is None:
            break
        if (turn := benching.step()) is not None:
            turns.append(turn)
    return turns


def test_every_cell_is_measured_in_turn(lanes: list[Any]) -> None:
    benching = Benching(lanes, matrix(AR, MTP_3, MTP_1, concurrencies=(1, 2), categories=("a", "b")), PROMPTS)
    turns = walk(benching)
    assert [(t.block.concurrency, t.block.category, t.turn) for t in turns] == [
        (c, category, turn) for c in (1, 2) for category in ("a", "b") for turn in range(3)
    ]
    assert all([p.variant for p in t.pieces] == ["ar", "mtp K=3", "mtp K=1"] for t in turns)
    assert [[r.prompt for r in t.pieces[0].requests] for t in turns[6:9]] == [[0, 1], [2, 3], [4, 0]]
    assert benching.place is None


def test_figures_are_those_of_the_lanes(lanes: list[Any]) -> None:
    turns = walk(Benching(lanes, matrix(AR, MTP_3, MTP_1), PROMPTS))
    figures = [cell_figures(v, [t.pieces[n] for t in turns], [t.pieces[0] for t in turns])
               for n, v in enumerate((AR, MTP_3, MTP_1))]  # fmt: skip
    # 32 tokens: AR 32 x 8 ms; K = 3 in 8 steps of 13 ms; K = 1 in 16 steps of 11 ms.
    assert [round(f.output_throughput or 0, 1) for f in figures] == [125.0, 307.7, 181.8]
    assert [f.speedup for f in figures] == pytest.approx([1, 256 / 104, 256 / 176])
    assert [f.spec_decode_acceptance_length for f in figures] == [None, 4, 2]
    assert [f.total_output_tokens for f in figures] == [96, 96, 96]
    assert figures[1].mean_ttft_ms == 13
    assert figures[1].mean_tpot_ms == pytest.approx(7 * 13 / 31)


def test_requests_follow_each_other_and_start_when_their_place_is_free(lanes: list[Any]) -> None:
    piece = BenchPiece(lanes[0], AR, [(n, [1, 2]) for n in range(5)], concurrency=2, sampling=FIXED)
    while not piece.over:
        piece.step()
    record = piece.record()
    assert [r.tokens for r in record.requests] == [TOKENS] * 5
    assert record.engine_steps == 3 * TOKENS
    assert record.wall_ns == record.clock_ns == 3 * TOKENS * 8 * MS
    assert {r.wall_ns for r in record.requests} == {TOKENS * 8 * MS}
    assert {r.first_ns for r in record.requests} == {8 * MS}


def test_counts_of_requests_add_up_to_those_of_steps(lanes: list[Any]) -> None:
    lanes[1].k = 3
    piece = BenchPiece(lanes[1], MTP_3, [(0, [1]), (1, [1])], concurrency=2, sampling=FIXED)
    while not piece.over:
        piece.step()
    record = piece.record()
    acceptance = acceptance_of([record])
    assert acceptance.steps == sum(r.drafts for r in record.requests) == 16
    assert acceptance.drafted == sum(r.drafted for r in record.requests) == 48
    assert acceptance.accepted == sum(r.accepted for r in record.requests) == 48


@pytest.mark.parametrize("steps", [1, 40, 150, 400])
def test_what_is_done_is_not_measured_again(lanes: list[Any], steps: int) -> None:
    whole = matrix(AR, MTP_3, concurrencies=(1, 2), categories=("a", "b"))
    first = walk(Benching(lanes, whole, PROMPTS), steps)
    for lane in lanes:
        lane.abort()
    rest = walk(Benching(lanes, whole, PROMPTS, done=first))
    assert [(t.block, t.turn) for t in (*first, *rest)] == [(b, turn) for b in whole.blocks for turn in range(3)]


def test_an_ended_benchmark_leaves_the_lanes_as_they_were(lanes: list[Any]) -> None:
    before = [(lane.clock_ns, lane.totals, lane.k) for lane in lanes]
    benching = Benching(lanes, matrix(AR, MTP_1), PROMPTS)
    walk(benching, 100)
    benching.end()
    assert [(lane.clock_ns, lane.totals, lane.k) for lane in lanes] == before
    assert not any(lane.running for lane in lanes)
    assert benching.place is None
    assert benching.stepped is None


def test_a_dead_engine_keeps_no_other_lane_from_being_left_as_it_was(
    lanes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [(lane.clock_ns, lane.totals, lane.k) for lane in lanes]
    benching = Benching(lanes, matrix(AR, MTP_1), PROMPTS)
    walk(benching, 200)
    monkeypatch.setattr(DraftingLane, "troubles", {("ar", "abort"): 0})
    benching.end()
    assert [(lane.clock_ns, lane.totals, lane.k) for lane in lanes] == before


def test_the_first_repetition_is_kept_and_no_other(lanes: list[Any]) -> None:
    kept: dict[tuple[str, str], list[Event]] = {}

    def keep(variant: Variant, block: Block) -> Callable[[Event], None]:
        return kept.setdefault((variant.name, block.category), []).append

    walk(Benching(lanes, matrix(AR, MTP_3, categories=("a", "b")), PROMPTS, keep=keep))
    assert sorted(kept) == [("ar", "a"), ("ar", "b"), ("mtp K=3", "a"), ("mtp K=3", "b")]
    assert all(sum(len(e.emitted) for e in events if isinstance(e, Step)) == TOKENS for events in kept.values())


def test_a_disturbed_turn_is_measured_again(lanes: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    step = DraftingLane.step

    def disturbed_at_first(lane: DraftingLane) -> list[Event]:
        nonlocal count
        count += lane.info.name == "mtp"
        lane.disturbed = count < 20
        return step(lane)

    monkeypatch.setattr(DraftingLane, "step", disturbed_at_first)
    turns = walk(Benching(lanes, matrix(AR, MTP_3), PROMPTS))
    assert [t.turn for t in turns] == [0, 1, 2]
    assert turns[0].repeated > 0
    assert not any(t.disturbed for t in turns)
    assert len({id(t) for t in turns}) == 3


def test_what_is_kept_of_a_disturbed_turn_is_what_counts(lanes: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    count, kept, step = 0, list[Event](), DraftingLane.step

    def disturbed_at_first(lane: DraftingLane) -> list[Event]:
        nonlocal count
        count += 1
        lane.disturbed = count < 20 + WARM_UP_TOKENS
        return step(lane)

    def keep(variant: Variant, block: Block) -> Callable[[Event], None]:
        kept.clear()
        return kept.append

    monkeypatch.setattr(DraftingLane, "step", disturbed_at_first)
    turns = walk(Benching(lanes, matrix(AR), PROMPTS, keep=keep))
    assert [turn.repeated for turn in turns] == [1, 0, 0]
    clocks = [event.clock_ns for event in kept if isinstance(event, Step)]
    assert clocks[0] == (WARM_UP_TOKENS + TOKENS + 1) * 8 * MS


def test_on_a_machine_that_is_always_busy_no_turn_is_repeated_in_vain(
    lanes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DraftingLane, "disturbed", True)
    turns = walk(Benching(lanes, matrix(AR, categories=("a", "b")), PROMPTS))
    assert all(turn.disturbed for turn in turns)
    assert [sum(turn.repeated for turn in turns if turn.block.category == c) for c in ("a", "b")] == [3, 0]


def test_parts_of_steps_that_only_read_a_prompt_count(lanes: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    lane, step, chunks = lanes[1], DraftingLane.step, iter([True, True])

    def reading_at_first(lane: DraftingLane) -> list[Event]:
        if next(chunks, False):
            lane.clock_ns += lane.step_ns()
            lane.engine_steps += 1
            return []
        return step(lane)

    monkeypatch.setattr(DraftingLane, "step", reading_at_first)
    lane.k, lane.draft_ns, lane.verify_ns = 3, 5 * MS, 8 * MS
    record = run(BenchPiece(lane, MTP_3, [(0, [1])], concurrency=1, sampling=FIXED))
    assert record.engine_steps == 10
    assert (record.clock_ns, record.draft_ns, record.verify_ns) == (130 * MS, 50 * MS, 80 * MS)


def test_disturbed_reading_of_a_prompt_is_noticed(lanes: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    lane, step, chunks = lanes[0], DraftingLane.step, iter([True] * 20)

    def reading_at_first(lane: DraftingLane) -> list[Event]:
        lane.disturbed = next(chunks, False)
        if lane.disturbed:
            lane.clock_ns += lane.step_ns()
            lane.engine_steps += 1
            return []
        return step(lane)

    monkeypatch.setattr(DraftingLane, "step", reading_at_first)
    assert run(BenchPiece(lane, AR, [(0, [1])], concurrency=1, sampling=FIXED)).disturbed


def test_the_drafter_s_first_pass_is_measured_at_k_0(lanes: list[Any]) -> None:
    lane = lanes[1]
    lane.k, lane.draft_ns, lane.verify_ns = 0, 2 * MS, 8 * MS
    zero = Variant("mtp", "mtp", "MTP", 0)
    record = run(BenchPiece(lane, zero, [(0, [1])], concurrency=1, sampling=FIXED))
    assert record.draft_ns == TOKENS * 2 * MS
    figures = cell_figures(zero, [record], [])
    assert (figures.draft_ms, figures.verify_ms, figures.rest_ms) == (2, 8, 0)
    lanes[0].verify_ns = 8 * MS
    assert run(BenchPiece(lanes[0], AR, [(0, [1])], concurrency=1, sampling=FIXED)).draft_ns is None


def run(piece: BenchPiece) -> PieceRecord:
    """Take a piece's steps."""
    while not piece.over:
        piece.step()
    return piece.record()


def test_every_lane_gets_its_own_ids(lanes: list[Any]) -> None:
    other = {key: [[*ids, 0] for ids in own] for key, own in OF_A_LANE.items()}
    turn = walk(Benching(lanes, matrix(AR, MTP_3), {"ar": OF_A_LANE, "mtp": other}))[0]
    assert [[r.prompt_tokens for r in piece.requests] for piece in turn.pieces] == [[4], [5]]


@pytest.mark.parametrize("steps", [1, 20, 60, 120, 250])
def test_a_lane_that_is_dropped_is_measured_no_more(lanes: list[Any], steps: int) -> None:
    whole = matrix(AR, MTP_3, MTP_1, categories=("a", "b"))
    benching = Benching(lanes, whole, PROMPTS)
    turns = walk(benching, steps)
    before = len(turns)
    lanes[1].abort()
    lanes[0].abort()
    benching.drop(lanes[1])
    turns += walk(benching)
    assert [(turn.block, turn.turn) for turn in turns] == [(block, turn) for block in whole.blocks for turn in range(3)]
    assert [[piece.variant for piece in turn.pieces] for turn in turns[before:]] == [["ar"]] * (6 - before)
    benching.end()
    benching = Benching(lanes, whole, PROMPTS)
    for lane in lanes:
        benching.drop(lane)
    assert benching.place is None
