"""A row for each server that is watched, and one for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from textual import events
from textual.message import Message

from spectui.core.attached.views import EndpointRow
from spectui.core.views import RunView
from spectui.figures import DASH, number_text, percent_text, share_text, three_digits
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.cells import clip, safe
from spectui.ui.paint.columns import GAP, Column, cells_of, fitting, headings, line
from spectui.ui.paint.rows import Row, Span
from spectui.ui.theme.palette import lane_style
from spectui.ui.widgets.served_words import count_text, figures_known, state_span

FOCUSED = "▸"
_LEAST_TITLE, _MOST_TITLE = 14, 40
_MARK = 3
"""Cells of the mark and the number before a title."""


class EndpointTable(Canvas):
    """Shows the servers; a click focuses one."""

    class Chosen(Message):
        """The user clicked the endpoint at ``index``."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._view: RunView | None = None
        self._focus = 0
        self._since: Mapping[str, float] = {}

    def show(self, view: RunView, focus: int, since: Mapping[str, float]) -> None:
        """Show the endpoints of ``view``; ``since`` says of those that are gone for how many seconds."""
        self._view, self._focus, self._since = view, focus, since
        self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        return [] if self._view is None else endpoint_rows(self._view, width, height, self._focus, self._since)

    def on_click(self, event: events.Click) -> None:
        attached = self._view.attached if self._view else None
        if attached is None:
            return
        first, shown = _in_sight(len(attached.endpoints), self.size.height, attached.total is not None, self._focus)
        if 1 <= event.y <= shown:
            self.post_message(self.Chosen(first + event.y - 1))


def endpoint_rows(
    view: RunView, width: int, height: int, focus: int = 0, since: Mapping[str, float] | None = None
) -> list[Row]:
    """Headings, the endpoints that fit with the focused one among them, and their sum."""
    attached = view.attached
    if attached is None or height < 1:
        return []
    endpoints, since = attached.endpoints, since or {}
    first, shown = _in_sight(len(endpoints), height, attached.total is not None, focus)
    methods = {lane.info.name: lane.info.method for lane in view.lanes}
    hidden = f", {len(endpoints) - shown} not shown" if shown < len(endpoints) else ""
    summed = f"   all {len(endpoints)}{hidden}"
    columns = _columns(endpoints, methods, width, len(summed))
    rows: list[Row] = [headings(columns)]
    for place in range(first, first + shown):
        row = endpoints[place]
        mark = FOCUSED if place == focus and len(endpoints) > 1 else " "
        label = f"{mark}{place + 1} " if len(endpoints) > 1 else ""
        title = (label + row.title, lane_style(place, title=place == focus))
        rows.append(_row(row, title, columns, methods.get(row.lane, ""), since.get(row.lane), width))
    if attached.total is not None and shown < height - 1:
        rows.append(_row(attached.total, (summed, "strong"), columns, "", None, width))
    return rows


def _in_sight(endpoints: int, height: int, summed: bool, focus: int) -> tuple[int, int]:
    """The first endpoint that is shown, and how many are."""
    shown = max(1, min(endpoints, height - 1 - (summed and height > 2)))
    return max(0, min(focus - shown // 2, endpoints - shown)), min(shown, endpoints)


def _columns(
    endpoints: tuple[EndpointRow, ...], methods: Mapping[str, str], width: int, least: int
) -> tuple[Column, ...]:
    known = {
        "cache": any(row.cache_share is not None for row in endpoints),
        "lost": any(row.lost != 0 for row in endpoints),
        "draft": any(row.draft_ms is not None for row in endpoints),
        "verify": any(row.verify_ms is not None for row in endpoints),
    }
    method = max((cell_len(safe(name)) for name in methods.values()), default=0)
    title = max(least, *(cell_len(safe(row.title)) + _MARK for row in endpoints))
    columns = (
        Column("endpoint", min(_MOST_TITLE, max(_LEAST_TITLE, title)), left=True),
        Column("state", 13, left=True),
        Column("method", min(12, max(6, method)), 7, left=True),
        Column("K", 5, 3),
        Column("length", 6, 1),
        Column("rate", 5, 4),
        Column("tok/s", 6),
        Column("step", 8, 5),
        Column("draft", 8, 9),
        Column("verify", 8, 8),
        Column("in flight", 9, 2),
        Column("waiting", 7, 6),
        Column("cache", 5, 10),
        Column("lost", 6, 1),
    )
    return fitting((column for column in columns if known.get(column.name, True)), width)


def _row(row: EndpointRow, title: Span, columns: Sequence[Column], method: str, since: float | None, width: int) -> Row:
    summed = not row.lane
    state = ("", "text") if summed else state_span(row, since)
    if not summed and not figures_known(row):
        begun = line(columns[:2], {"endpoint": title, "state": state})
        return (*begun, (" " * GAP + clip(safe(row.why), max(0, width - cells_of(columns[:2]) - GAP)), "muted"))
    style = "muted" if row.stage == "gone" and not summed else "text"
    figures = {
        "method": DASH if method == "unknown" else method,
        "K": _k_text(row),
        "length": number_text(row.length, form=".2f"),
        "rate": share_text(row.rate),
        "tok/s": three_digits(row.tok_s),
        "step": number_text(row.step_ms, "ms", ".1f"),
        "draft": number_text(row.draft_ms, "ms", ".1f"),
        "verify": number_text(row.verify_ms, "ms", ".1f"),
        "in flight": count_text(row.running),
        "waiting": count_text(row.waiting),
        "cache": percent_text(row.cache_share),
    }
    spans = {name: (text, style) for name, text in figures.items()}
    lost = (count_text(row.lost), "warn" if row.lost else style)
    return line(columns, {**spans, "endpoint": title, "state": state, "lost": lost})


def _k_text(row: EndpointRow) -> str:
    if row.k is None:
        return DASH
    return f"{row.k}" if row.k_max is None or row.k_max == row.k else f"{row.k}/{row.k_max}"
