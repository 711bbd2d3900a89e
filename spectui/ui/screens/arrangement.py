"""What fits where: from the size of the terminal to the parts of the live screen. Pure numbers, no widgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spectui.ui.widgets.pane_head import COMPACT_ROWS, LARGE_ROWS
from spectui.ui.widgets.status import MIN_HEIGHT, MIN_WIDTH

PANE_CELLS = 38
"""Narrowest pane that stands beside another."""

MAX_PANES = 4
SIDE_CELLS = 30
"""Width of the charts where they stand beside the pane."""

_CHART_CELLS = 38


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The parts of the live screen.

    Attributes:
        panes: Lanes side by side.
        strip: Whether a line names all lanes, because not all have a pane.
        head: Rows of a pane's head.
        ledger: Rows of a pane's ledger.
        charts: Where the charts are.
        chart_count: How many of the three charts are shown, in the order acceptance, accepted per step, throughput.
        chart_rows: Rows of the charts below the panes.
        airy: Whether blank rows set the parts apart.
    """

    panes: int
    strip: bool
    head: int
    ledger: int
    charts: Literal["below", "beside", "none"]
    chart_count: int
    chart_rows: int
    airy: bool


def arrange(width: int, height: int, lanes: int) -> Arrangement | None:
    """The arrangement for a terminal of ``width`` x ``height`` cells; None when it is too small for any."""
    if width < MIN_WIDTH or height < MIN_HEIGHT:
        return None
    panes = max(1, min(lanes, MAX_PANES, (width + 2) // PANE_CELLS))
    if height >= 30:
        charts: Literal["below", "beside", "none"] = "below"
    else:
        charts = "beside" if width >= 72 and height >= 16 else "none"
    if charts == "beside":
        panes = max(1, min(lanes, MAX_PANES, (width - SIDE_CELLS) // PANE_CELLS))
    count = {"below": max(1, min(3, width // _CHART_CELLS)), "beside": 2, "none": 0}[charts]
    if charts == "beside" and height < 20:
        count = 1
    large = height >= 34
    return Arrangement(
        panes=panes,
        strip=lanes > panes,
        head=LARGE_ROWS if large else COMPACT_ROWS,
        ledger=2 if height < 20 else 4 if height < 34 else 5 if height < 44 else 8,
        charts=charts,
        chart_count=count,
        chart_rows=0 if charts != "below" else 8 if height < 44 else 10,
        airy=height >= 34,
    )


def visible(focus: int, panes: int, lanes: int, first: int) -> int:
    """The first lane shown, such that lane ``focus`` is among ``panes`` of them; moves no more than it must."""
    first = max(min(first, focus), focus - panes + 1)
    return max(0, min(first, lanes - panes))
