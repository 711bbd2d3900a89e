"""The head of the request that is shown of an attached server, or of a prompt that was sent from here."""

from __future__ import annotations

from typing import Any

from spectui.core.attached.views import AnswerView, AttachedView, RequestRow
from spectui.figures import number_text, share_text, three_digits
from spectui.ui.looking import Entry
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.cells import clip, safe
from spectui.ui.paint.rows import EMPTY, Row, Span, row_width, spread
from spectui.ui.theme.palette import lane_style
from spectui.ui.widgets.served_words import age_text, count_text

HEAD_ROWS = 3
"""The id, its figures, a rule."""

_ENDED = {
    "eos": "ended by itself",
    "stop": "ended at a stop",
    "length": "ended at its token limit",
    "abort": "aborted",
    "error": "failed",
    "unseen": "ended unseen",
}


class RequestHead(Canvas):
    """Three rows, the last of which is a rule in the endpoint's colour."""

    DEFAULT_CSS = f"RequestHead {{ height: {HEAD_ROWS}; }}"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._shown: tuple[AttachedView, Entry | None, bool, int] | None = None

    def show(self, attached: AttachedView, entry: Entry | None, following: bool, focus: int) -> None:
        """Show ``entry``, which is on the endpoint at ``focus``."""
        self._shown = (attached, entry, following, focus)
        self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        return [] if self._shown is None else request_head_rows(*self._shown, width)[:height]


def request_head_rows(
    attached: AttachedView, entry: Entry | None, following: bool, focus: int, width: int
) -> list[Row]:
    """What it is, its figures, and a rule that names the endpoint."""
    if entry is None:
        head: list[Row] = [EMPTY, EMPTY]
    elif isinstance(entry, AnswerView):
        head = _answer(entry, width)
    else:
        head = _request(entry, following, width)
    return [*head, _rule(attached, focus, width)]


def _rule(attached: AttachedView, focus: int, width: int) -> Row:
    title = safe(attached.endpoints[focus].title) if focus < len(attached.endpoints) else ""
    label = f" {clip(title, max(0, width - 6))} " if title else ""
    style = lane_style(focus)
    return (("━" * max(0, width - row_width(((label, ""),)) - 2), style), (label, "muted"), ("━━", style))


def _request(row: RequestRow, following: bool, width: int) -> list[Row]:
    state: Span = ("in flight" if row.age_s is None else f"in flight {age_text(row.age_s)}", "good")
    if row.finished is not None:
        state = (_ENDED[row.finished], "muted")
    figures = (
        ("tokens", count_text(row.emitted)),
        ("length", number_text(row.length, form=".2f")),
        ("rate", share_text(row.rate)),
        ("tok/s", three_digits(row.tok_s)),
        ("K", number_text(row.k)),
        ("prompt", count_text(row.prompt_tokens)),
    )
    return [_ends(row.request, "strong", state, width), _figures(figures, width, "following" if following else "")]


def _answer(answer: AnswerView, width: int) -> list[Row]:
    state: Span = ("asked", "warn")
    if answer.fault:
        state = ("failed", "bad")
    elif answer.ended:
        state = (f"answered in {age_text(answer.seconds)}", "good")
    elif answer.text:
        state = ("answering", "good")
    kept = "" if answer.drafted is None else f"{number_text(answer.accepted)} of {answer.drafted}"
    speed = answer.tokens / answer.seconds if answer.tokens is not None and answer.seconds else None
    figures = (
        ("tokens", count_text(answer.tokens)),
        ("length", number_text(answer.length, form=".2f")),
        ("accepted", kept or number_text(None)),
        ("tok/s", three_digits(speed)),
        ("first text", age_text(answer.first_s)),
        ("drafts", count_text(answer.drafts)),
    )
    return [_ends(f"your prompt: {answer.prompt}", "strong", state, width), _figures(figures, width)]


def _ends(text: str, style: str, state: Span, width: int) -> Row:
    return spread(((clip(safe(text), max(0, width - row_width((state,)) - 2)), style),), (state,), width)


def _figures(figures: tuple[tuple[str, str], ...], width: int, note: str = "") -> Row:
    """As many figures as fit, the first ones first, and a word at the right if there is room."""
    row: Row = EMPTY
    for name, value in figures:
        longer: Row = (*row, ("   " if row else "", "text"), (f"{name} ", "muted"), (value, "text"))
        if row_width(longer) > width:
            break
        row = longer
    room = width - row_width(row) - len(note)
    return spread(row, ((note, "accent"),), width) if note and room >= 2 else row
