"""The table of a benchmark that is drawn while it fills, and the sentence that it comes to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from spectui.core.bench.figures import cell_figures
from spectui.core.bench.matrix import Block, Matrix, Variant
from spectui.core.bench.records import PieceRecord, TurnRecord
from spectui.core.bench.results import pieces_of
from spectui.core.disturbance import DOUBTFUL
from spectui.protocol.benching import BenchCell, BenchLane, BenchTurn


def lanes_of(matrix: Matrix) -> tuple[BenchLane, ...]:
    """The columns of the table."""
    return tuple(BenchLane(one.lane, one.title, one.k, one.plain, one.auto) for one in matrix.variants)


def cells_of(matrix: Matrix, turns: Sequence[TurnRecord]) -> tuple[BenchCell, ...]:
    """What the turns so far say of every lane: first on all categories together, then on each of them.

    Repetitions of a category that is not finished count too.
    """
    return tuple(_cells(matrix, turns))


def begun_cells(matrix: Matrix, block: Block, pieces: Sequence[PieceRecord]) -> tuple[BenchCell, ...]:
    """What the pieces of a block's first turn say before it ends; no repetition of it counts yet."""
    lanes = {variant.name: variant.lane for variant in matrix.variants}
    return tuple(
        BenchCell(lanes[piece.variant], block.concurrency, block.category, 0, tok_s=piece.rate)
        for piece in pieces
        if piece.wall_ns
    )


def _cells(matrix: Matrix, turns: Sequence[TurnRecord]) -> Iterator[BenchCell]:
    for concurrency in dict.fromkeys(block.concurrency for block in matrix.blocks):
        own = [turn for turn in turns if turn.block.concurrency == concurrency]
        for category in (None, *dict.fromkeys(turn.block.category for turn in own)):
            some = [turn for turn in own if category in (None, turn.block.category)]
            if some:
                yield from (_cell(matrix, variant, concurrency, category, some) for variant in matrix.variants)


def _cell(
    matrix: Matrix, variant: Variant, concurrency: int, category: str | None, turns: Sequence[TurnRecord]
) -> BenchCell:
    reference = matrix.reference
    pieces, plain = pieces_of(turns, variant), pieces_of(turns, reference)
    figures = cell_figures(variant, pieces, plain)
    itself = variant == reference
    return BenchCell(
        variant.lane,
        concurrency,
        category,
        len(pieces),
        tok_s=figures.output_throughput,
        speed_up=None if itself else figures.speedup,
        low=None if itself else figures.speedup_ci_low,
        high=None if itself else figures.speedup_ci_high,
        length=figures.spec_decode_acceptance_length,
        disturbed=figures.disturbed,
    )


def lane_name(lane: BenchLane) -> str:
    """``MTP K=2``, or ``AR``."""
    return lane.title if lane.plain else f"{lane.title} K={'auto' if lane.auto else lane.k}"


def disturbed(cells: Iterable[BenchCell]) -> bool:
    """Whether other programs held up so many repetitions of any of these cells that no comparison is built on them."""
    return any(cell.disturbed > DOUBTFUL * cell.repetitions for cell in cells)


def finding(turn: BenchTurn, concurrency: int) -> str:
    """What the benchmark has found with so many requests in flight, in a sentence; empty if it has measured nothing."""
    whole = {cell.lane: cell for cell in turn.cells if cell.category is None and cell.concurrency == concurrency}
    found = [(lane, cell) for lane in turn.lanes if (cell := whole.get(lane.lane)) is not None and cell.tok_s]
    if not found:
        return ""
    counted = [cell for cell in turn.cells if cell.repetitions and cell.concurrency == concurrency]
    done = {cell.category for cell in counted} - {None}
    over = _over(len(done), len(turn.categories)) + (", disturbed" if disturbed(whole.values()) else "")
    compared = [(cell.speed_up, lane, cell) for lane, cell in found if cell.speed_up is not None]
    if not compared:
        lane, cell = max(found, key=lambda one: one[1].tok_s or 0.0)
        alone = "" if any(lane.plain for lane in turn.lanes) else "; without an AR lane there is no speed-up"
        fastest = " is the fastest lane:" if len(found) > 1 else ":"
        return f"{lane_name(lane)}{fastest} {cell.tok_s:.1f} tok/s {over}{alone}"
    speed_up, lane, cell = max(compared, key=lambda one: one[0])
    name, reach = lane_name(lane), ""
    if cell.low is not None and cell.high is not None:
        reach = f" ({cell.low:.2f} to {cell.high:.2f})"
        if cell.low < 1 < cell.high:
            best = "" if len(compared) == 1 else ", the fastest of the others,"
            return f"{name}{best} cannot be told from AR: {speed_up:.2f} times as fast{reach} {over}"
    if speed_up < 1:
        best = "" if len(compared) == 1 else ", the fastest of the others,"
        return f"AR is the fastest lane: {name}{best} is {speed_up:.2f} times as fast{reach} {over}"
    return f"{name} is {speed_up:.2f} times as fast as AR{reach} {over}"


def _over(done: int, categories: int) -> str:
    whole = f"{categories} categories" if categories > 1 else "one category"
    return f"over {whole}" if done >= categories else f"over {done} of {whole}"
