"""Formats where each lane's time goes, K by K, and the estimates of the cost model."""

from __future__ import annotations

from collections.abc import Sequence

from spectui.core.step_costs import pays_at
from spectui.core.views import LaneView
from spectui.ui.paint.cells import safe
from spectui.ui.paint.rows import EMPTY, Row
from spectui.ui.paint.wrapping import wrap
from spectui.ui.theme.palette import lane_style
from spectui.ui.widgets.k_chart import KCurve, k_rows
from spectui.ui.widgets.time_bars import time_rows
from spectui.ui.widgets.trouble_rows import trouble_rows
from spectui.ui.widgets.tune_rows import note_rows, step_times, throughput_rows

MISSING = "partial: steps were lost"
"""Shown above figures that cover only the steps that were seen."""

_WIDE = 100


def cost_rows(lanes: Sequence[LaneView], width: int, *, served: bool = False) -> list[Row]:
    """Format what may be wrong, and every lane that has taken a step: throughput and step time at each K with the
    requests now in flight; over servers, whose load changes (``served``), with as many as there were most often.

    The chart of all lanes comes first on a wide screen, and last if it would push the rest out of sight.
    """
    wrong = trouble_rows(lanes, width)
    plain = next((lane for lane in lanes if lane.info.method == "ar"), None)
    rows, curves = list[Row](), list[KCurve]()
    ar: tuple[float | None, str] = (None, "text")
    for place, lane in enumerate(lanes):
        batch = lane.costs.usual_batch if served else max(1, lane.requests)
        figures = lane.costs.figures(lane.info.k_max, batch)
        if all(figure.step_s is None for figure in figures):
            continue
        if lane.info.k_max:
            curves.append(KCurve(str(place + 1), lane_style(place), figures))
        elif lane is plain:
            ar = (figures[0].tok_s, lane_style(place))
        requests = f"{batch} request{'s' if batch > 1 else ''} in flight{', the usual load' if served else ''}"
        rows += [
            ((safe(lane.info.title), lane_style(place, title=True)), (f"   {requests}", "muted")),
            *([((MISSING, "warn"),)] if lane.lost_before else []),
            EMPTY,
            *throughput_rows(figures, lane.k if lane.info.k_max else None, lane_style(place), width, _names(lane)),
            *(note_rows(figures, width) if lane.info.k_max else ()),
            *time_rows(step_times(figures), width),
        ]
        if plain is not None and lane.info.k_max:
            rows += [((line, "muted"),) for line in wrap(_crossover(lane, plain), width)]
        rows.append(EMPTY)
    chart = k_rows(curves, *ar, width)
    if chart and width >= _WIDE:
        return [*wrong, *chart, EMPTY, *rows]
    return [*wrong, *rows, *chart] or [(("no steps yet", "muted"),)]


def _names(lane: LaneView) -> tuple[str, ...]:
    return ("length", "est.") if lane.info.k_max else ()


def _crossover(lane: LaneView, plain: LaneView) -> str:
    if not lane.k:
        return "K = 0: nothing is drafted."
    known, found = pays_at(lane.costs, lane.k, plain.costs)
    if found is None:
        another = "another number" if not known else "more numbers"
        return f"Race at {another} of requests ([ ]) to estimate where K = {lane.k} stops paying."
    if found.crossing is None:
        ahead, behind = (f"K = {lane.k}", "AR") if found.first else ("AR", f"K = {lane.k}")
        return (
            f"est.: {ahead} is faster than {behind} from {found.least} to {found.most} requests in flight; there is "
            "no estimate beyond that."
        )
    if found.first:
        return f"est.: K = {lane.k} pays up to {found.crossing:.0f} requests in flight; beyond that AR is faster."
    return f"est.: K = {lane.k} pays from {found.crossing:.0f} requests in flight; below that AR is faster."
