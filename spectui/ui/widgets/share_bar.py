"""A share from 0 to 1 as a bar with its 95 % interval, and a mark at what was expected of it.

Solid up to the interval, broken within it: the share itself lies where the bar is broken.
"""

from __future__ import annotations

from itertools import groupby

from spectui.core.analysis.results import Share
from spectui.ui.paint.rows import Row, cells_filled

EXPECTED = "┃"
_SOLID, _BROKEN, _TRACK = "━", "╍", "─"

LEGEND: Row = ((f"{_SOLID}{_BROKEN}", "text"), (" accepted, 95 % interval", "muted"))
EXPECTED_LEGEND: Row = ((f"   {EXPECTED}", "warn"), (" expected at these positions", "muted"))


def share_bar(share: Share, style: str, cells: int, expected: float | None = None) -> Row:
    """A bar of so many cells; only the track if there are no cases."""
    low, high = (0 if at is None else cells_filled(at, 1.0, cells) for at in (share.low, share.high))
    if share.value and cells:
        # A little must not look like nothing, and an interval narrower than a cell still has its place.
        high = max(high, 1)
        low = min(low, high - 1)
    drawn = [(_SOLID, style)] * low + [(_BROKEN, style)] * (high - low) + [(_TRACK, "faint")] * (cells - high)
    if expected is not None and cells:
        drawn[max(0, cells_filled(expected, 1.0, cells) - 1)] = (EXPECTED, "warn")
    return tuple(("".join(sign for sign, _ in run), style) for style, run in _runs(drawn))


def _runs(drawn: list[tuple[str, str]]) -> list[tuple[str, list[tuple[str, str]]]]:
    return [(style, list(run)) for style, run in groupby(drawn, key=lambda cell: cell[1])]
