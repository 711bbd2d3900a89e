"""The results of a benchmark, as ``results.json`` has them.

`Results` is the format: its fields are the file's keys. ``SCHEMA`` grows when a key changes its meaning or goes away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spectui.core.bench.figures import CellFigures, cell_figures
from spectui.core.bench.matrix import Block, Matrix, Variant
from spectui.core.bench.records import PieceRecord, TurnRecord
from spectui.protocol.events import KSource, LaneEngine

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class LaneNote:
    """What is known of a lane beside its figures.

    Attributes:
        lane: The lane's name.
        spec: The lane spec as the user would type it.
        engine: How its engine computes; None if that is not known.
        drafter: The drafter's path or id; empty without one.
        not_comparable: How its engine differs from AR's; empty if it does not.
        warning: What its self-test found wrong; empty if nothing.
        k_source: Where its K comes from: ``"default"``, ``"tuned"`` by a search on that machine, ``"yours"`` if the
            user named it, or ``"auto"`` if the lane chose it after every step; None if it is not known.
    """

    lane: str
    spec: str
    engine: LaneEngine | None = None
    drafter: str = ""
    not_comparable: str = ""
    warning: str = ""
    k_source: KSource | None = None


@dataclass(frozen=True, slots=True)
class PromptNote:
    """The prompts of a benchmark, so that they can be found again.

    Attributes:
        source: ``"built-in"``, the file's path, or ``"standard input"``.
        digest: SHA-256 of the prompts' texts, in hexadecimal.
        counts: Prompts by category: of several contexts, the most that any has.
        raw: Whether they were sent without the model's chat template.
        system: The system message of prompts that had none; None without one.
        padding: What prompts were padded with, and how often it had to be repeated; empty if they were not.
        padded: Padded prompts by category, the most of any context: only as many are padded as are asked. Empty if
            none were.
        digests: SHA-256 of the texts of each category alone; empty if they are not known.
    """

    source: str
    digest: str
    counts: Mapping[str, int]
    raw: bool = False
    system: str | None = None
    padding: str = ""
    padded: Mapping[str, int] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Header:
    """All that is known before the first measurement.

    Attributes:
        version: SpecTUI's version.
        command: The command that was typed, as one line for a shell.
        started: When the benchmark began, as ISO 8601 with the time zone.
        target: The model's path or id.
        environment: The machine, software and settings.
        device: The GPU's name, or the processor's.
        gpu: Whether the lanes run on a GPU.
        peak: The peak memory bandwidth in bytes per second; None if it is not known.
        lanes: A note on each lane.
        prompts: The prompts.
        max_model_len: The longest context that the lanes take.
        arguments: What the user typed, for `--resume`.
    """

    version: str
    command: str
    started: str
    target: str
    environment: Mapping[str, Any]
    device: str
    gpu: bool
    peak: float | None
    lanes: tuple[LaneNote, ...]
    prompts: PromptNote
    max_model_len: int
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """A variant on a block; without a category, on all the categories together that share the other two.

    Attributes:
        variant: The lane at its K.
        concurrency: Requests in flight.
        category: The category of the prompts; None for all together.
        context: Tokens that every prompt was padded to; None for prompts as they are.
        figures: What was measured.
        traces: Files with the events of its first repetition, relative to the folder of the results.
    """

    variant: Variant
    concurrency: int
    category: str | None
    context: int | None
    figures: CellFigures
    traces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Results:
    """The whole result.

    Attributes:
        schema: The version of this format.
        header: What was known before.
        matrix: What was to be measured.
        cells: Every cell that is finished.
        pooled: All categories together, for every variant, concurrency and context.
        complete: Whether every cell of the matrix is finished.
        left_out: Sentences about what a budget left out, about lanes that cannot take as many requests as others, and
            about lanes that died.
        repeated: How often a turn was measured again because other programs disturbed it.
        smoke: What the smoke test saw.
        lossless: The check of greedy outputs; None if it was not asked for.
        distribution: The check of sampled outputs; None if it was not asked for.
    """

    schema: int
    header: Header
    matrix: Matrix
    cells: tuple[Cell, ...]
    pooled: tuple[Cell, ...]
    complete: bool
    left_out: tuple[str, ...] = ()
    repeated: int = 0
    smoke: Mapping[str, Any] = field(default_factory=dict)
    lossless: Mapping[str, Any] | None = None
    distribution: Mapping[str, Any] | None = None


def finished_blocks(matrix: Matrix, turns: Sequence[TurnRecord]) -> dict[Block, list[TurnRecord]]:
    """The blocks whose every repetition was taken, in the order of the matrix, each with its turns.

    Of a turn that was measured again after a lane had died, the later record counts.
    """
    by_block: dict[Block, dict[int, TurnRecord]] = {}
    for turn in turns:
        by_block.setdefault(turn.block, {})[turn.turn] = turn
    return {
        block: list(by_block[block].values())
        for block in matrix.blocks
        if len(by_block.get(block, ())) >= matrix.repetitions
    }


def whole_turns(matrix: Matrix, turns: Sequence[TurnRecord]) -> tuple[TurnRecord, ...]:
    """The turns in which every variant was measured: no lane had died."""
    return tuple(turn for turn in turns if len(turn.pieces) == len(matrix.variants))


def cells_of(header: Header, matrix: Matrix, turns: Sequence[TurnRecord]) -> tuple[Cell, ...]:
    """The cells of every finished block; none of a lane that died before."""
    found = (
        _cell(header, matrix, variant, block.concurrency, block.category, block.context, own)
        for block, own in finished_blocks(matrix, turns).items()
        for variant in matrix.variants
    )
    return tuple(cell for cell in found if cell is not None)


def pooled_cells(header: Header, matrix: Matrix, turns: Sequence[TurnRecord]) -> tuple[Cell, ...]:
    """Every variant over all categories that are finished, by context and concurrency; none for a single category, nor
    for a lane that had died in one of them."""
    groups: dict[tuple[int | None, int], list[TurnRecord]] = {}
    for block, own in finished_blocks(matrix, turns).items():
        groups.setdefault((block.context, block.concurrency), []).extend(own)
    found = (
        _cell(header, matrix, variant, concurrency, None, context, own)
        for (context, concurrency), own in groups.items()
        if len({turn.block.category for turn in own}) > 1
        for variant in matrix.variants
    )
    return tuple(cell for cell in found if cell is not None)


def _cell(
    header: Header,
    matrix: Matrix,
    variant: Variant,
    concurrency: int,
    category: str | None,
    context: int | None,
    turns: Sequence[TurnRecord],
) -> Cell | None:
    if not (pieces := pieces_of(turns, variant)):
        return None
    plain = pieces_of(turns, matrix.reference)
    figures = cell_figures(variant, pieces, plain, peak=header.peak, gpu=header.gpu)
    return Cell(variant, concurrency, category, context, figures)


def pieces_of(turns: Sequence[TurnRecord], variant: Variant | None) -> list[PieceRecord]:
    """The pieces of a variant; none if a turn has none of it, or if there is no such variant."""
    pieces = [turn.piece(variant) for turn in turns] if variant is not None else []
    return [piece for piece in pieces if piece is not None] if None not in pieces else []


def results_of(
    header: Header,
    matrix: Matrix,
    turns: Sequence[TurnRecord],
    **more: Any,
) -> Results:
    """Put the results together; ``more`` are further fields of `Results`."""
    cells = cells_of(header, matrix, turns)
    return Results(
        schema=SCHEMA,
        header=header,
        matrix=matrix,
        cells=cells,
        pooled=pooled_cells(header, matrix, turns),
        complete=len(cells) == len(matrix.blocks) * len(matrix.variants),
        repeated=sum(turn.repeated for turn in turns),
        **more,
    )
