"""Formats a benchmark: how far it is, a table for each number of requests in flight that fills, and what it found."""

from __future__ import annotations

from collections.abc import Iterator

from spectui.core.bench.table import finding, lane_name
from spectui.protocol.benching import BenchEnded, BenchTurn
from spectui.ui.paint.cells import safe
from spectui.ui.paint.rows import EMPTY, Row, cells_filled, fit, row_width, spread
from spectui.ui.paint.wrapping import wrap
from spectui.ui.widgets.bench_table import DISTURBED, Face, Faces, table_rows
from spectui.ui.widgets.pane_head import UNLIKE


def bench_rows(state: BenchTurn | BenchEnded, faces: Faces, width: int, stale: bool = False) -> list[Row]:
    """Format everything about one benchmark.

    Args:
        state: How far it is, or its result.
        faces: How the lanes look, by name.
        width: Width in cells.
        stale: Whether it makes no progress.
    """
    turn = state.last if isinstance(state, BenchEnded) else state
    rows = [
        *_head(turn, width),
        *(_result(state, width) if isinstance(state, BenchEnded) else _now(turn, stale, width)),
    ]
    for concurrency in turn.concurrencies:
        rows += table_rows(turn, concurrency, faces, width, over=isinstance(state, BenchEnded))
    if isinstance(state, BenchTurn) and (found := [*_findings(turn)]):
        rows += [EMPTY, *(row for said in found for row in _sentence(f"so far, {said}", "text", width))]
    rows += [EMPTY, *_notes(turn, faces, width)]
    if isinstance(state, BenchEnded) and state.command:
        said = "to measure this with longer answers and write a report, run:"
        rows += [EMPTY, *_sentence(said, "muted", width), *_sentence(state.command, "text", width)]
    return [fit(row, width) if row_width(row) > width else row for row in rows]


def time_text(seconds: float) -> str:
    """``0:42``, ``12:05`` or ``1:02:03``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _sentence(text: str, style: str, width: int) -> list[Row]:
    return [((line, style),) for line in wrap(safe(text), width)]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _cells_done(turn: BenchTurn) -> str:
    done = sum(cell.category is not None and cell.repetitions >= turn.repetitions for cell in turn.cells)
    return f"{done} of {_cells(turn)}"


def _cells(turn: BenchTurn) -> str:
    return _counted(len(turn.lanes) * len(turn.categories) * len(turn.concurrencies), "cell")


def _head(turn: BenchTurn, width: int) -> list[Row]:
    requests = " and ".join(map(str, turn.concurrencies))
    flight = f"{requests} request{'' if turn.concurrencies == (1,) else 's'} in flight"
    said = f"{flight}   {turn.tokens} tokens per answer   {_counted(turn.repetitions, 'repetition')}"
    left = f"   about {time_text(turn.left_s)} left" if turn.left_s is not None and turn.place is not None else ""
    right: Row = ((time_text(turn.spent_s), "text"), (left, "muted"))
    if len(said) + row_width(right) + 2 > width:
        return [((said, "muted"),), right]
    return [spread(((said, "muted"),), right, width)]


def _now(turn: BenchTurn, stale: bool, width: int) -> list[Row]:
    """The progress, and what is being measured."""
    share = turn.pieces / turn.of_pieces if turn.of_pieces > 0 else 0.0
    said = f"  {share * 100:3.0f} %   {_cells_done(turn)}"
    room = max(4, width - len(said))
    filled = cells_filled(share, 1.0, room)
    bar: Row = (("━" * filled, "accent"), ("─" * (room - filled), "faint"), (said, "text"))
    place = turn.place
    lane = next((one for one in turn.lanes if place is not None and one.lane == place.lane), None)
    if place is None or lane is None:
        return [bar, *_sentence("paused" if stale else "measuring", "text", width)]
    doing = f"{'paused while ' if stale else ''}{'measuring' if place.repetition else 'warming up'}"
    which = f", repetition {place.repetition} of {turn.repetitions}" if place.repetition else ", which does not count"
    again = "; once more, because other programs disturbed it" if place.again else ""
    return [bar, *_sentence(f"{doing} {lane_name(lane)} on {place.category}{which}{again}", "text", width)]


def _result(ended: BenchEnded, width: int) -> list[Row]:
    """The finding, and how the benchmark ended."""
    rows = [row for said in _findings(ended.last) for row in _sentence(said, "good", width)]
    kept = "what was measured is kept" if rows else "nothing was measured"
    how, style = {
        "done": (f"measured: {_cells(ended.last)}", "muted"),
        "cancelled": (f"stopped after {_cells_done(ended.last)}; {kept}", "warn"),
        "failed": (f"{ended.fault or 'a lane has failed'}, after {_cells_done(ended.last)}; {kept}", "bad"),
    }[ended.why]
    return [*rows, *_sentence(how, style, width)]


def _findings(turn: BenchTurn) -> Iterator[str]:
    """What was found, for each number of requests in flight."""
    for concurrency in turn.concurrencies:
        if said := finding(turn, concurrency):
            yield said + (f" with {_counted(concurrency, 'request')} in flight" if len(turn.concurrencies) > 1 else "")


def _notes(turn: BenchTurn, faces: Faces, width: int) -> Iterator[Row]:
    compared = any(lane.plain for lane in turn.lanes)
    said = "every lane answers the same prompts in turn"
    if compared:
        said += "; speed-up over AR: geometric mean of repetitions, with 95 % interval"
    yield from _sentence(said, "muted", width)
    if turn.left_out:
        yield from _sentence(turn.left_out, "muted", width)
    for lane in turn.lanes:
        if unlike := faces.get(lane.lane, Face("")).unlike:
            yield from _sentence(f"{UNLIKE} {lane_name(lane)} {unlike}", "warn", width)
    held_up = max((cell.disturbed for cell in turn.cells if cell.category is None), default=0)
    if held_up:
        held = _counted(held_up, "repetition")
        said = f"{DISTURBED} other programs disturbed up to {held} of a lane, which are included"
        yield from _sentence(said, "warn", width)
