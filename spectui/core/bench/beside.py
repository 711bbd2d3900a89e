"""Lays published figures beside measured ones where model and method are the same, and says what differs otherwise."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from spectui.core.bench.matrix import Variant
from spectui.core.bench.published import Row, Source, model_parts
from spectui.core.bench.published_conditions import Difference, compared
from spectui.core.bench.results import Cell, LaneNote, Results

_Place: TypeAlias = tuple[int, int | None]
"""Concurrency and context."""


@dataclass(frozen=True, slots=True)
class Beside:
    """A published figure beside the measured one.

    Attributes:
        source: Where it was published.
        row: The row that has it.
        method: The method.
        cell: What was measured, all categories together.
        differences: The conditions that differ.
        not_stated: The conditions that the source does not state.
    """

    source: Source
    row: Row
    method: str
    cell: Cell
    differences: tuple[Difference, ...]
    not_stated: tuple[str, ...]

    @property
    def published(self) -> float | None:
        """Published tokens per second."""
        return self.row.tok_s.get(self.method)

    @property
    def published_speedup(self) -> float | None:
        """The published speed-up, or that of published throughputs."""
        return self.row.speedup_of(self.method)

    @property
    def measured(self) -> float | None:
        """Measured tokens per second."""
        return self.cell.figures.output_throughput

    @property
    def measured_speedup(self) -> float | None:
        """The measured speed-up; None for AR itself, as in what is published."""
        return None if self.cell.variant.plain else self.cell.figures.speedup

    @property
    def ratio(self) -> float | None:
        """Measured / published throughput."""
        return self.measured / self.published if self.measured and self.published else None

    @property
    def speedup_ratio(self) -> float | None:
        """Measured / published speed-up."""
        theirs = self.published_speedup
        return self.measured_speedup / theirs if self.measured_speedup and theirs else None


def beside(results: Results, sources: Sequence[Source]) -> tuple[Beside, ...]:
    """Every published figure that a measured one can be laid beside, in the order of the sources.

    A published row gets the measured concurrency and context that are equal, or else the nearest ones, unless another
    row is nearer to these; short prompts and padded ones are never compared. Of several K it gets that of the source,
    or the nearest; where the source states none, the fastest.
    """
    found: list[Beside] = []
    for source in sources:
        for (method, model), cells in _measured(results).items():
            ours = list(dict.fromkeys((cell.concurrency, cell.context) for cell in cells))
            for rows in _rows(source, method, model):
                theirs = [(row.concurrency or source.conditions.concurrency or 1, row.context) for row in rows]
                for here, number in _paired(ours, theirs):
                    there = [cell for cell in cells if (cell.concurrency, cell.context) == here]
                    cell = _chosen(there, source.conditions.k.get(method))
                    conditions = compared(results, cell, source, rows[number])
                    found.append(Beside(source, rows[number], method, cell, *conditions))
    order = [id(row) for source in sources for row in source.row]
    return tuple(sorted(found, key=lambda one: (order.index(id(one.row)), one.row.methods.index(one.method))))


def models(results: Results) -> tuple[str, ...]:
    """The models that were measured, as they are named: the target, and a diffusion lane's own."""
    notes = {note.lane: note for note in results.header.lanes}
    named = [_model_of(results, variant, notes.get(variant.lane)) for variant in results.matrix.variants]
    return tuple(dict.fromkeys(named))


def same_model(one: str, other: str) -> bool:
    """Whether two names are those of the same model, quantised or not."""
    return model_parts(one)[0] == model_parts(other)[0]


def overall(results: Results) -> tuple[Cell, ...]:
    """All categories together, of every variant, concurrency and context: a pooled cell, or the only one there is."""
    pooled = {(cell.concurrency, cell.context) for cell in results.pooled}
    alone = [cell for cell in results.cells if (cell.concurrency, cell.context) not in pooled]
    return (*results.pooled, *alone)


def _measured(results: Results) -> dict[tuple[str, str], list[Cell]]:
    """The cells of every method and model."""
    notes = {note.lane: note for note in results.header.lanes}
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in overall(results):
        model = model_parts(_model_of(results, cell.variant, notes.get(cell.variant.lane)))[0]
        groups.setdefault((cell.variant.method, model), []).append(cell)
    return groups


def _rows(source: Source, method: str, model: str) -> list[list[Row]]:
    """The rows of a model that have the method: those of each of its names, which say how it is quantised, together."""
    named: dict[str, list[Row]] = {}
    for row in source.row:
        if method in row.methods and model_parts(row.model)[0] == model:
            named.setdefault(row.model, []).append(row)
    return list(named.values())


def _model_of(results: Results, variant: Variant, note: LaneNote | None) -> str:
    """The model that a variant runs: a diffusion lane's own one, where its spec names it."""
    own = re.search(r'[:,]model=("[^"]*"|[^,]*)', note.spec) if note and variant.method == "diffusion" else None
    return own[1].strip('"') if own and own[1] != "target" else results.header.target


def _paired(ours: Sequence[_Place], theirs: Sequence[_Place]) -> Iterator[tuple[_Place, int]]:
    """Pairs of a measured place and the number of a published one: the equal ones, then mutual neighbours."""
    free, numbers = list(ours), list(range(len(theirs)))
    for number, there in enumerate(theirs):
        if there in free:
            free.remove(there)
            numbers.remove(number)
            yield there, number
    for number in numbers:
        some = [here for here in free if _apart(here, theirs[number]) < math.inf]
        nearest = min(some, key=lambda here: _apart(here, theirs[number]), default=None)
        if nearest is not None and min(numbers, key=lambda one: _apart(nearest, theirs[one])) == number:
            yield nearest, number


def _apart(here: _Place, there: _Place) -> float:
    """How unlike two places are; prompts as they are and padded ones have nothing in common."""
    if (here[1] is None) != (there[1] is None):
        return math.inf
    return abs(math.log(here[0] / there[0])) + abs(math.log((here[1] or 1) / (there[1] or 1)))


def _chosen(cells: Sequence[Cell], k: int | None) -> Cell:
    """The cell at the K of the source or the nearest; of several, or where the source states none, the fastest. An
    automatic K is near to none."""

    def apart(cell: Cell) -> float:
        return 0 if k is None else math.inf if cell.variant.auto else abs(cell.variant.k - k)

    return min(cells, key=lambda cell: (apart(cell), -(cell.figures.output_throughput or 0.0)))
