"""Throughput over K: measured points, the cost model's estimates as a curve, AR as a horizontal line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spectui.protocol.events import KFigure
from spectui.ui.paint.plot import Axis, Curve, Label, Plot, nice_ceiling, plot_rows
from spectui.ui.paint.rows import Row, fit

CHART_ROWS = 10
_MEASURED = "●"
_LEAST_CELLS, _MOST_CELLS = 40, 110
_MOST_TICKS = 16
_LEAST_TOP = 1.0
_GRAIN = 256
"""Steps of the axis to which figures are rounded, finer than its dots: a figure that settles causes no redrawing."""


@dataclass(frozen=True, slots=True)
class KCurve:
    """One lane: the label at the end of its curve, its style, and what is known of each K."""

    label: str
    style: str
    figures: Sequence[KFigure]


def k_rows(curves: Sequence[KCurve], ar_tok_s: float | None, ar_style: str, width: int) -> list[Row]:
    """A heading and the chart; empty if no lane has two known K, or there is too little room.

    Args:
        curves: The lanes that draft.
        ar_tok_s: AR's throughput, None if it is not known.
        ar_style: AR's style.
        width: Cells.
    """
    if width < _LEAST_CELLS or not any(sum(map(_known, curve.figures)) > 1 for curve in curves):
        return []
    telling = [curve for curve in curves if any(map(_known, curve.figures))]
    values = [v for curve in telling for f in curve.figures for v in (f.tok_s, f.estimate_tok_s) if v is not None]
    values += [] if ar_tok_s is None else [ar_tok_s]
    top = nice_ceiling(max(values), _LEAST_TOP)
    low = top / 2 if min(values) >= top / 2 else 0.0
    most = max(figure.k for curve in telling for figure in curve.figures)
    high = most + max(0.25, most / 20)
    drawn, labels = list[Curve](), list[Label]()
    if ar_tok_s is not None:
        level = _rounded(ar_tok_s, top)
        drawn.append(Curve(((0.0, level), (high, level)), ar_style))
        labels.append(Label("AR", high, level, ar_style))
    for curve in telling:
        estimates = [(f.k, _rounded(f.estimate_tok_s, top)) for f in curve.figures if f.estimate_tok_s is not None]
        measured = [(f.k, _rounded(f.tok_s, top)) for f in curve.figures if f.tok_s is not None]
        drawn.append(Curve(tuple(estimates), curve.style))
        drawn.append(Curve(tuple(measured), curve.style, _MEASURED))
        k, tok_s = max(estimates + measured)
        labels.append(Label(curve.label, k + most / 40, tok_s, curve.style))
    step = 1 + most // _MOST_TICKS
    k_axis = Axis(0.0, high, tuple((k, str(k)) for k in range(0, most + 1, step)))
    rate_axis = Axis(low, top, tuple((tok_s, f"{tok_s:g}") for tok_s in (low, (low + top) / 2, top)))
    plot = Plot(tuple(drawn), tuple(labels), k_axis, rate_axis)
    heading: Row = (("tok/s over K", "strong"), (f"   {_MEASURED} measured   ━ est. by the cost model", "muted"))
    return [fit(heading, width), *plot_rows(plot, min(width, _MOST_CELLS), CHART_ROWS)]


def _known(figure: KFigure) -> bool:
    return figure.tok_s is not None or figure.estimate_tok_s is not None


def _rounded(value: float, top: float) -> float:
    return round(min(max(value / top, 0.0), 1.0) * _GRAIN) / _GRAIN * top
