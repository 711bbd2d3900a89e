"""Columns of a table: which of them fit, and a figure or a word in its cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len

from spectui.ui.paint.cells import clip, safe
from spectui.ui.paint.rows import Row, Span

GAP = 2
"""Blank cells between columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its heading.
        cells: Its width.
        rank: The column with the highest rank goes first if room is short; rank 0 stays.
        left: Whether it begins at the left, as words do; figures end at the right.
    """

    name: str
    cells: int
    rank: int = 0
    left: bool = False


def cells_of(columns: Sequence[Column]) -> int:
    """How many cells the columns take."""
    return sum(column.cells + GAP for column in columns) - GAP


def fitting(columns: Iterable[Column], width: int) -> tuple[Column, ...]:
    """As many columns as fit ``width`` cells, in their order; of those that stay in any case, the first gives way."""
    kept = list(columns)
    while cells_of(kept) > width and any(column.rank for column in kept):
        kept.remove(max(kept, key=lambda column: column.rank))
    kept[0] = replace(kept[0], cells=max(1, kept[0].cells - max(0, cells_of(kept) - width)))
    return tuple(kept)


def line(columns: Iterable[Column], spans: Mapping[str, Span]) -> Row:
    """A row of the table: each column's text in its cells, which it cannot leave."""
    row: list[Span] = []
    for column in columns:
        text, style = spans[column.name]
        shown = clip(safe(text), column.cells)
        blank = " " * (column.cells - cell_len(shown))
        gap = " " * GAP if row else ""
        row.append((gap + (shown + blank if column.left else blank + shown), style))
    return tuple(row)


def headings(columns: Sequence[Column]) -> Row:
    """The row above the table."""
    return line(columns, {column.name: (column.name, "muted") for column in columns})
