"""A chart with a row for each name and a dot for each variant, its figures in columns beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spectui.bench.reports.charts.canvas import WIDTH, Canvas, Look, text_width, ticks

_TOP, _APART, _ROOM, _COLUMN = 106.0, 9.0, 14.0, 58.0


@dataclass(frozen=True, slots=True)
class Column:
    """A variant: its name, its look, and a figure for each row; None where it has none."""

    name: str
    look: Look
    figures: tuple[float | None, ...]


def dots(
    name: str,
    title: str,
    about: str,
    rows: Sequence[str],
    columns: Sequence[Column],
    *,
    unit: str,
    mark: float | None = None,
) -> str:
    """Draw the rows; the dots of a row lie one below the other, so that none hides another.

    Args:
        name: The chart's name.
        title: The line above it.
        about: The line below that.
        rows: What the rows are.
        columns: The variants, with a figure for each row.
        unit: What follows the numbers of the axis.
        mark: Where a strong line stands.
    """
    canvas = Canvas(name, title, about)
    known = [figure for column in columns for figure in column.figures if figure is not None]
    ends = [*known, *([mark] if mark is not None else [])] or [0.0, 1.0]
    margin = (max(ends) - min(ends) or 1.0) * 0.06
    least, most = max(0.0, min(ends) - margin), max(ends) + margin
    left = min(200.0, max((text_width(row) for row in rows), default=0.0)) + 28
    wide = [max(_COLUMN, min(110.0, text_width(column.name, 11) + 14)) for column in columns]
    right = WIDTH - 8 - sum(wide)
    scale = (right - left - 16) / (most - least)

    def at(figure: float) -> float:
        return left + (figure - least) * scale

    step = _ROOM + _APART * max(1, len(columns))
    bottom = _TOP + step * len(rows)
    for tick in ticks(most, least):
        canvas.line(at(tick), _TOP, at(tick), bottom)
        canvas.text(at(tick), bottom + 16, f"{tick:.10g}{unit}", anchor="middle", size=11, soft=True)
    if mark is not None:
        canvas.line(at(mark), _TOP, at(mark), bottom, strong=True, width=1.5)
    _key(canvas, columns, wide, right)
    for place, row in enumerate(rows):
        y = _TOP + step * place
        canvas.line(16, y, WIDTH - 16, y)
        middle = y + step / 2
        canvas.text(left - 8, middle + 4, row, anchor="end", width=left - 24)
        x = right
        for number, (column, width) in enumerate(zip(columns, wide, strict=True)):
            x += width
            figure = column.figures[place]
            if figure is not None:
                own = middle + (number - (len(columns) - 1) / 2) * _APART
                canvas.marker(at(figure), own, column.look)
            said = "—" if figure is None else f"{figure:.2f}"
            canvas.text(x - 8, middle + 4, said, anchor="end")
    return canvas.svg(bottom + 28)


def _key(canvas: Canvas, columns: Sequence[Column], wide: Sequence[float], x: float) -> None:
    """Name the columns of figures, each with its sign above."""
    for column, width in zip(columns, wide, strict=True):
        x += width
        canvas.marker(x - 14, _TOP - 28, column.look)
        canvas.text(x - 8, _TOP - 9, column.name, anchor="end", size=11, width=width - 8)
