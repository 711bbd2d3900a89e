"""Formats where two lanes are right at the same places, and what their union would reach."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rich.cells import cell_len

from spectui.core.analysis.results import LEAST, Agreement
from spectui.core.analysis.words import TOO_FEW, agreement_rows, interval_text
from spectui.figures import percent_text
from spectui.ui.paint.cells import clip, safe
from spectui.ui.paint.rows import Row, fit, row_width
from spectui.ui.paint.wrapping import wrap
from spectui.ui.widgets.share_bar import share_bar

_MOST_NAME, _LEAST_BAR, _MOST_BAR = 20, 8, 60
_EITHER = "either"


@dataclass(frozen=True, slots=True)
class LaneFace:
    """How a lane is named and coloured on the live screen."""

    title: str
    style: str


def agreement_section(agreement: Agreement, faces: tuple[LaneFace, LaneFace], width: int) -> list[Row]:
    """Format two lanes side by side.

    Args:
        agreement: Their counts.
        faces: How the two are named and coloured.
        width: Width in cells.
    """
    agreement = replace(agreement, first=faces[0].title, second=faces[1].title)
    places = agreement.union.count
    said = f"{places:,} place{'' if places == 1 else 's'} that both judged, with the same text before"
    if places < LEAST:
        said = f"{said}: {TOO_FEW}"
    rows: list[Row] = [((line, "muted"),) for line in wrap(said, width)]
    if not places:
        return rows
    shares = (
        (safe(agreement.first), agreement.first_share, faces[0].style),
        (safe(agreement.second), agreement.second_share, faces[1].style),
        (_EITHER, agreement.union, "accent"),
    )
    name = min(_MOST_NAME, max(cell_len(text) for text, _, _ in shares))
    right = max(len(interval_text(share)) for _, share, _ in shares) + 8
    bar = max(1, min(_MOST_BAR, width - name - right - 1))
    for text, share, style in shares:
        shown: Row = fit(((clip(text, name), style),), name)
        shown += ((" ", "text"), *share_bar(share, "faint" if places < LEAST else style, bar))
        rows.append((*shown, (f"{percent_text(share.value):>6}", "strong"), (f"  {interval_text(share)}", "muted")))
    cases = [f"{safe(case)} {count} ({percent})" for case, count, percent in agreement_rows(agreement)]
    rows += [((line, "muted"),) for line in wrap("; ".join(cases), width)]
    return [fit(row, width) if row_width(row) > width else row for row in rows]
