"""Where the time of a step goes, as stacked bars in a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spectui.ui.paint.rows import Row, cells_filled, fit, row_width

PARTS = (("draft", "accent", "▓"), ("verify", "text", "█"), ("rest", "muted", "░"))
_TEXT_CELLS = 38
"""Cells that a step's time and its parts take after their bar."""


@dataclass(frozen=True, slots=True)
class StepTimes:
    """A bar: its name of at most three cells, and seconds; ``draft_s`` and ``verify_s`` are None if a lane's parts
    are not measured."""

    name: str
    draft_s: float | None
    verify_s: float | None
    step_s: float


def time_rows(times: Sequence[StepTimes], width: int, head: str = "time of a step") -> list[Row]:
    """A legend, and a bar for each of ``times``; the longest is as wide as there is room."""
    legend = tuple(span for name, style, sign in PARTS for span in (("   ", "text"), (f"{sign} {name}", style)))
    heading = fit(((f"    {head}", "muted"), *legend), width)
    if not times:
        return [heading, (("    nothing measured yet", "muted"),)]
    longest = max(one.step_s for one in times)
    room = max(4, width - 4 - _TEXT_CELLS)
    bars = [_bar(one, room, longest) for one in times]
    return [heading, *(fit(row, width) if row_width(row) > width else row for row in bars)]


def _bar(times: StepTimes, room: int, longest: float) -> Row:
    step, draft, verify = times.step_s, times.draft_s, times.verify_s
    row: Row = ((f"{times.name:>3} ", "muted"),)
    if draft is None or verify is None:
        filled = cells_filled(step, longest, room)
        texts = f"{step * 1000:7.1f} ms, parts not measured here"
        return (*row, ("░" * filled, "muted"), (" " * (room - filled), "text"), (texts, "muted"))
    # In a damaged trace the parts may be longer than the whole, or negative.
    parts = (max(0.0, draft), max(0.0, verify), max(0.0, step - draft - verify))
    ends = [cells_filled(sum(parts[: n + 1]), longest, room) for n in range(3)]
    for (_, style, sign), start, end in zip(PARTS, (0, *ends), ends, strict=False):
        row += ((sign * (end - start), style),)
    row += ((" " * (room - ends[-1]), "text"), (f"{step * 1000:7.1f} ms", "text"))
    return (*row, ("  = " + " + ".join(f"{part * 1000:.1f}" for part in parts), "muted"))
