"""The last verification steps of a lane, newest first, in aligned columns."""

from __future__ import annotations

from typing import Any

from rich.cells import cell_len

from spectui.core.ledger import LedgerRow
from spectui.core.tokens import Role
from spectui.core.views import LaneView
from spectui.ui.canvas import Canvas
from spectui.ui.cells import safe
from spectui.ui.palette import ROLE_STYLES
from spectui.ui.rows import Row, Span
from spectui.ui.widgets.stream_layout import BONUS_SIGN, BRACKETS

WIDE = 52
"""Cells from which the columns are spaced and the unit is written."""

TOKEN_CELLS = 6
"""The tokens of a step are shown where at least this much is left for them."""


class Ledger(Canvas):
    """One row a step."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._lane: LaneView | None = None

    def show(self, lane: LaneView) -> bool:
        """Show the steps of ``lane``; True when there is something to paint."""
        self._lane = lane
        return self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        if self._lane is None:
            return []
        return ledger_rows(self._lane, width, height, bool(getattr(self.palette, "signs", False)))


def ledger_rows(lane: LaneView, width: int, height: int, signs: bool = False) -> list[Row]:
    """The newest ``height`` steps. ``signs`` asks for text signs of roles."""
    shown = lane.ledger[-height:][::-1] if height > 0 else ()
    if not shown:
        return []
    digits = max(3, len(str(shown[0].number + 1)))
    drafts = max(cell_len(_kept(row, lane)) for row in shown)
    return [_step(row, lane, width, digits, drafts, signs) for row in shown]


def _step(row: LedgerRow, lane: LaneView, width: int, digits: int, drafts: int, signs: bool) -> Row:
    gap = "  " if width >= WIDE else " "
    spans: list[Span] = [(f"#{row.number + 1:<{digits}}{gap}", "muted")]
    if lane.requests > 1:
        spans.append((f"r{row.slot + 1:<2}{gap}", "muted"))
    spans.append((f"{_kept(row, lane):<{drafts}}{gap}", "text"))
    spans.append((_times(row, gap, " ms" if width >= WIDE else ""), "muted"))
    left = width - sum(len(text) for text, _ in spans) - len(gap)
    if left >= TOKEN_CELLS:
        spans += [(gap, "text"), *_tokens(row, signs)]
    return tuple(spans)


def _kept(row: LedgerRow, lane: LaneView) -> str:
    """Accepted of drafted, and the target's own token; in words when there was no draft."""
    own = "+1" if row.own is not None else "cut"
    if row.drafted:
        return f"{row.accepted}/{row.drafted} {own}"
    if not lane.info.k_max:
        return "1 token" if row.own is not None else "cut"
    return f"K=0 {own}" if not row.k else f"no draft {own}"


def _times(row: LedgerRow, gap: str, unit: str) -> str:
    if row.draft_ms is None or row.verify_ms is None:
        return f"{row.wall_ms:5.1f} ms"
    return f"d {row.draft_ms:4.1f}{gap}v {row.verify_ms:5.1f}{unit}"


def _tokens(row: LedgerRow, signs: bool) -> list[Span]:
    spans: list[Span] = []
    for text, role in row.tokens:
        shown = safe(text)
        if role is Role.BONUS and signs:
            shown = BONUS_SIGN + shown
        if spans and spans[-1][1] == ROLE_STYLES[role]:
            spans[-1] = (spans[-1][0] + shown, ROLE_STYLES[role])
        else:
            spans.append((shown, ROLE_STYLES[role]))
    return [_bracketed(span, signs) for span in spans]


def _bracketed(span: Span, signs: bool) -> Span:
    text, style = span
    for role, (opening, closing) in BRACKETS.items():
        if style == ROLE_STYLES[role] and (signs or role is Role.CUT):
            return opening + text + closing, style
    return span
