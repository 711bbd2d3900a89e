"""What plotext draws, curves, points and labels on axes, kept while nothing changes; and the charts made of it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectui.core.machine import MachineView
from spectui.protocol.events import KFigure
from spectui.ui.paint import plot as plots
from spectui.ui.paint.plot import MOST, Axis, Curve, Label, Plot, nice_ceiling, plot_rows
from spectui.ui.paint.rows import Row, plain, row_width
from spectui.ui.widgets.bandwidth_chart import bandwidth_rows
from spectui.ui.widgets.k_chart import KCurve, k_rows
from spectui.ui.widgets.throughput_chart import throughput_rows
from tests.support.making_machines import sample
from tests.ui.test_widgets import AR, SERIES, race, with_series

X, Y = Axis(0, 10, ((0, "0"), (10, "10 s"))), Axis(0, 4, ((0, "0"), (4, "4")))
RISING = Curve(((0.0, 0.0), (10.0, 4.0)), "good")
POINT = Curve(((5.0, 2.0),), "warn", "●")


def texts(rows: Sequence[Row]) -> list[str]:
    return [plain(row).rstrip() for row in rows]


def drawn_anew() -> int:
    return plots._drawn.cache_info().misses


@pytest.mark.parametrize(("value", "top"), [(0, 10), (10, 10), (10.1, 15), (58, 60), (61, 80), (99, 100), (101, 150)])
def test_an_axis_ends_at_a_round_figure(value: float, top: float) -> None:
    assert nice_ceiling(value, 10) == top


def test_an_axis_of_a_damaged_trace_ends_too() -> None:
    assert nice_ceiling(float("inf"), 10) == MOST
    assert nice_ceiling(1e308, 10) == MOST


def test_curves_points_and_labels_stand_on_axes_in_their_styles() -> None:
    rows = plot_rows(Plot((RISING, POINT), (Label("end", 8, 4, "accent"),), X, Y), 40, 9)
    text = texts(rows)
    assert len(text) == 9
    assert all(row_width(row) <= 40 for row in rows)
    assert text[0].startswith("4")
    assert "end" in text[0]
    assert text[-1].split() == ["0", "10", "s"]
    (place,) = (y for y, line in enumerate(text) if "●" in line)
    assert place == 3
    assert 18 <= text[place].index("●") <= 22
    assert {style for row in rows for part, style in row if part.strip()} == {"muted", "good", "warn", "accent"}
    assert next(style for part, style in rows[place] if "●" in part) == "warn"


def test_too_little_room_is_no_plot() -> None:
    assert plot_rows(Plot((RISING,), (), X, Y), 40, 2) == []


def test_a_plot_is_drawn_again_only_when_it_changed() -> None:
    plots._drawn.cache_clear()
    plot = Plot((RISING,), (), X, Y)
    for one, width in ((plot, 40), (plot, 40), (dataclasses.replace(plot), 40), (plot, 41)):
        plot_rows(one, width, 9)
    assert drawn_anew() == 2
    plot_rows(dataclasses.replace(plot, curves=(RISING, POINT)), 40, 9)
    assert drawn_anew() == 3


def test_throughput_is_drawn_again_only_for_new_figures() -> None:
    plots._drawn.cache_clear()
    lane = with_series(race().lane(AR), SERIES[:20])
    drawn = []
    for series in (SERIES[:20], SERIES[:20], SERIES[:21], SERIES[:22]):
        throughput_rows([with_series(lane, series)], 40, 9)
        drawn.append(drawn_anew())
    assert drawn == [1, 1, 1, 2]


# Throughput over K


def figure(k: int, tok_s: float | None, estimate: float | None) -> KFigure:
    return KFigure(k, True, tok_s, None, None, None, None, (), None, None, None, estimate)


FIGURES = (figure(0, 30.0, 30.0), figure(1, None, 38.0), figure(2, 46.0, 45.0), figure(3, None, 42.0))


def chart(*curves: KCurve, ar: float | None = 35.0, width: int = 80) -> list[Row]:
    return k_rows(curves, ar, "lane.0", width)


def test_measured_points_lie_on_the_curve_of_the_cost_model() -> None:
    rows = chart(KCurve("2", "lane.1", FIGURES))
    text = texts(rows)
    assert text[0] == "tok/s over K   ● measured   ━ est. by the cost model"
    assert text[1].split()[0] == "60"
    assert text[-1].split() == ["0", "1", "2", "3"]
    points = {line.index("●", start) for line in text[1:] for start in range(len(line)) if "●" in line[start:]}
    ticks = [text[-1].index(str(k)) for k in range(4)]
    assert len(points) == 2
    assert all(min(abs(point - ticks[k]) for point in points) <= 1 for k in (0, 2))
    assert {"lane.0", "lane.1"} <= {style for row in rows for _, style in row}
    assert any(line.endswith("AR") for line in text)


def test_the_axis_begins_where_it_tells_most() -> None:
    low, high = figure(0, 34.0, None), figure(2, 46.0, None)
    assert texts(chart(KCurve("2", "lane.1", (low, high))))[-2].split()[0] == "30"
    assert texts(chart(KCurve("2", "lane.1", (low, high)), ar=20.0))[-2].split()[0] == "0"


def test_a_lane_of_one_k_is_a_point_beside_the_others() -> None:
    alone = KCurve("3", "lane.2", (figure(0, None, None), figure(5, 75.0, None)))
    rows = chart(KCurve("2", "lane.1", FIGURES), alone)
    assert sum("●" in part and style == "lane.2" for row in rows for part, style in row) == 1


def test_one_k_is_no_chart() -> None:
    assert chart(KCurve("2", "lane.1", FIGURES[:1])) == []
    assert chart(KCurve("2", "lane.1", (figure(0, None, None), figure(1, 20.0, None)))) == []
    assert chart() == []
    assert chart(KCurve("2", "lane.1", FIGURES), width=30) == []


def test_a_figure_that_settles_is_not_drawn_again() -> None:
    plots._drawn.cache_clear()
    for tok_s in (46.0, 46.02, 46.05):
        chart(KCurve("2", "lane.1", (*FIGURES[:2], figure(2, tok_s, 45.0))))
    assert drawn_anew() == 1


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.tuples(*[st.none() | st.floats(-1e308, 1e308)] * 2), min_size=1, max_size=6),
    ar=st.none() | st.floats(-1e308, 1e308),
    width=st.integers(5, 200),
)
def test_figures_of_a_damaged_trace_are_drawn(
    values: list[tuple[float | None, float | None]], ar: float | None, width: int
) -> None:
    rows = chart(KCurve("1", "lane.0", [figure(k, *two) for k, two in enumerate(values)]), ar=ar, width=width)
    assert all(row_width(row) <= width for row in rows)


# Bandwidth over time


def machine(values: Sequence[float | None], every_s: float = 0.2, peak: float | None = 16e9) -> MachineView:
    past = tuple(sample(at_s=number * every_s) for number in range(len(values)))
    return MachineView(past[-1], past, tuple(values), (peak,), False, False, (), len(past))


def bandwidth(values: Sequence[float | None], width: int = 60, **of: float | None) -> list[str]:
    return texts(bandwidth_rows(machine(values, **of), width, 8))  # type: ignore[arg-type]


def test_bandwidth_is_drawn_below_its_peak() -> None:
    text = bandwidth([8e9] * 150)
    assert text[0].startswith("20.0 GB/s")
    assert text[-1].split() == ["30", "s", "ago", "15", "s", "now"]
    peak = next(y for y, line in enumerate(text) if "peak" in line)
    line = next(y for y, line in enumerate(text) if y > peak and re.search("[⠁-⣿]", line))
    assert (peak, line) == (1, 4)


def test_what_is_not_known_is_a_gap_and_nothing_known_is_no_chart() -> None:
    whole = bandwidth([8e9] * 100, peak=None)
    gap = bandwidth([8e9] * 40 + [None] * 20 + [8e9] * 40, peak=None)
    cells = [len(re.findall("[⠁-⣿]", "".join(rows))) for rows in (whole, gap)]
    assert cells[0] - cells[1] == pytest.approx(cells[0] * 5 / 18, abs=2)
    assert bandwidth([None] * 20) == []
    assert bandwidth([5e9], peak=None)[0].startswith("6.00 GB/s")


def test_bandwidth_is_drawn_once_a_second() -> None:
    plots._drawn.cache_clear()
    for samples in range(51, 61):
        bandwidth([8e9] * samples)
    assert drawn_anew() == 2


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.none() | st.floats(-1e308, 1e308), min_size=1, max_size=20),
    every_s=st.floats(-1e9, 1e9),
    peak=st.none() | st.floats(0, 1e308),
    width=st.integers(20, 200),
)
def test_samples_of_a_damaged_trace_are_drawn(
    values: list[float | None], every_s: float, peak: float | None, width: int
) -> None:
    rows = bandwidth_rows(machine(values, every_s, peak), width, 8)
    assert all(row_width(row) <= width for row in rows)
