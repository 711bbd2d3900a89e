"""A row for each request that attached servers work on, and for those that ended last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from textual import events
from textual.message import Message

from spectui.core.attached.views import AnswerView, AttachedView, RequestRow
from spectui.figures import DASH, number_text, share_text, three_digits
from spectui.ui.looking import Entry, Key, Look, Order, away_lanes, entries, key_of
from spectui.ui.paint.columns import Column, fitting, headings, line
from spectui.ui.paint.rows import Row, Span, fit
from spectui.ui.paint.shifting_canvas import ShiftingCanvas
from spectui.ui.theme.palette import lane_style
from spectui.ui.widgets.served_words import age_text, count_text, short_id

CHOSEN = "▸"
_SORTED: Mapping[Order, str] = {"oldest": "age", "tokens": "tokens", "length": "length", "tok/s": "tok/s"}
_ID_CELLS = 38
_LEAST_ID = 12


class RequestTable(ShiftingCanvas):
    """Shows the requests; a click chooses one."""

    class Chosen(Message):
        """The user clicked a row."""

        def __init__(self, key: Key) -> None:
            super().__init__()
            self.key = key

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._attached: AttachedView | None = None
        self._look = Look()
        self._nothing = ""
        self._top = 0

    def show(self, attached: AttachedView, look: Look, nothing: str = "") -> None:
        """Show the requests of ``attached``, or the sentence ``nothing`` where there are none."""
        self._attached, self._look, self._nothing = attached, look, nothing
        self.redraw()

    @property
    def page(self) -> int:
        """How many rows a page has."""
        return max(1, self.size.height - 2)

    def rows(self, width: int, height: int) -> list[Row]:
        if self._attached is None:
            return []
        listed = entries(self._attached, self._look.order)
        self._top = first_in_sight(listed, self._look.key, height - 1, self._top)
        return request_rows(self._attached, width, height, self._look, self._top, self._nothing)

    def on_click(self, event: events.Click) -> None:
        listed = entries(self._attached, self._look.order)[self._top :] if self._attached else []
        if 1 <= event.y <= len(listed):
            self.post_message(self.Chosen(key_of(listed[event.y - 1])))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._scroll(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._scroll(3)

    def _scroll(self, by: int) -> None:
        if self._attached is not None:
            self._look.move(self._attached, by)
            self.app.redraw_all()  # type: ignore[attr-defined]


def first_in_sight(listed: Sequence[Entry], key: Key | None, height: int, first: int) -> int:
    """The first row that is shown so that the chosen one is among ``height`` rows; moves only if needed."""
    place = next((place for place, entry in enumerate(listed) if key_of(entry) == key), 0)
    first = max(min(first, place), place - height + 1)
    return max(0, min(first, len(listed) - height))


def request_rows(
    attached: AttachedView, width: int, height: int, look: Look, first: int = 0, nothing: str = ""
) -> list[Row]:
    """Headings, and the requests from the row ``first`` on; the last one says how many are below."""
    if height < 1:
        return []
    listed = entries(attached, look.order)
    lanes = [row.lane for row in attached.endpoints]
    columns = _columns(width, several=len(lanes) > 1)
    rows = [_headings(columns, look.order)]
    if not listed:
        return [*rows, ((nothing, "muted"),)][:height]
    shown = listed[first : first + height - 1]
    away = away_lanes(attached)
    rows += [_row(entry, columns, lanes, away, key_of(entry) == look.key) for entry in shown]
    if below := len(listed) - first - len(shown):
        sign = f" ↓ {below} more "
        rows[-1] = (*fit(rows[-1], max(0, width - len(sign))), (sign, "muted"))
    return rows


def _columns(width: int, several: bool) -> tuple[Column, ...]:
    columns = [
        Column("request", _LEAST_ID, left=True),
        *([Column("at", 2, 3)] if several else []),
        Column("age", 6, 2),
        Column("prompt", 6, 7),
        Column("tokens", 6, 1),
        Column("K", 3, 6),
        Column("length", 6),
        Column("rate", 4, 5),
        Column("tok/s", 5, 4),
    ]
    kept = fitting(columns, width)
    spare = width - sum(column.cells + 2 for column in kept) + 2
    widest = min(_ID_CELLS, kept[0].cells + max(0, spare))
    return (Column("request", widest, left=True), *kept[1:])


def _headings(columns: Sequence[Column], order: Order) -> Row:
    """The column that the table is sorted by is marked."""
    marked = _SORTED.get(order, "")
    return tuple(
        (text, "accent" if column.name == marked else style)
        for (text, style), column in zip(headings(columns), columns, strict=True)
    )


def _row(entry: Entry, columns: Sequence[Column], lanes: Sequence[str], away: Set[str], chosen: bool) -> Row:
    place = lanes.index(entry.lane) if entry.lane in lanes else 0
    room = columns[0].cells - 2
    mark = f"{CHOSEN} " if chosen else "  "
    spans = _answer(entry) if isinstance(entry, AnswerView) else _request(entry, room, entry.lane in away, chosen)
    named, style = spans["request"]
    return line(columns, {**spans, "request": (mark + named, style), "at": (str(place + 1), lane_style(place))})


def _request(row: RequestRow, room: int, away: bool, chosen: bool) -> dict[str, Span]:
    over = away or row.finished is not None
    style = "strong" if chosen else "muted" if over else "text"
    figures = {
        "request": short_id(row.request, room),
        "age": ("limit" if row.finished == "length" else row.finished) or ("away" if away else age_text(row.age_s)),
        "prompt": count_text(row.prompt_tokens),
        "tokens": count_text(row.emitted),
        "K": DASH if row.k is None else str(row.k),
        "length": number_text(row.length, form=".2f"),
        "rate": share_text(row.rate),
        "tok/s": three_digits(row.tok_s),
    }
    return {name: (text, style if name == "request" or not over else "muted") for name, text in figures.items()}


def _answer(answer: AnswerView) -> dict[str, Span]:
    rate = answer.accepted / answer.drafted if answer.accepted is not None and answer.drafted else None
    tok_s = answer.tokens / answer.seconds if answer.tokens is not None and answer.seconds else None
    state = "failed" if answer.fault else age_text(answer.seconds) if answer.ended else "asked"
    figures = {
        "request": f"you: {answer.prompt}",
        "age": state,
        "prompt": DASH,
        "tokens": count_text(answer.tokens),
        "K": DASH,
        "length": number_text(answer.length, form=".2f"),
        "rate": share_text(rate),
        "tok/s": three_digits(tok_s),
    }
    return {name: (text, "accent" if name == "request" else "text") for name, text in figures.items()}
