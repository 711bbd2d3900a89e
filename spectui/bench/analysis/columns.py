"""Lines of a terminal: text in columns and paragraphs that fit a width, and colours where they are wanted.

Widths are those of a terminal's cells, since names and tokens may be of any script.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rich.cells import cell_len, chop_cells, set_cell_size

from spectui.runtime.output import visible

Style: TypeAlias = Literal["", "heading", "faint", "weak", "strong"]

_CODES: dict[Style, str] = {"heading": "1", "faint": "2", "weak": "33", "strong": "32"}
_GAP = 2
_LEAST_NAME, _LEAST_TAIL = 12, 24
_HANG = "    "
"""Before the further lines of a name."""

_MOST_LINES = 4


@dataclass(frozen=True, slots=True)
class Line:
    """A line that a terminal shows as it is, and how it looks there."""

    text: str = ""
    style: Style = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        name: Set to the left, in several lines if it must be.
        figures: Set to the right.
        lead: What its first line begins with.
        tail: Behind the figures, in several lines if it must be.
        style: How the row looks.
    """

    name: str
    figures: tuple[str, ...]
    lead: str = ""
    tail: str = ""
    style: Style = ""


def spelled(line: Line, *, colour: bool) -> str:
    """The line with the codes of its colour."""
    code = _CODES.get(line.style) if colour else None
    return f"\x1b[{code}m{line.text}\x1b[0m" if code and line.text else line.text


def fitted(text: str, width: int, *, keep_end: bool = False) -> str:
    """The text in at most ``width`` cells: what is too long ends in an ellipsis, or begins with one."""
    if cell_len(text) <= width:
        return text
    if keep_end:
        while cell_len(text) > max(0, width - 1):
            text = text[1:]
        return f"…{text}"
    return set_cell_size(text, max(0, width - 1)).rstrip() + "…"


def paragraph(text: str, width: int, *, first: str = "", rest: str = "", style: Style = "") -> list[Line]:
    """A text of any length, made harmless and broken between words; ``first`` and ``rest`` begin its lines."""
    lines: list[str] = []
    line, start = first, len(first)
    # A figure stays with its sign, and a K with its name.
    for word in visible(text).replace(" %", "\xa0%").replace(" K=", "\xa0K=").split(" "):
        for piece in chop_cells(word, width - cell_len(rest)) or [""]:
            space = "" if len(line) <= start else " "
            if cell_len(line) + len(space) + cell_len(piece) > width and len(line) > start:
                lines.append(line)
                line, start, space = rest, len(rest), ""
            line += space + piece
    return [Line(re.sub("\xa0(?=%|K=)", " ", one.rstrip()), style) for one in (*lines, line)]


def widths(rows: Sequence[Row]) -> list[int]:
    """How wide the columns of figures must be."""
    return [max(map(cell_len, column)) for column in zip(*(row.figures for row in rows), strict=True)]


def table(rows: Sequence[Row], width: int, least: Sequence[int] = ()) -> Iterator[Line]:
    """Rows in columns; ``least`` are widths that the columns of figures have at least.

    A name in the style of a heading that is too long gets a line of its own.
    """
    spread = [max(pair) for pair in zip(widths(rows), least, strict=True)] if least else widths(rows)
    figures = sum(spread) + _GAP * len(spread)
    tails = any(row.tail for row in rows)
    room = max(_LEAST_NAME, width - figures - (_GAP + _LEAST_TAIL if tails else 0))
    # A table with tails is as wide as it must be; others use the width, so that tables below each other line up.
    name_width = min(room, max(cell_len(row.lead + visible(row.name)) for row in rows)) if tails else room
    for row in rows:
        shown = visible(row.name)
        if row.style == "heading" and cell_len(shown) > name_width:
            yield Line(fitted(shown, width), row.style)
            shown = ""
        first, *more = _name(row.lead, shown, name_width)
        cells = "".join(
            " " * (_GAP + size - cell_len(text)) + text for text, size in zip(row.figures, spread, strict=True)
        )
        begin = f"{set_cell_size(first, name_width)}{cells}"
        if row.tail:
            indent = " " * (cell_len(begin) + _GAP)
            yield from paragraph(row.tail, width, first=f"{begin}  ", rest=indent, style=row.style)
        else:
            yield Line(begin.rstrip(), row.style)
        yield from (Line(line, row.style) for line in more)


def _name(lead: str, name: str, width: int) -> list[str]:
    """A name in as many lines as it needs, but not more than `_MOST_LINES`."""
    if cell_len(lead + name) <= width:
        return [lead + name]
    name = fitted(name, _MOST_LINES * (width - len(_HANG)))
    return [line.text for line in paragraph(name, width, first=lead, rest=_HANG)]
