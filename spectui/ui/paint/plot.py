"""Curves and points on axes, drawn by plotext: shared by all charts with axes.

plotext keeps one figure for the whole process and answers in escape sequences. That takes milliseconds, more than
anything else in a frame. So a plot is a value, and a plot that was drawn at a size is kept: an unchanged chart costs a
look-up.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from spectui.ui.paint.rows import Row, Span

KEPT = 8
"""Plots that are kept: more than are on the screen at once."""

LEAST_ROWS = 3
"""A plot with fewer rows says nothing."""

MOST = 1e15
"""Larger figures come from damaged traces; axes end here."""

Points: TypeAlias = tuple[tuple[float, float], ...]

_NICE = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)
_COLOUR = re.compile(r"\x1b\[([0-9;]*)m")
_AXIS_STYLE = "muted"


@dataclass(frozen=True, slots=True)
class Curve:
    """Points in ascending order of x, joined by a line, or each drawn as ``sign``."""

    points: Points
    style: str
    sign: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """Text beside a point."""

    text: str
    x: float
    y: float
    style: str


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis from ``low`` to ``high``, with a text at each of ``ticks``."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """What is drawn; later curves cover earlier ones, and labels cover all of them."""

    curves: tuple[Curve, ...]
    labels: tuple[Label, ...]
    x: Axis
    y: Axis


def nice_ceiling(value: float, least: float) -> float:
    """The next round figure above ``value``, so that an axis rarely changes and ends at a readable figure."""
    target = min(max(value, least), MOST)
    scale = 10.0 ** math.floor(math.log10(target))
    return next(step * scale for step in _NICE if step * scale >= target)


def plot_rows(plot: Plot, width: int, height: int) -> list[Row]:
    """The plot in ``height`` rows of ``width`` cells; empty if there is too little room."""
    return list(_drawn(plot, width, height)) if height >= LEAST_ROWS else []


@lru_cache(maxsize=KEPT)
def _drawn(plot: Plot, width: int, height: int) -> tuple[Row, ...]:
    import plotext  # type: ignore[import-untyped]  # costs 30 ms that the first frame does not have

    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.plot_size(width, height)
    plotext.theme("clear")
    plotext.frame(False)
    styles = list(dict.fromkeys([curve.style for curve in plot.curves] + [label.style for label in plot.labels]))
    for curve in plot.curves:
        if curve.points:
            xs, ys = zip(*((_within(x, plot.x), _within(y, plot.y)) for x, y in curve.points), strict=True)
            draw = plotext.scatter if curve.sign else plotext.plot
            draw(xs, ys, marker=curve.sign or "braille", color=_number(curve.style, styles))
    for label in plot.labels:
        at = _within(label.x, plot.x), _within(label.y, plot.y)
        plotext.text(label.text, *at, color=_number(label.style, styles))
    plotext.xlim(plot.x.low, plot.x.high)
    plotext.ylim(plot.y.low, plot.y.high)
    plotext.xticks(*_ticks(plot.x.ticks))
    plotext.yticks(*_ticks(plot.y.ticks))
    return tuple(_row(line, styles) for line in plotext.build().splitlines()[:height])


def _within(value: float, axis: Axis) -> float:
    return min(max(value, axis.low), axis.high)


def _ticks(ticks: Iterable[tuple[float, str]]) -> tuple[list[float], list[str]]:
    return [at for at, _ in ticks], [text for _, text in ticks]


def _number(style: str, styles: list[str]) -> int:
    """The colour that represents a style on its way through plotext."""
    return styles.index(style) + 1


def _row(line: str, styles: list[str]) -> Row:
    """Convert a line of plotext's colours into spans; text without a colour belongs to an axis."""
    spans: list[Span] = []
    style = _AXIS_STYLE
    for index, part in enumerate(_COLOUR.split(line)):
        if index % 2:
            colour = part.removeprefix("38;5;")
            style = styles[int(colour) - 1] if colour != part and colour.isdigit() else _AXIS_STYLE
        elif part:
            spans.append((part, style))
    return tuple(spans)
