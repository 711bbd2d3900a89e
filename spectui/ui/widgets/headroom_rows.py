"""Formats what perfect choices would give a lane: a bar for each way to choose K."""

from __future__ import annotations

from rich.cells import cell_len

from spectui.core.analysis.results import Headroom
from spectui.core.analysis.words import CHOICE_COLUMNS, RECORD_LONGER, ChoiceRow, choice_rows, why_missing
from spectui.figures import DASH
from spectui.ui.paint.cells import clip, safe
from spectui.ui.paint.rows import EMPTY, Row, cells_filled, fit, row_width
from spectui.ui.paint.wrapping import wrap

_MOST_NAME, _LEAST_BAR, _MOST_BAR, _LEAST_DETAIL = 28, 8, 60, 30
_GAP = 2


def headroom_rows(headroom: Headroom, style: str, more: str, width: int) -> list[Row]:
    """Format every way to choose K, and what to work on.

    Args:
        headroom: What the ways would give.
        style: The lane's style.
        more: How to get more steps.
        width: Width in cells.
    """

    def paragraph(said: str, how: str) -> list[Row]:
        return [((line, how),) for line in wrap(safe(said.replace(RECORD_LONGER, more)), width)]

    rows = paragraph(headroom.sentence, "strong")
    choices = choice_rows(headroom)
    missing = why_missing(headroom)
    top = max((row.choice.tok_s or 0.0 for row in choices), default=0.0)
    if not top:
        return [*rows, *(row for said in missing for row in paragraph(said, "muted"))]
    name = min(_MOST_NAME, max(cell_len(safe(row.name)) for row in choices))
    cells = [max(len(column.name), *(len(row.figures[place]) for row in choices)) + _GAP
             for place, column in enumerate(CHOICE_COLUMNS)]  # fmt: skip
    room = max(0, width - name - 1 - sum(cells))
    detail = min(
        max(cell_len(safe(row.detail)) for row in choices) + _GAP, max(room // 2, min(_LEAST_DETAIL, room - _LEAST_BAR))
    )
    bar = max(1, min(_MOST_BAR, room - detail))
    head = f"{'':<{name + 1 + bar}}" + "".join(
        f"{column.name:>{room}}" for column, room in zip(CHOICE_COLUMNS, cells, strict=True)
    )
    table: list[Row] = [((head, "muted"),)]
    for row in choices:
        table += _choice(row, style, top, (name, bar, detail), cells)
    rows += [*([EMPTY] if rows else []), *(fit(row, width) if row_width(row) > width else row for row in table)]
    rows += [row for said in missing for row in paragraph(f"{DASH}: {said}", "muted")]
    return [*rows, *paragraph(headroom.formula, "muted")]


def _choice(row: ChoiceRow, style: str, top: float, parts: tuple[int, int, int], cells: list[int]) -> list[Row]:
    name, bar, detail = parts
    how = "strong" if row.choice.key == "now" else "text"
    shown: Row = (*fit(((clip(safe(row.name), name), how),), name), (" ", "text"))
    if row.choice.tok_s is None:
        shown += ((" " * bar, "text"),)
    else:
        filled = max(1, cells_filled(row.choice.tok_s, top, bar))
        shown += (("━" * filled, style), ("─" * (bar - filled), "faint"))
    for text, room in zip(row.figures, cells, strict=True):
        shown += ((f"{text:>{room}}", how),)
    first, *rest = _details(safe(row.detail), detail - _GAP) or [""]
    indent = " " * (name + 1 + bar + sum(cells) + _GAP)
    return [
        (*shown, (" " * _GAP + first, "muted")),
        *(((indent, "text"), (line, "muted")) for line in rest),
    ]


def _details(text: str, cells: int) -> list[str]:
    """The K in lines; a K stays with the name before it."""
    lines = wrap(text.replace(" K=", _HELD), cells) if cells > 0 else []
    return [line.replace(_HELD, " K=") for line in lines]


_HELD = "~K="
"""Stands for a space that no line ends at."""
