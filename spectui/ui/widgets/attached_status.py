"""What the line at the top says of servers that run elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from spectui.core.attached.views import AttachedView
from spectui.core.views import RunView
from spectui.figures import three_digits
from spectui.ui.paint.cells import safe
from spectui.ui.paint.rows import Span
from spectui.ui.widgets.served_words import count_text

Item: TypeAlias = tuple[int, Span]
"""The rank, counted from the most important item, which stays longest, and the item."""


def attached_left(run: RunView, attached: AttachedView) -> list[Item]:
    """The program, what it is attached to, and how many endpoints are live."""
    live, total = sum(row.stage == "live" for row in attached.endpoints), len(attached.endpoints)
    models = dict.fromkeys(row.model for row in attached.endpoints if row.model)
    model = next(iter(models), run.target)
    items: list[Item] = [(0, ("SpecTUI", "title")), (7, ("attached", "accent"))]
    if model:
        items.append((5, (safe(model) + (f" and {len(models) - 1} more" if len(models) > 1 else ""), "strong")))
    style = "good" if live == total else "warn" if live else "bad"
    items.append((1, (f"{live} of {total} live" if total > 1 else "live" if live else "not live", style)))
    return items


def attached_right(run: RunView, attached: AttachedView, dropped: int) -> list[Item]:
    """The moment: load, throughput, and whatever does not get here."""
    rows = attached.endpoints
    items: list[Item] = []
    if run.paused:
        items.append((2, ("held" if run.playhead is None else "paused", "warn")))
    items += [(rank, (f"{count:,} {what}", "warn")) for rank, count, what in _faults(run, attached, dropped) if count]
    if run.recording is not None:
        items.append((1, ("REC", "bad")))
    running, waiting = _sum(row.running for row in rows), _sum(row.waiting for row in rows)
    if running is not None:
        items.append((3, (f"{count_text(running)} in flight", "text")))
    if waiting:
        items.append((6, (f"{count_text(waiting)} waiting", "text")))
    total = rows[0] if len(rows) == 1 else attached.total
    if total is not None and total.tok_s is not None:
        items.append((4, (f"{three_digits(total.tok_s)} tok/s", "text")))
    return items


def _faults(run: RunView, attached: AttachedView, dropped: int) -> list[tuple[int, int, str]]:
    """Rank, number and name of what is missing."""
    rows = attached.endpoints
    return [
        (1, sum(row.lost or 0 for row in rows), "steps lost"),
        (2, sum(row.dropped for row in rows), "dropped by the server"),
        (2, sum(row.malformed for row in rows), "malformed"),
        (1, run.lost + dropped, "events lost"),
    ]


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None
