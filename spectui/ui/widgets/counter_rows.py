"""What is known of an endpoint whose drafts are not visible, or which shows nothing: words, and figures if any."""

from __future__ import annotations

from typing import Any

from spectui.core.attached.views import EndpointRow
from spectui.figures import number_text, percent_text, share_text, three_digits
from spectui.ui.paint.bars import Bar, bar_rows
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.rows import EMPTY, Row, Span, row_width
from spectui.ui.paint.wrapping import wrapped
from spectui.ui.theme.palette import lane_style
from spectui.ui.widgets.served_words import count_text, counters_only

_MOST_TEXT = 100
"""Sentences are hard to read in longer rows."""


class EndpointPanel(Canvas):
    """Takes the place of a request."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._shown: tuple[EndpointRow, int, list[Span]] | None = None

    def show(self, row: EndpointRow, place: int, said: list[Span]) -> None:
        """Show the sentences ``said`` of the endpoint at ``place``, and its counters."""
        self._shown = (row, place, said)
        self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        return [] if self._shown is None else endpoint_panel_rows(*self._shown, width)[:height]


class CounterFigures(Canvas):
    """Takes the place of the charts."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._shown: tuple[EndpointRow, int] | None = None

    def show(self, row: EndpointRow, place: int) -> None:
        """Show the counters of the endpoint at ``place``."""
        self._shown = (row, place)
        self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        return [] if self._shown is None else counter_rows(*self._shown, width)[:height]


def endpoint_panel_rows(row: EndpointRow, place: int, said: list[Span], width: int) -> list[Row]:
    """The sentences, then the counters' figures."""
    rows = wrapped(said, min(width, _MOST_TEXT))
    return [*rows, *([EMPTY] if rows else []), *counter_rows(row, place, width)] if counters_only(row) else rows


def counter_rows(row: EndpointRow, place: int, width: int) -> list[Row]:
    """Figures of the last seconds, and acceptance by position as far as the server counts it."""
    pairs = (
        ("acceptance length", number_text(row.length, form=".2f")),
        ("rate", share_text(row.rate)),
        ("throughput", f"{three_digits(row.tok_s)} tok/s"),
        ("running", count_text(row.running)),
        ("waiting", count_text(row.waiting)),
        ("KV cache", percent_text(row.cache_share)),
    )
    rows: list[Row] = []
    line: Row = EMPTY
    for name, value in pairs:
        item: Row = ((f"{name} ", "muted"), (value, "strong"))
        if line and row_width(line) + 3 + row_width(item) > width:
            rows.append(line)
            line = EMPTY
        line = (*line, *((("   ", "text"),) if line else ()), *item)
    rows.append(line)
    if row.by_position:
        bars = [Bar(str(at), share, share_text(share)) for at, share in enumerate(row.by_position, start=1)]
        rows += [EMPTY, (("acceptance by position", "strong"), ("  from the server's counters", "muted"))]
        rows += bar_rows(bars, lane_style(place), min(width, _MOST_TEXT), len(bars))
    elif row.stage == "live":
        rows += [EMPTY, (("acceptance by position is not counted by this server", "muted"),)]
    return rows
