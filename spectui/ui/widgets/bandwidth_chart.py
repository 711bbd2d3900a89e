"""Memory bandwidth over time, below its peak."""

from __future__ import annotations

from itertools import groupby

from spectui.core.machine import MachineView
from spectui.figures import rate_text
from spectui.ui.paint.plot import Axis, Curve, Label, Plot, Points, nice_ceiling, plot_rows
from spectui.ui.paint.rows import Row

STRETCH_S = 1
"""Shortest stretch in seconds that a point averages: the chart is redrawn once a second, not with each sample."""

_LEAST_TOP = 1e6
_LEAST_SPAN_S = 10
_STYLE, _PEAK_STYLE = "accent", "muted"


def bandwidth_rows(machine: MachineView, width: int, height: int) -> list[Row]:
    """Means over equal stretches of time, newest on the right; the line has a gap where nothing is known."""
    means = _means(machine, width)
    known = [mean for _, mean in means if mean is not None]
    if not known:
        return []
    newest = means[-1][0]
    top = nice_ceiling(max(machine.peak or 0.0, *known), _LEAST_TOP)
    span = nice_ceiling(newest - means[0][0], _LEAST_SPAN_S)
    curves = [Curve(points, _STYLE) for points in _unbroken([(at - newest, mean) for at, mean in means])]
    labels = list[Label]()
    if machine.peak:
        curves.insert(0, Curve(((-span, machine.peak), (0.0, machine.peak)), _PEAK_STYLE))
        labels.append(Label("peak ", -span * (1 - 4 / width), machine.peak, _PEAK_STYLE))
    time = Axis(-span, 0.0, ((-span, f"{span:g} s ago"), (-span / 2, f"{span / 2:g} s"), (0.0, "now")))
    rate = Axis(0.0, top, ((0.0, "0"), (top / 2, rate_text(top / 2)), (top, rate_text(top))))
    return plot_rows(Plot(tuple(curves), tuple(labels), time, rate), width, height)


def _means(machine: MachineView, most: int) -> list[tuple[float, float | None]]:
    """Pairs of (seconds, mean of the stretch that ends there), at most ``most``; an unfinished stretch waits for its
    end."""
    samples = [(sample.at_ns / 1e9, value) for sample, value in zip(machine.past, machine.bandwidth, strict=True)]
    stretch = STRETCH_S
    while samples and samples[-1][0] - samples[0][0] > most * stretch:
        stretch *= 2
    means: list[tuple[float, float | None]] = []
    for number, group in groupby(samples, key=lambda one: one[0] // stretch):
        known = [value for _, value in group if value is not None]
        # Divided before they are added: the sum of what a damaged trace says may be beyond any number.
        means.append((number * stretch, sum(value / len(known) for value in known) if known else None))
    return means[:-1] if len(means) > 1 else means


def _unbroken(means: list[tuple[float, float | None]]) -> list[Points]:
    """The runs of known points between unknown ones."""
    runs = (list(run) for unknown, run in groupby(means, key=lambda one: one[1] is None) if not unknown)
    return [tuple((at, mean) for at, mean in run if mean is not None) for run in runs]
