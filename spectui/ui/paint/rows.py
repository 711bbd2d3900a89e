"""Rows of styled text, from which every widget of ours is drawn, and which tests read.

A row is a tuple of spans, and a span is (text, style name). Style names are keys of the theme's palette, so nothing
here knows a colour. Text in a row is safe for the terminal: see `spectui.ui.paint.cells`.
"""

from __future__ import annotations

from typing import TypeAlias

from rich.cells import cell_len, set_cell_size

Span: TypeAlias = tuple[str, str]
Row: TypeAlias = tuple[Span, ...]

EMPTY: Row = ()


def row_width(row: Row) -> int:
    """Terminal cells that the row fills."""
    return sum(cell_len(text) for text, _ in row)


def plain(row: Row) -> str:
    """The row's text without styles."""
    return "".join(text for text, _ in row)


def fit(row: Row, width: int, fill: str = "text") -> Row:
    """Cut or pad the row to exactly ``width`` cells; the padding has style ``fill``."""
    fitted: list[Span] = []
    left = width
    for text, style in row:
        cells = cell_len(text)
        if cells > left:
            if left:
                fitted.append((set_cell_size(text, left), style))
            return tuple(fitted)
        fitted.append((text, style))
        left -= cells
    if left:
        fitted.append((" " * left, fill))
    return tuple(fitted)


def spread(left: Row, right: Row, width: int) -> Row:
    """Put ``left`` and ``right`` at the two ends of ``width`` cells; ``left`` is cut if both do not fit."""
    room = width - row_width(right)
    if room <= 0:
        return fit(right, width)
    return fit(left, room) + right


def heading(text: str, width: int, note: str = "") -> list[Row]:
    """Return a blank row, then ``text`` on a thin rule, with ``note`` behind it."""
    said: Row = ((text, "strong"), *(((f"   {note}", "muted"),) if note else ()), (" ", "text"))
    return [EMPTY, spread(said, (("─" * max(0, width - row_width(said)), "faint"),), width)]


def cells_filled(value: float, top: float, cells: int) -> int:
    """How many of ``cells`` are filled by ``value`` if ``top`` fills all of them; always from 0 to ``cells``."""
    return round(min(1.0, max(0.0, value / top)) * cells) if top > 0 else 0
