"""Formats acceptance along one property of the drafted tokens: a row with a bar for each bucket."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from spectui.core.analysis.results import Dimension
from spectui.core.analysis.words import (
    BUCKET_COLUMNS,
    BY_CHANCE,
    FEW,
    STRONG,
    WEAK,
    BucketRow,
    bucket_columns,
    bucket_rows,
    marks_used,
)
from spectui.ui.paint.cells import clip, safe
from spectui.ui.paint.rows import EMPTY, Row, fit, row_width
from spectui.ui.paint.wrapping import wrap
from spectui.ui.widgets.share_bar import EXPECTED_LEGEND, LEGEND, share_bar

_MARK_STYLES = {WEAK: "bad", STRONG: "good", FEW: "muted"}
_LEAST_BAR, _MOST_BAR, _LEAST_NAME, _MOST_NAME = 12, 60, 10, 28
_GAP = 2
_EXPLAINED = {"judged", "lost", "vs K"}
"""Columns whose names do not say enough."""

_GIVEN_UP = ("vs K", "expected", "95 %", "lost", "judged")
"""Columns that go, in this order, where there is no room."""


def tab_rows(dimensions: Sequence[Dimension], shown: int, width: int) -> list[Row]:
    """The names of all dimensions, with a sign at the one on show."""
    rows: list[Row] = []
    row: Row = EMPTY
    for place, dimension in enumerate(dimensions):
        here = place == shown
        tab: Row = (
            ("▸" if here else " ", "accent"),
            (clip(safe(dimension.key), width - 1), "strong" if here else "muted"),
        )
        if row and row_width(row) + 2 + row_width(tab) > width:
            rows.append(row)
            row = EMPTY
        row = (*row, ("  ", "text"), *tab) if row else tab
    return [*rows, row] if row else rows


def dimension_rows(dimension: Dimension, style: str, width: int) -> list[Row]:
    """Format a dimension as a table, or say why there is none.

    Args:
        dimension: The dimension.
        style: The lane's style.
        width: Width in cells.
    """
    if not dimension.buckets:
        said = dimension.missing or "No drafted token was judged yet."
        return [((line, "muted"),) for line in wrap(safe(said), width)]
    buckets = bucket_rows(dimension)
    told = bucket_columns([dimension])
    texts = [[column.name, *(row.figures[place] for row in buckets)] for place, column in enumerate(told)]
    columns = {column.name: (place, max(map(len, texts[place])) + _GAP) for place, column in enumerate(told)}
    name = min(_MOST_NAME, max(cell_len(safe(row.name)) for row in buckets))
    for given_up in _GIVEN_UP:
        if _room(columns, name, width) >= _LEAST_BAR:
            break
        columns.pop(given_up, None)
    name = max(min(name, _LEAST_NAME), min(name, name + _room(columns, name, width) - _LEAST_BAR))
    bar = max(1, min(_MOST_BAR, _room(columns, name, width)))
    head = f"{'':<{name + 2 + bar}}" + "".join(f"{column:>{cells}}" for column, (_, cells) in columns.items())
    rows: list[Row] = [((head, "muted"),)]
    rows += [_bucket(row, style, name, bar, list(columns.values())) for row in buckets]
    legend: Row = LEGEND + (EXPECTED_LEGEND if any(row.bucket.expected is not None for row in buckets) else EMPTY)
    rows += [EMPTY, legend]
    rows += [((line, "muted"),) for said in marks_used(buckets) for line in wrap(said, width)]
    if {row.mark for row in buckets} & {WEAK, STRONG}:
        rows += [((line, "muted"),) for line in wrap(BY_CHANCE, width)]
    explained = "; ".join(f"{one.name}: {one.meaning}" for one in BUCKET_COLUMNS if one.name in _EXPLAINED & {*columns})
    rows += [((line, "muted"),) for line in wrap(explained, width)]
    return [fit(row, width) if row_width(row) > width else row for row in rows]


def _room(columns: dict[str, tuple[int, int]], name: int, width: int) -> int:
    """Cells left for the bar."""
    return width - name - 3 - sum(cells for _, cells in columns.values())


def _bucket(row: BucketRow, style: str, name: int, bar: int, columns: Sequence[tuple[int, int]]) -> Row:
    few = row.mark == FEW
    said = _MARK_STYLES.get(row.mark, "text")
    shown: Row = (
        *fit(((clip(safe(row.name), name), said),), name),
        (f" {row.mark or ' '} ", said),
        *share_bar(row.bucket.acceptance, "faint" if few else style, bar, row.bucket.expected),
    )
    for place, cells in columns:
        strong = BUCKET_COLUMNS[place].name == "accepted"
        shown += ((f"{row.figures[place]:>{cells}}", "strong" if strong and not few else "muted"),)
    return shown
