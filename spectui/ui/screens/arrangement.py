"""Computes the layout of the live screen from the size of the terminal. Pure numbers, no widgets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from spectui.ui.widgets.pane_head import COMPACT_ROWS, LARGE_ROWS
from spectui.ui.widgets.status import MIN_HEIGHT, MIN_WIDTH

PANE_CELLS = 38
"""The least width of a pane beside another."""

MAX_PANES = 4
SIDE_CELLS = 30
"""Width of the charts if they stand beside the pane."""

_CHART_CELLS = 38


_AUDIENCE_DIGITS_HEIGHT = 20
_AUDIENCE_CHART_HEIGHT = 44
_AUDIENCE_CHART_ROWS = 8
_SENTENCE_HEIGHT = 12
_SENTENCE_CELLS = 68
"""Width of a pane from which a sentence about a step fits one row."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The parts of the live screen.

    Attributes:
        panes: How many lanes are side by side.
        strip: Whether a line lists all lanes, because not all have a pane.
        head: Rows of a pane's head.
        ledger: Rows of a pane's ledger; 0 for no ledger.
        charts: Where the charts are.
        chart_count: How many of the three charts are shown, in the order acceptance, accepted per step, throughput.
        chart_rows: Rows of the charts below the panes.
        telemetry: Whether there is a line for memory and bandwidth.
        tight: Whether even the blank row below the strip is used for text.
        airy: Whether blank rows separate the parts.
        sentence: Rows of the sentence under a pane's text; 0 for no sentence.
    """

    panes: int
    strip: bool
    head: int
    ledger: int
    charts: Literal["below", "beside", "none"]
    chart_count: int
    chart_rows: int
    telemetry: bool
    tight: bool
    airy: bool
    sentence: int = 0


# From this height on: rows of head, ledger and charts below. Chosen so that most of the added height goes to the text.
_TIERS = (
    (44, LARGE_ROWS, 8, 10),
    (34, LARGE_ROWS, 5, 8),
    (30, COMPACT_ROWS, 4, 8),
    (20, COMPACT_ROWS, 4, 0),
    (14, COMPACT_ROWS, 2, 0),
    (0, COMPACT_ROWS - 1, 0, 0),
)


def arrange(width: int, height: int, lanes: int) -> Arrangement | None:
    """Return the arrangement for a terminal of ``width`` x ``height`` cells; None if it is too small for any."""
    if width < MIN_WIDTH or height < MIN_HEIGHT:
        return None
    _, head, ledger, chart_rows = next(tier for tier in _TIERS if height >= tier[0])
    room, count = width + 2, 0
    charts: Literal["below", "beside", "none"] = "none"
    if chart_rows:
        charts, count = "below", max(1, min(3, width // _CHART_CELLS))
    elif width >= 72 and height >= 14:
        charts, count = "beside", 1 if height < 20 else 2
        room = width - SIDE_CELLS
    panes = max(1, min(lanes, MAX_PANES, room // PANE_CELLS))
    return Arrangement(
        panes=panes,
        strip=lanes > panes,
        head=head,
        ledger=ledger,
        charts=charts,
        chart_count=count,
        chart_rows=chart_rows,
        telemetry=height >= 24,
        tight=height < 20,
        airy=height >= 34,
    )


def arrange_for_audience(width: int, height: int, lanes: int) -> Arrangement | None:
    """Do the same for presenter mode: large digits and text, no ledger, and a chart only if there is plenty of room."""
    found = arrange(width, height, lanes)
    if found is None:
        return None
    charts = height >= _AUDIENCE_CHART_HEIGHT
    return replace(
        found,
        head=LARGE_ROWS if height >= _AUDIENCE_DIGITS_HEIGHT else found.head,
        ledger=0,
        charts="below" if charts else "none",
        chart_count=int(charts),
        chart_rows=_AUDIENCE_CHART_ROWS if charts else 0,
        telemetry=False,
        sentence=_sentence_rows(width // found.panes, height),
    )


def _sentence_rows(width: int, height: int) -> int:
    if height < _SENTENCE_HEIGHT:
        return 0
    return 1 if width >= _SENTENCE_CELLS or height < _AUDIENCE_DIGITS_HEIGHT else 2


def arrange_above(rows: int, width: int, height: int, lanes: int, audience: bool = False) -> Arrangement | None:
    """Return the arrangement above a list of ``rows``: the panes stay as they are if the charts can make room."""
    arranged = arrange_for_audience if audience else arrange
    whole = arranged(width, height, lanes)
    less = arranged(width, max(min(height, MIN_HEIGHT), height - rows), lanes)
    if whole is None or less is None or (whole.panes, whole.charts) == (less.panes, less.charts):
        return less
    return replace(whole, charts="none", chart_count=0, chart_rows=0) if whole.charts == "below" else less


def visible(focus: int, panes: int, lanes: int, first: int) -> int:
    """Return the first lane to show so that lane ``focus`` is among the ``panes`` shown; moves only if needed."""
    first = max(min(first, focus), focus - panes + 1)
    return max(0, min(first, lanes - panes))
