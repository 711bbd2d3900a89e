"""The last verification steps of a lane, newest first, in aligned columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from textual import events
from textual.message import Message

from spectui.core.ledger import LedgerRow
from spectui.core.tokens import Role
from spectui.core.views import LaneView
from spectui.ui.paint.cells import safe
from spectui.ui.paint.rows import Row, Span
from spectui.ui.paint.shifting_canvas import ShiftingCanvas
from spectui.ui.theme.palette import ROLE_STYLES
from spectui.ui.widgets.stream_layout import BONUS_SIGN, BRACKETS

WIDE = 52
"""From this many cells on, the columns are spaced and the unit is written."""

TOKEN_CELLS = 6
"""A step's tokens are shown if at least this many cells are left for them."""

SPACE_SIGN = "␣"
"""A token that consists of spaces would look like no token."""

Made: TypeAlias = dict[int, tuple[LedgerRow, object, Row]]
"""Rows by the identity of their step, with what they were made from: most were already drawn in the previous frame."""


class Ledger(ShiftingCanvas):
    """One row per step; a click looks at it."""

    class Chosen(Message):
        """The user clicked the row of a step."""

        def __init__(self, lane: str, slot: int, index: int) -> None:
            super().__init__()
            self.lane, self.slot, self.index = lane, slot, index

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._lane: LaneView | None = None
        self._made: Made = {}

    def show(self, lane: LaneView) -> None:
        """Show the steps of ``lane``."""
        self._lane = lane
        self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        if self._lane is None:
            return []
        return ledger_rows(self._lane, width, height, getattr(self.palette, "signs", frozenset()), self._made)

    def on_click(self, event: events.Click) -> None:
        steps = self._lane.ledger[::-1] if self._lane else ()
        if self._lane is not None and event.y < len(steps):
            self.post_message(self.Chosen(self._lane.info.name, steps[event.y].slot, steps[event.y].index))


def ledger_rows(
    lane: LaneView, width: int, height: int, signs: Set[Role] = frozenset(), made: Made | None = None
) -> list[Row]:
    """The newest ``height`` steps of the round.

    ``signs`` are the roles whose signs are written; callers keep ``made`` from call to call.
    """
    shown = lane.ledger[-height:][::-1] if height > 0 else ()
    if not shown:
        return []
    form = _Form.of(lane, shown, width, signs)
    known, kept = made or {}, {}
    for row in shown:
        earlier = known.get(id(row))
        kept[id(row)] = earlier if earlier and earlier[0] is row and earlier[1] == form else (row, form, form.row(row))
    if made is not None:
        made.clear()
        made.update(kept)
    return [row for _, _, row in kept.values()]


@dataclass(frozen=True, slots=True)
class _Form:
    """What all rows have in common: the width of each column, so that figures line up, and what is shown."""

    width: int
    signs: Set[Role]
    slots: bool
    drafter: bool
    number: int
    kept: int
    draft: int
    verify: int
    times: int

    @classmethod
    def of(cls, lane: LaneView, shown: Sequence[LedgerRow], width: int, signs: Set[Role]) -> _Form:
        def longest(texts: Iterable[str]) -> int:
            return max(map(len, texts))

        bare = cls(width, signs, lane.requests > 1, lane.info.k_max > 0, 0, 0, 0, 0, 0)
        measured = replace(
            bare,
            number=max(3, len(str(shown[0].number + 1))),
            kept=longest(bare.kept_text(row) for row in shown),
            draft=longest(_ms(row.draft_ms) for row in shown),
            verify=longest(_ms(row.verify_ms) for row in shown),
        )
        return replace(measured, times=longest(measured.times_text(row) for row in shown))

    @property
    def gap(self) -> str:
        return "  " if self.width >= WIDE else " "

    def row(self, row: LedgerRow) -> Row:
        """One step: number, request, accepted of drafted, times, tokens."""
        gap = self.gap
        spans: list[Span] = [(f"#{row.number + 1:<{self.number}}{gap}", "muted")]
        if self.slots:
            spans.append((f"r{row.slot + 1:<2}{gap}", "muted"))
        spans.append((f"{self.kept_text(row):<{self.kept}}{gap}", "text"))
        spans.append((f"{self.times_text(row):<{self.times}}", "muted"))
        left = self.width - sum(len(text) for text, _ in spans) - len(gap)
        if left >= TOKEN_CELLS:
            spans += [(gap, "text"), *_tokens(row, self.signs)]
        return tuple(spans)

    def kept_text(self, row: LedgerRow) -> str:
        """Accepted of drafted, then the target's own token or the number of cut tokens; words if there was no draft;
        and of a diffusion model, how much of its canvas it committed."""
        if row.canvas:
            return f"{row.committed} of {row.canvas}"
        if row.drafted:
            return f"{row.accepted}/{row.drafted} {'+1' if row.own is not None else f'cut {row.cut}'}"
        if row.own is None:
            return f"cut {row.cut}"
        if not self.drafter:
            return "1 token"
        return "no draft" if row.k else "K=0"

    def times_text(self, row: LedgerRow) -> str:
        """Where the step's time went, or the whole time if its parts are not measured."""
        if row.draft_ms is None or row.verify_ms is None:
            return f"{row.wall_ms:.1f} ms"
        unit = " ms" if self.width >= WIDE else ""
        return f"d {_ms(row.draft_ms):>{self.draft}}{self.gap}v {_ms(row.verify_ms):>{self.verify}}{unit}"


def _ms(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds:.1f}"


def _tokens(row: LedgerRow, signs: Set[Role]) -> list[Span]:
    spans: list[Span] = []
    for text, role in row.tokens:
        shown = safe(text)
        if shown.isspace():
            shown = SPACE_SIGN * len(shown)
        if role is Role.BONUS and role in signs:
            shown = BONUS_SIGN + shown
        if spans and spans[-1][1] == ROLE_STYLES[role]:
            spans[-1] = (spans[-1][0] + shown, ROLE_STYLES[role])
        else:
            spans.append((shown, ROLE_STYLES[role]))
    return [_bracketed(span, signs) for span in spans]


def _bracketed(span: Span, signs: Set[Role]) -> Span:
    text, style = span
    for role, (opening, closing) in BRACKETS.items():
        if style == ROLE_STYLES[role] and (role in signs or role is Role.CUT):
            return opening + text + closing, style
    return span
