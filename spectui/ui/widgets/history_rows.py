"""A quantity over time as filled columns over a fixed range, an eighth of a cell fine; the newest is on the right."""

from __future__ import annotations

from collections.abc import Sequence

from spectui.ui.paint.rows import Row, cells_filled

_BLOCKS = " ▁▂▃▄▅▆▇█"
_EIGHTHS = 8


def history_rows(values: Sequence[float | None], top: float, style: str, width: int, height: int) -> list[Row]:
    """The last ``width`` values as columns of ``height`` rows from 0 to ``top``; an unknown one is a gap."""
    shown = list(values[-width:])
    columns = [_eighths(value, top, height) for value in shown]
    blank = " " * (width - len(shown))
    rows: list[Row] = []
    for level in reversed(range(height)):
        cells = "".join(_BLOCKS[max(0, min(_EIGHTHS, column - level * _EIGHTHS))] for column in columns)
        rows.append(((blank + cells, style),))
    return rows


def _eighths(value: float | None, top: float, height: int) -> int:
    """Filled eighths of a column; little is never nothing."""
    if value is None or value <= 0 or top <= 0:
        return 0
    return max(1, cells_filled(value, top, height * _EIGHTHS))
