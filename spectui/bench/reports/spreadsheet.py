"""``results.csv``: a row for each cell, then a row for each variant over all categories."""

from __future__ import annotations

import csv
import io
from dataclasses import fields
from typing import Any, get_type_hints

from spectui.bench.reports.document import clean
from spectui.core.bench.figures import CellFigures
from spectui.core.bench.results import Cell, Results

NAMES = ("variant", "lane", "method", "k", "concurrency", "category", "context")
"""The columns that name a row; an empty category stands for all together, an empty context for prompts as they are."""

_SCALARS = (int, float, float | None)


def scalar_figures() -> tuple[str, ...]:
    """The figures that are one number."""
    hints = get_type_hints(CellFigures)
    return tuple(one.name for one in fields(CellFigures) if hints[one.name] in _SCALARS)


def results_csv(results: Results) -> str:
    """The text of the file. What is unknown is empty; ``position_1``, ``position_2``, ... are unconditional."""
    most = max((one.k for one in results.matrix.variants), default=0)
    scalars = scalar_figures()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*NAMES, *scalars, *(f"position_{place}" for place in range(1, most + 1))])
    for cell in (*results.cells, *results.pooled):
        shares = cell.figures.spec_decode_per_position_acceptance_rates
        positions = [shares[place] if place < len(shares) else None for place in range(most)]
        writer.writerow([*_names(cell), *(getattr(cell.figures, name) for name in scalars), *positions])
    return text.getvalue()


def _names(cell: Cell) -> list[Any]:
    one = cell.variant
    category = None if cell.category is None else clean(cell.category)
    return [clean(one.name), clean(one.lane), one.method, one.k_text, cell.concurrency, category, cell.context]
