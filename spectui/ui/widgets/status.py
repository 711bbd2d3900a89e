"""The line on top of the screen, and what is said when the terminal is too small for any screen."""

from __future__ import annotations

from typing import Any

from spectui.core.views import RunView
from spectui.ui.canvas import Canvas
from spectui.ui.cells import clip, safe
from spectui.ui.rows import EMPTY, Row, Span, row_width, spread

MIN_WIDTH, MIN_HEIGHT = 40, 10


class StatusLine(Canvas):
    """One row."""

    DEFAULT_CSS = "StatusLine { height: 1; }"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._run: RunView | None = None
        self._lag_ms: float | None = None
        self._dropped = 0

    def show(self, run: RunView, lag_ms: float | None = None, dropped: int = 0) -> bool:
        """Show ``run``; True when there is something to paint.

        ``lag_ms`` is how late the event loop runs, None when not measured; ``dropped`` counts events that the screen
        never saw.
        """
        self._run, self._lag_ms, self._dropped = run, lag_ms, dropped
        return self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        return [] if self._run is None else status_rows(self._run, width, height, self._lag_ms, self._dropped)


def status_rows(run: RunView, width: int, height: int, lag_ms: float | None = None, dropped: int = 0) -> list[Row]:
    """One row: the run on the left, the moment on the right; what matters least goes first when room is short."""
    if height < 1:
        return []
    left: list[Span] = [("SpecTUI", "title")]
    if run.target:
        left.append((safe(run.target), "strong"))
    if run.synthetic:
        left.append(("synthetic", "warn"))
    if run.prompts:
        prompt = run.prompts[0]
        left.append((f"{safe(prompt.category)} {prompt.index + 1}/{prompt.count}", "text"))
    greedy = run.sampling.temperature <= 0
    left.append(("greedy" if greedy else f"T={run.sampling.temperature:g}", "muted"))
    if run.prompts:
        count = len(run.prompts)
        left.append((f"{count} request{'s' if count > 1 else ''}", "muted"))
    right: list[Span] = []
    if run.paused:
        right.append(("paused", "warn"))
    lost = run.lost + dropped
    if lost:
        right.append((f"{lost} events lost", "warn"))
    right.append((f"lane time {run.lane_time_s:.2f} s", "text"))
    right.append((f"lag {'—' if lag_ms is None else f'{lag_ms:.1f}'} ms", "muted"))
    while len(left) > 1 and _width(left) + _width(right) + 1 > width:
        left.pop()
    while len(right) > 1 and _width(left) + _width(right) + 1 > width:
        right.pop()
    row = spread(_joined(left), _joined(right), width)
    return [row] if not run.notice or height < 2 else [row, ((clip(safe(run.notice), width), "warn"),)]


def _joined(spans: list[Span]) -> Row:
    row: list[Span] = []
    for text, style in spans:
        row += [("   ", "text"), (text, style)] if row else [(text, style)]
    return tuple(row)


def _width(spans: list[Span]) -> int:
    return row_width(_joined(spans))


def too_small_rows(width: int, height: int) -> list[Row]:
    """What is shown below `MIN_WIDTH` x `MIN_HEIGHT`."""
    lines = ("SpecTUI needs more room:", f"{MIN_WIDTH}x{MIN_HEIGHT} cells, this is {width}x{height}.")
    above = max(0, (height - len(lines)) // 2)
    return [*[EMPTY] * above, *[((clip(line, width), "warn"),) for line in lines]][:height]


class TooSmall(Canvas):
    """Fills a terminal that is too small for the screen."""

    def rows(self, width: int, height: int) -> list[Row]:
        return too_small_rows(width, height)
