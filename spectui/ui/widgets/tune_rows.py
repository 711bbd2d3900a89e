"""Formats a search for the best K: throughput of every K with its interval, and where a step's time goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spectui.core.disturbance import DOUBTFUL
from spectui.core.estimate_notes import estimate_notes
from spectui.core.tuner import disturbed_part, verdict
from spectui.figures import DASH, number_text
from spectui.protocol.events import KFigure, TuneEnded, TuneTurn
from spectui.ui.paint.cells import safe
from spectui.ui.paint.rows import EMPTY, Row, cells_filled, fit, row_width, spread
from spectui.ui.paint.wrapping import wrap
from spectui.ui.widgets.k_chart import KCurve, k_rows
from spectui.ui.widgets.pane_head import UNLIKE
from spectui.ui.widgets.time_bars import StepTimes, time_rows

_ESTIMATE = "┃"
_CELLS = {"over K=0": 8, "95 %": 16, "over AR": 7, "length": 6, "est.": 7}
COLUMNS = tuple(_CELLS)
_LEAST_BAR = 12


def tune_rows(
    title: str, style: str, tuning: TuneTurn | TuneEnded, width: int, stale: bool = False, unlike: str = ""
) -> list[Row]:
    """Format everything about one search.

    Args:
        title: The lane's heading.
        style: The lane's style.
        tuning: The state of the search, or its result.
        width: Width in cells.
        stale: Whether the search is not making progress.
        unlike: How the lane's engine differs from AR's, as `not_comparable` says it; empty if it does not.
    """
    turn = tuning.last if isinstance(tuning, TuneEnded) else tuning
    requests = f"{turn.requests} request{'s' if turn.requests > 1 else ''} in flight"
    spent = f"turn {turn.turn}   {turn.spent_s:.0f} s of at most {turn.budget_s:.0f} s"
    name: Row = ((safe(title), f"{style}.title"), (f"   {requests}", "muted"))
    crowded = row_width(name) + len(spent) + 2 > width
    rows: list[Row] = [
        *([fit(name, width), ((spent, "muted"),)] if crowded else [spread(name, ((spent, "muted"),), width)]),
        EMPTY,
        *throughput_rows(turn.figures, turn.best, style, width),
        *note_rows(turn.figures, width),
        *(((line, "warn"),) for line in wrap(against_ar(unlike), width)),
        EMPTY,
        *time_rows(step_times(turn.figures), width),
        EMPTY,
    ]
    drawn = k_rows([KCurve("", style, turn.figures)], turn.ar_tok_s, "text", width)
    chart = [EMPTY, *drawn] if drawn else []
    if isinstance(tuning, TuneEnded):
        return [*rows, *_result(tuning, width), *chart]
    left = "paused" if stale else "measuring"
    running = ", ".join(map(str, turn.running))
    rows += [((line, "text"),) for line in wrap(f"{left}; still in the running: K = {running}", width)]
    if turn.disturbed >= DOUBTFUL:
        rows += [((line, "warn"),) for line in wrap(disturbed_part(turn), width)]
    return [*rows, *chart]


def against_ar(unlike: str) -> str:
    """What a difference from AR's engine means for the comparison; empty if there is none."""
    return f"{UNLIKE} over AR: the lane {unlike}" if unlike else ""


def step_times(figures: Iterable[KFigure]) -> list[StepTimes]:
    """Return the bars of every K that was measured."""
    return [
        StepTimes(str(figure.k), figure.draft_s, figure.verify_s, figure.step_s)
        for figure in figures
        if figure.step_s is not None
    ]


def throughput_rows(
    figures: Sequence[KFigure], best: int | None, style: str, width: int, names: Sequence[str] = COLUMNS
) -> list[Row]:
    """Format a throughput bar for each K, scaled to the fastest, with a mark at the cost model's estimate.

    Args:
        figures: The figures of every K.
        best: The K to point at; None for none.
        style: The lane's style.
        width: Width in cells.
        names: Columns after the bars; the first ones are dropped if there is no room.
    """
    columns = [(name, _CELLS[name]) for name in names]
    while columns and width - 4 - 8 - sum(w + 2 for _, w in columns) < _LEAST_BAR:
        columns.pop(0)
    bar = max(4, width - 4 - 8 - sum(w + 2 for _, w in columns))
    top = max((f for k in figures for f in (k.tok_s, k.estimate_tok_s) if f is not None), default=1.0)
    head: Row = ((" K  ", "muted"), (f"{'tok/s, ' + _ESTIMATE + ' estimated':<{bar + 8}}", "muted"))
    rows: list[Row] = [head + tuple((f"  {name:>{cells}}", "muted") for name, cells in columns)]
    for figure in figures:
        named = "strong" if figure.k == best else "text" if figure.running else "faint"
        row: Row = ((f"{figure.k:>2}{'▸' if figure.k == best else ' '} ", named),)
        row += _bar(figure, style if figure.running else "faint", bar, top)
        row += ((f"{number_text(figure.tok_s, form='.1f'):>8}", named),)
        texts = _texts(figure)
        rows.append(row + tuple((f"  {texts[name]:>{cells}}", "muted") for name, cells in columns))
    return rows


def note_rows(figures: Sequence[KFigure], width: int) -> list[Row]:
    """Say what the estimates are based on."""
    return [((line, "muted"),) for note in estimate_notes(figures) for line in wrap(safe(note), width)]


def _bar(figure: KFigure, style: str, cells: int, top: float) -> Row:
    filled = 0 if figure.tok_s is None else max(1, cells_filled(figure.tok_s, top, cells))
    track = "━" * filled + "─" * (cells - filled)
    if figure.estimate_tok_s is None:
        return ((track[:filled], style), (track[filled:], "faint"))
    mark = max(0, cells_filled(figure.estimate_tok_s, top, cells) - 1)
    before, after = track[:mark], track[mark + 1 :]
    split = max(0, filled - mark - 1)
    return (
        (before[:filled], style),
        (before[filled:], "faint"),
        (_ESTIMATE, "warn"),
        (after[:split], style),
        (after[split:], "faint"),
    )


def _texts(figure: KFigure) -> dict[str, str]:
    interval = DASH if figure.low is None or figure.high is None else f"{figure.low:.1f} to {figure.high:.1f}"
    return {
        "95 %": interval,
        "over AR": number_text(figure.over_ar, form=".2f"),
        "over K=0": number_text(figure.speed_up, form=".2f"),
        "length": number_text(figure.length, form=".2f"),
        "est.": number_text(figure.estimate_tok_s, form=".1f"),
    }


def _result(ended: TuneEnded, width: int) -> list[Row]:
    if ended.fault:
        return [((line, "warn"),) for line in wrap(safe(ended.fault), width)]
    said, how = verdict(ended.why, ended.last)
    if not ended.last.turn:
        return [((line, "warn"),) for line in wrap(said, width)]
    rows: list[Row] = [((said, "good"), (how, "text"))]
    if row_width(rows[0]) > width:
        rows = [((line, "good"),) for line in wrap(f"{said}{how}", width)]
    pasted = (line for part in ended.serve.splitlines() for line in wrap(safe(part), width))
    return [*rows, EMPTY, *(((line, "text"),) for line in pasted)]
