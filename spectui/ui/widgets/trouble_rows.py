"""Formats what may be wrong with the lanes: each sign with its figures and likely causes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spectui.core.views import LaneView
from spectui.ui.paint.cells import safe
from spectui.ui.paint.rows import EMPTY, Row
from spectui.ui.paint.wrapping import wrap
from spectui.ui.theme.palette import lane_style
from spectui.ui.widgets.pane_head import NOT_COMPARABLE, UNLIKE

_CELLS = 100
_INDENT = 2


def trouble_rows(lanes: Sequence[LaneView], width: int) -> list[Row]:
    """Format every sign of every lane that lives, followed by a blank row; nothing if all is well."""
    cells = max(10, min(width, _CELLS) - _INDENT)
    rows: list[Row] = []
    for place, lane in enumerate(lanes):
        name = (f"{safe(lane.info.title)}  ", lane_style(place, title=True))
        if lane.failed is not None:
            continue
        for one in lane.troubles:
            rows.append((name, (f"{one.mark} {one.seen}", "muted" if one.normal else "warn")))
            rows += _indented(one.figures, "text", cells)
            for number, cause in enumerate(one.causes):
                word = "" if one.normal else "likely: " if not number else "or: "
                rows += _indented(word + cause, "muted", cells)
            rows.append(EMPTY)
        if lane.unlike:
            rows.append((name, (f"{UNLIKE} {NOT_COMPARABLE} with AR", "warn")))
            how = lane.unlike.removesuffix(f": {NOT_COMPARABLE}")
            rows += [*_indented(f"It {how}, so the speed-up is not due to drafting alone.", "text", cells), EMPTY]
    return rows


def _indented(text: str, style: str, cells: int) -> Iterator[Row]:
    for line in wrap(safe(text), cells):
        yield ((" " * _INDENT, "text"), (line, style))
