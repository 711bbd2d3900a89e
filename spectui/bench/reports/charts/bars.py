"""Charts of bars that lie: there is room for a name before each of them and for its figures behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spectui.bench.reports.charts.canvas import WIDTH, Canvas, Look, text_width, ticks

_BAR, _STEP, _GROUP, _TOP = 15.0, 21.0, 30.0, 66.0
_MOST_NAME = 230.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: parts one behind the other, an interval across its end, and a text behind it.

    Attributes:
        name: What it is.
        look: The lane's look.
        parts: How long the parts are; the first is the strongest.
        said: Its figures.
        low: The lower end of its interval.
        high: The upper end of it.
    """

    name: str
    look: Look
    parts: tuple[float, ...]
    said: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Bars under a heading."""

    name: str
    bars: tuple[Bar, ...]


SHARES = (1.0, 0.55, 0.25)
"""How strongly the parts of a bar are coloured."""


def bars(
    name: str,
    title: str,
    about: str,
    groups: Sequence[Group],
    *,
    unit: str,
    mark: float | None = None,
    marked: str = "",
) -> str:
    """Draw groups of bars.

    Args:
        name: The chart's name.
        title: The line above it.
        about: The line below that.
        groups: The bars.
        unit: What follows the numbers of the axis.
        mark: Where a strong line stands, such as 1 for a speed-up.
        marked: What that line is.
    """
    every = [bar for group in groups for bar in group.bars]
    left = min(_MOST_NAME, max((text_width(bar.name) for bar in every), default=0.0)) + 28
    right = max((text_width(bar.said) for bar in every), default=0.0) + 24
    longest = max([sum(bar.parts) for bar in every] + ([mark] if mark is not None else []), default=1.0)
    # A wide interval must not press the bars against the edge.
    most = min(max([longest, *(bar.high for bar in every if bar.high is not None)]), longest * 1.35) * 1.02 or 1.0
    scale = (WIDTH - left - right) / most
    canvas = Canvas(name, title, about)
    top = _TOP + (14 if mark is not None else 0)
    height = top + sum(_GROUP + len(group.bars) * _STEP for group in groups)
    for tick in ticks(most):
        canvas.line(left + tick * scale, top, left + tick * scale, height)
        canvas.text(left + tick * scale, height + 16, f"{tick:.10g}{unit}", anchor="middle", size=11, soft=True)
    y = top
    for group in groups:
        canvas.text(16, y + 19, group.name, bold=True, width=WIDTH - 32, halo=True)
        y += _GROUP
        for bar in group.bars:
            _bar(canvas, bar, left, y, scale, most)
            y += _STEP
    if mark is not None:
        canvas.line(left + mark * scale, top, left + mark * scale, height, strong=True, width=1.5)
        canvas.text(left + mark * scale, top - 5, marked, anchor="middle", size=11)
    return canvas.svg(height + 28)


def _bar(canvas: Canvas, bar: Bar, left: float, y: float, scale: float, most: float) -> None:
    canvas.text(left - 8, y + 12, bar.name, anchor="end", width=left - 24)
    x = left
    for part, share in zip(bar.parts, SHARES, strict=False):
        canvas.bar(x, y, part * scale, _BAR, bar.look, share=share)
        x += part * scale
    if bar.low is not None and bar.high is not None:
        low, high = max(0.0, bar.low), min(most, bar.high)
        canvas.whisker(
            left + low * scale, left + high * scale, y + _BAR / 2, cut_low=bar.low < 0, cut_high=bar.high > most
        )
    canvas.text(WIDTH - 16, y + 12, bar.said, anchor="end")
