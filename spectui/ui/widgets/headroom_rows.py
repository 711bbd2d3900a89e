"""Formats what perfect choices would give a lane: a bar for each way to choose K."""

from __future__ import annotations

from rich.cells import cell_len

from spectui.core.analysis.results import Headroom
from spectui.core.analysis.words import CHOICE_COLUMNS, ChoiceRow, choice_rows
from spectui.figures import DASH
from spectui.ui.paint.cells import clip, safe
from spectui.ui.paint.rows import EMPTY, Row, cells_filled, fit, row_width
from spectui.ui.paint.wrapping import wrap

_MOST_NAME, _LEAST_BAR, _MOST_BAR, _MOST_DETAIL = 28, 8, 60, 30
_GAP = 2


def headroom_rows(headroom: Headroom, style: str, width: int) -> list[Row]:
    """Format every way to choose K, and what to work on.

    Args:
        headroom: What the ways would give.
        style: The lane's style.
        width: Width in cells.
    """
    rows = [((line, "strong"),) for line in wrap(safe(headroom.sentence), width)]
    choices = choice_rows(headroom)
    top = max((row.choice.tok_s or 0.0 for row in choices), default=0.0)
    if not top:
        reasons = dict.fromkeys(row.choice.missing for row in choices if row.choice.missing)
        return [*rows, *(((line, "muted"),) for said in reasons for line in wrap(safe(said), width))]
    name = min(_MOST_NAME, max(cell_len(safe(row.name)) for row in choices))
    cells = [max(len(column.name), *(len(row.figures[place]) for row in choices)) + _GAP
             for place, column in enumerate(CHOICE_COLUMNS)]  # fmt: skip
    known = [row for row in choices if row.choice.tok_s is not None]
    room = width - name - 1 - sum(cells)
    detail = min(_MOST_DETAIL, max(cell_len(safe(row.detail)) for row in known) + _GAP, max(0, room - _LEAST_BAR))
    bar = max(1, min(_MOST_BAR, room - detail))
    head = f"{'':<{name + 1 + bar}}" + "".join(
        f"{column.name:>{room}}" for column, room in zip(CHOICE_COLUMNS, cells, strict=True)
    )
    table: list[Row] = [((head, "muted"),)]
    for row in choices:
        table += _choice(row, style, top, (name, bar, detail), cells, width)
    if headroom.formula:
        table += [((line, "muted"),) for line in wrap(safe(headroom.formula), width)]
    return [*rows, *([EMPTY] if rows else []), *(fit(row, width) if row_width(row) > width else row for row in table)]


def _choice(
    row: ChoiceRow, style: str, top: float, parts: tuple[int, int, int], cells: list[int], width: int
) -> list[Row]:
    name, bar, detail = parts
    now = row.choice.key == "now"
    shown: Row = (*fit(((clip(safe(row.name), name), "strong" if now else "text"),), name), (" ", "text"))
    if row.choice.tok_s is None:
        lines = wrap(f"{DASH} {safe(row.detail)}", max(8, width - name - 1))
        after: list[Row] = [((" " * (name + 1), "text"), (line, "muted")) for line in lines[1:]]
        return [(*shown, (lines[0], "muted")), *after]
    filled = max(1, cells_filled(row.choice.tok_s, top, bar))
    shown += (("━" * filled, style), ("─" * (bar - filled), "faint"))
    for text, room in zip(row.figures, cells, strict=True):
        shown += ((f"{text:>{room}}", "strong" if now else "text"),)
    return [(*shown, (" " * _GAP + clip(safe(row.detail), detail - _GAP) if detail > _GAP else "", "muted"))]
