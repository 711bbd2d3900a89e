"""Computes the layout of the screen of attached servers from the size of the terminal. Pure numbers, no widgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spectui.ui.widgets.status import MIN_HEIGHT, MIN_WIDTH

BESIDE = 110
"""Width from which the table of requests and the request are side by side."""

_CHART_CELLS = 38
_AROUND = 3
"""Status, message and keys."""

_LEAST_TABLE, _MOST_TABLE = 58, 92


@dataclass(frozen=True, slots=True)
class AttachedArrangement:
    """The parts of the screen.

    Attributes:
        endpoints: Rows of the table of endpoints, with its headings.
        table: Whether there is a table of requests.
        request: Whether there is a place for the request.
        table_cells: Width of the table beside the request; 0 for all of it.
        ledger: Rows of the request's ledger; 0 for no ledger.
        charts: Where the charts are, or an endpoint's counters.
        charted: Whether they are charts of steps.
        chart_count: How many charts are shown.
        chart_rows: Rows of the charts.
        airy: Whether blank rows separate the parts.
    """

    endpoints: int
    table: bool
    request: bool
    table_cells: int
    ledger: int
    charts: Literal["below", "none"]
    charted: bool
    chart_count: int
    chart_rows: int
    airy: bool


def arrange_attached(
    width: int,
    height: int,
    endpoints: int,
    *,
    opened: bool = False,
    spoken: bool = False,
    listed: bool = True,
    charted: bool = True,
    drawn: bool = True,
) -> AttachedArrangement | None:
    """Return the arrangement for a terminal of ``width`` x ``height`` cells; None if it is too small for any.

    Args:
        width: Cells of the terminal.
        height: Its rows.
        endpoints: How many endpoints there are.
        opened: Whether the request has the place of the table too.
        spoken: Whether there is something to say of the focused endpoint where a request would be.
        listed: Whether requests can be told apart, so that a table makes sense.
        charted: Whether the focused endpoint has steps; otherwise only its counters are known.
        drawn: Whether there is something to draw of them.
    """
    if width < MIN_WIDTH or height < MIN_HEIGHT:
        return None
    airy = height >= 34
    shown = max(1, min(endpoints, (height - 8) // 4))
    rows = 1 + shown + (endpoints > 1 and height >= 14)
    rest = height - _AROUND - 2 * airy - rows - 1
    beside = width >= BESIDE
    chart_rows = 10 if height >= 44 else 8 if height >= 30 else 6 if rest >= 14 else 0
    # Where table and request take turns, the request's text and ledger need what the charts would take.
    if not drawn or (not beside and opened and height < 30):
        chart_rows = 0
    place = rest - chart_rows - bool(chart_rows)
    ledger = next(ledger for least, ledger in ((24, 8), (15, 5), (11, 4), (8, 2), (0, 0)) if place >= least)
    return AttachedArrangement(
        endpoints=rows,
        table=listed and not opened and (beside or not spoken),
        request=beside or opened or spoken or not listed,
        table_cells=max(_LEAST_TABLE, min(_MOST_TABLE, width * 45 // 100)) if beside and listed and not opened else 0,
        ledger=ledger,
        charts="below" if chart_rows else "none",
        charted=charted,
        chart_count=max(1, min(3, width // _CHART_CELLS)) if chart_rows else 0,
        chart_rows=chart_rows,
        airy=airy,
    )
