"""Formats the most expensive pairs of a refused token and the one that the target wanted."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from spectui.core.analysis.results import Confusion, Context
from spectui.core.analysis.words import FEW, FEW_REFUSALS, confusion_figures, confusion_mark, place_name
from spectui.core.tokens import Role
from spectui.figures import percent_text
from spectui.ui.paint.cells import clip, clusters, safe
from spectui.ui.paint.rows import Row, fit, row_width
from spectui.ui.paint.wrapping import wrapped
from spectui.ui.theme.palette import ROLE_STYLES
from spectui.ui.widgets.inspect_rows import SPACE_SIGN, shown

MOST = 12
"""Pairs that are shown."""

_TOKEN = 18
_NONE = "No refusal yet: every drafted token that was judged was the one that the target wanted."


def confusion_rows(confusions: Sequence[Confusion], lost: int, width: int) -> list[Row]:
    """Format the pairs, each with the places where it happened.

    Args:
        confusions: The most expensive first.
        lost: All lost tokens of the lane.
        width: Width in cells.
    """
    if not confusions:
        return wrapped([(_NONE, "muted")], width)
    room = max(3, min(_TOKEN, (width - 26) // 2))
    rows: list[Row] = [
        ((f"{'drafted':<{room}}   {'wanted':<{room}}{'refusals':>10}{'lost':>8}{'of lost':>9}", "muted"),)
    ]
    for one in confusions[:MOST]:
        count, cost = confusion_figures(one)
        rows.append(
            (
                *_token(one.drafted_text, one.drafted, Role.REJECTED, room),
                (" → ", "muted"),
                *_token(one.wanted_text, one.wanted, Role.RECOVERED, room),
                (f"{confusion_mark(one) + count:>10}", "text"),
                (f"{cost:>8}", "strong"),
                (f"{percent_text(one.lost / lost if lost else None):>9}", "muted"),
            )
        )
        rows += [_context(context, width) for context in one.contexts]
    if not all(one.ranked for one in confusions[:MOST]):
        rows += wrapped([(f"{FEW} {FEW_REFUSALS}", "muted")], width)
    return [fit(row, width) if row_width(row) > width else row for row in rows]


def _token(text: str, number: int, role: Role, room: int) -> Row:
    """A token in the style of its role, so that underlines and strikes end with it."""
    return fit(((clip(shown(text) or f"token {number}", room), ROLE_STYLES[role]),), room)


def _context(context: Context, width: int) -> Row:
    where = place_name(context)
    text = _tail(_before(context.text), max(0, width - len(where) - 5))
    return (("  ", "text"), (text, "text"), (f"   {where}", "muted"))


def _before(text: str) -> str:
    """What stood before the token: spaces at its end belong to it."""
    line = safe(text)
    stripped = line.rstrip(" ")
    return stripped + SPACE_SIGN * (len(line) - len(stripped))


def _tail(text: str, cells: int) -> str:
    """The end of the safe ``text``, with a sign if there is more before it."""
    if cell_len(text) <= cells:
        return text
    kept: list[str] = []
    left = cells - 1
    for cluster, wide in reversed([*clusters(text)]):
        if wide > left:
            break
        kept.append(cluster)
        left -= wide
    return "…" + "".join(reversed(kept)) if cells > 0 else ""
