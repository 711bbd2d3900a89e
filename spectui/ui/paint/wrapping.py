"""Breaks sentences into a few rows: notices, notes, error messages."""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len

from spectui.ui.paint.cells import clip, clusters, safe
from spectui.ui.paint.rows import EMPTY, Row, Span


def wrapped(paragraphs: Iterable[Span], width: int) -> list[Row]:
    """Make each paragraph safe and break it at spaces to ``width`` cells; an empty one becomes a blank row."""
    rows: list[Row] = []
    for text, style in paragraphs:
        lines = wrap(safe(text), width)
        rows += [((line, style),) for line in lines] or [EMPTY]
    return rows


def wrap(text: str, width: int) -> list[str]:
    """Break the safe ``text`` into lines of at most ``width`` cells, at spaces, and long words anywhere."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        if line and cell_len(line) + 1 + cell_len(word) <= width:
            line += " " + word
            continue
        if line:
            lines.append(line)
        *full, line = _pieces(word, width)
        lines += full
    return [*lines, line] if line else lines


def shortened(text: str, width: int, rows: int) -> list[str]:
    """Like `wrap`, but with at most ``rows`` lines; the last one shows if something is missing."""
    lines = wrap(text, width)
    if len(lines) <= rows:
        return lines
    return [*lines[: rows - 1], clip(" ".join(lines[rows - 1 :]), width)]


def _pieces(word: str, width: int) -> list[str]:
    pieces, piece, cells = [], "", 0
    for cluster, size in clusters(word):
        if piece and cells + size > width:
            pieces.append(piece)
            piece, cells = "", 0
        piece += cluster
        cells += size
    return [*pieces, piece]
