"""Horizontal bars from 0 to 1, with a resolution of half a cell, on a track that shows the range.

plotext's bars are not used: with bars one row high, it paints a longer neighbour's end into a bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from spectui.ui.paint.rows import EMPTY, Row, cells_filled

_WHOLE, _HALF, _TRACK = "━", "╸", "─"
_MIN_BAR = 4
_GAP = 3


@dataclass(frozen=True, slots=True)
class Bar:
    """``share`` is from 0 to 1, None if there is nothing to draw; ``value`` is its figure as text."""

    label: str
    share: float | None
    value: str


def bar_rows(bars: Sequence[Bar], style: str, width: int, height: int) -> list[Row]:
    """The bars from top to bottom, in as many columns as needed and as fit; a last row counts those that are left
    out."""
    if height < 1 or not bars:
        return []
    labels = max(cell_len(bar.label) for bar in bars)
    values = max(len(bar.value) for bar in bars)
    least = labels + values + 2 + _MIN_BAR
    columns = max(1, min(-(-len(bars) // height), (width + _GAP) // (least + _GAP)))
    shown, left_out = list(bars), 0
    if len(bars) > columns * height:
        left_out = len(bars) - (columns * height - 1)
        shown = shown[: columns * height - 1]
    each = (width - _GAP * (columns - 1)) // columns
    cells = [_bar(bar, style, labels, values, each) for bar in shown]
    if left_out:
        cells.append(((f"{left_out} more".ljust(each)[:each], "muted"),))
    deep = -(-len(cells) // columns)
    rows: list[Row] = []
    for line in range(deep):
        row = EMPTY
        for cell in cells[line::deep]:
            row += ((" " * _GAP, "text"), *cell) if row else cell
        rows.append(row)
    return rows


def _bar(bar: Bar, style: str, labels: int, values: int, width: int) -> Row:
    room = max(1, width - labels - values - 2)
    filled = _filled(bar.share, room)
    return (
        (" " * (labels - cell_len(bar.label)) + f"{bar.label} ", "muted"),
        (filled, style),
        (_TRACK * (room - len(filled)), "faint"),
        (f" {bar.value:>{values}}", "text"),
    )


def _filled(share: float | None, cells: int) -> str:
    """The filled part; a share above zero is at least half a cell, so that a little never looks like nothing."""
    if not share:
        return ""
    whole, half = divmod(max(1, cells_filled(share, 1.0, cells * 2)), 2)
    return _WHOLE * whole + _HALF * half
