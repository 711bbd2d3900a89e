"""The line at the top of the screen, and the message for a terminal that is too small."""

from __future__ import annotations

from typing import Any

from spectui.core.views import RunView
from spectui.figures import number_text
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.cells import clip, safe
from spectui.ui.paint.rows import EMPTY, Row, Span, row_width, spread
from spectui.ui.widgets.attached_status import Item, attached_left, attached_right

MIN_WIDTH, MIN_HEIGHT = 40, 10

ROOMY = 80
"""From this many cells on, the line has room for more than bare figures."""


SPACIOUS = 150
"""From this many cells on, it has room for words instead of abbreviations."""


class StatusLine(Canvas):
    """One row."""

    DEFAULT_CSS = "StatusLine { height: 1; }"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._run: RunView | None = None
        self._lag_ms: float | None = None
        self._dropped = 0

    def show(self, run: RunView, lag_ms: float | None = None, dropped: int = 0) -> None:
        """Show ``run``.

        ``lag_ms`` is how late the event loop runs, None if not measured; ``dropped`` counts events that the screen
        never saw.
        """
        self._run, self._lag_ms, self._dropped = run, lag_ms, dropped
        self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        return [] if self._run is None else status_rows(self._run, width, height, self._lag_ms, self._dropped)


def status_rows(run: RunView, width: int, height: int, lag_ms: float | None = None, dropped: int = 0) -> list[Row]:
    """One row: the run on the left, the moment on the right; if room is short, the least important item goes first."""
    if height < 1:
        return []
    left, right = _left(run, width), _right(run, width, lag_ms, dropped)
    if run.attached is not None:
        left, right = attached_left(run, run.attached), attached_right(run, run.attached, dropped)
    while len(left) + len(right) > 1 and _width(left) + _width(right) + 1 > width:
        least = max([*left, *right])
        (left if least in left else right).remove(least)
    return [spread(_joined(left), _joined(right), width)]


def _left(run: RunView, width: int) -> list[Item]:
    items: list[Item] = [(0, ("SpecTUI", "title"))]
    if run.target:
        items.append((5, (safe(run.target), "strong")))
    if run.synthetic:
        items.append((3, ("synthetic", "warn")))
    if run.prompts:
        prompt = run.prompts[0]
        items.append((6, (f"{safe(prompt.category)} {prompt.index + 1}/{prompt.count}", "text")))
        # Prompts with fewer turns sit out the later ones.
        furthest = max(run.prompts, key=lambda prompt: (prompt.turn, prompt.turns))
        if furthest.turns > 1:
            items.append((6, (f"turn {furthest.turn + 1}/{furthest.turns}", "text")))
    if run.parent is not None:
        items.append((6, ("fork", "accent")))
    items.append((8, (_sampling(run), "muted")))
    if count := len(run.prompts):
        items.append((10, (f"{count} request{'s' if count > 1 else ''}", "muted")))
    if any(lane.engine is not None and lane.engine.scheduling == "synchronous" for lane in run.lanes):
        # Said once: a lane that is scheduled in another way is marked as not comparable.
        items.append((11, ("synchronous scheduling" if width >= SPACIOUS else "sync", "muted")))
    return items


def _sampling(run: RunView) -> str:
    sampling = run.sampling
    if sampling.temperature <= 0:
        return "greedy"
    top_p = f" top-p {sampling.top_p:g}" if sampling.top_p < 1 else ""
    return f"T={sampling.temperature:g}{top_p}" + (f" top-k {sampling.top_k}" if sampling.top_k else "")


def _right(run: RunView, width: int, lag_ms: float | None, dropped: int) -> list[Item]:
    items: list[Item] = []
    if run.paused:
        items.append((2, ("paused", "warn")))
    if run.disturbance is not None:
        share = f"{run.disturbance.share * 100:.0f} %"
        items.append((1, (f"disturbed: {share} of steps" if width >= ROOMY else f"disturbed {share}", "bad")))
        if run.disturbance.cause:
            items.append((7, (run.disturbance.cause, "warn")))
    if lost := run.lost + dropped:
        items.append((1, (f"{lost} events lost", "warn")))
    if run.recording is not None:
        items.append((1, ("REC", "bad")))
    items.append((4, (f"lane time {run.lane_time_s:.2f} s", "text")))
    if run.playhead is None or lag_ms is not None:
        items.append((9, (f"lag {number_text(lag_ms, form='.1f')} ms", "muted")))
    return items


def _joined(items: list[Item]) -> Row:
    row: list[Span] = []
    for _, span in items:
        row += [("   ", "text"), span] if row else [span]
    return tuple(row)


def _width(items: list[Item]) -> int:
    return row_width(_joined(items))


def too_small_rows(width: int, height: int) -> list[Row]:
    """What is shown on a terminal smaller than `MIN_WIDTH` x `MIN_HEIGHT`."""
    lines = ("SpecTUI needs more room:", f"{MIN_WIDTH}x{MIN_HEIGHT} cells, this is {width}x{height}.")
    above = max(0, (height - len(lines)) // 2)
    return [*[EMPTY] * above, *[((clip(line, width), "warn"),) for line in lines]][:height]


class TooSmall(Canvas):
    """Fills a terminal that is too small for the screen."""

    def rows(self, width: int, height: int) -> list[Row]:
        return too_small_rows(width, height)
