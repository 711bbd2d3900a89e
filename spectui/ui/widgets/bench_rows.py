"""Formats a benchmark: how far it is, a table for each number of requests in flight that fills, and what it found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from spectui.core.bench.table import finding, lane_name
from spectui.figures import DASH, ratio_text
from spectui.protocol.benching import BenchCell, BenchEnded, BenchLane, BenchTurn
from spectui.ui.paint.cells import clip, safe
from spectui.ui.paint.rows import EMPTY, Row, cells_filled, fit, row_width, spread
from spectui.ui.paint.wrapping import wrap
from spectui.ui.widgets.pane_head import UNLIKE

RUNNING = "▸"
ROOMY = 100
_GAP, _RATE, _RATIO, _INTERVAL, _LENGTH = 3, 7, 8, 10, 7
"""Cells of a column's parts, each with the blanks before it."""

_LEAST_BAR, _WIDE_BAR, _MOST_BAR = 4, 7, 30
_MOST_NAME = 20
_TO = "\N{EN DASH}"

Faces = Mapping[str, "Face"]


@dataclass(frozen=True, slots=True)
class Face:
    """How a lane looks: its style, and how its engine differs from AR's; empty if it does not."""

    style: str
    unlike: str = ""


@dataclass(frozen=True, slots=True)
class _Columns:
    """How the lanes of one table share the width."""

    name: int
    bar: int
    interval: bool
    length: bool

    def cells(self, lane: BenchLane) -> int:
        """Cells of a lane's column."""
        ratio = 0 if lane.plain else _RATIO + _INTERVAL * self.interval + _LENGTH * self.length
        return _GAP + self.bar + _RATE + ratio


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
        for lanes in _tables(turn, width):
            rows += [EMPTY, *_table(turn, lanes, concurrency, faces, width, over=isinstance(state, BenchEnded))]
    if isinstance(state, BenchTurn) and (found := [*_findings(turn)]):
        rows += [EMPTY, *(row for said in found for row in _sentence(f"so far, {said}", "text", width))]
    rows += [EMPTY, *_notes(turn, faces, width)]
    if isinstance(state, BenchEnded) and state.command:
        said = "the same without a screen, with longer answers, other numbers of requests, and a report:"
        rows += [EMPTY, *_sentence(said, "muted", width), *_sentence(state.command, "text", width)]
    return [fit(row, width) if row_width(row) > width else row for row in rows]


def time_text(seconds: float) -> str:
    """``0:42``, ``12:05`` or ``1:02:03``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _sentence(text: str, style: str, width: int) -> list[Row]:
    return [((line, style),) for line in wrap(safe(text), width)]


def _counted(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"


def _cells_done(turn: BenchTurn) -> str:
    done = sum(cell.category is not None and cell.repetitions >= turn.repetitions for cell in turn.cells)
    return f"{done} of {_cells(turn)}"


def _cells(turn: BenchTurn) -> str:
    return _counted(len(turn.lanes) * len(turn.categories) * len(turn.concurrencies), "cell")


def _head(turn: BenchTurn, width: int) -> list[Row]:
    requests = " and ".join(map(str, turn.concurrencies))
    flight = f"{requests} request{'' if turn.concurrencies == (1,) else 's'} in flight"
    said = f"{flight}   {turn.tokens} tokens per answer   {turn.repetitions} repetitions"
    left = f"   about {time_text(turn.left_s)} left" if turn.left_s is not None and turn.place is not None else ""
    right: Row = ((time_text(turn.spent_s), "text"), (left, "muted"))
    if len(said) + row_width(right) + 2 > width:
        return [((said, "muted"),), right]
    return [spread(((said, "muted"),), right, width)]


def _now(turn: BenchTurn, stale: bool, width: int) -> list[Row]:
    """The progress, and what is being measured."""
    share = turn.pieces / turn.of_pieces if turn.of_pieces > 0 else 0.0
    said = f"  {share * 100:3.0f} %   {_cells_done(turn)}"
    room = max(_LEAST_BAR, width - len(said))
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


def _tables(turn: BenchTurn, width: int) -> Iterator[Sequence[BenchLane]]:
    """The lanes that fit beside each other, as often as that takes."""
    least = _Columns(_name_cells(turn, width), _LEAST_BAR, interval=False, length=False)
    room, lanes = width - least.name, list[BenchLane]()
    for lane in turn.lanes:
        if lanes and least.cells(lane) > room:
            yield lanes
            room, lanes = width - least.name, []
        lanes.append(lane)
        room -= least.cells(lane)
    if lanes:
        yield lanes


def _name_cells(turn: BenchTurn, width: int) -> int:
    """Cells of the row's sign, its category, and on a wide screen how many repetitions it has."""
    longest = max((len(safe(category)) for category in turn.categories), default=0)
    return 2 + min(_MOST_NAME, max(3, longest)) + (4 if width >= ROOMY else 0)


def _columns(turn: BenchTurn, lanes: Sequence[BenchLane], width: int) -> _Columns:
    """As many figures as leave room for bars."""
    name = _name_cells(turn, width)
    for interval, length, least in ((True, True, _WIDE_BAR), (True, False, _LEAST_BAR), (False, False, _LEAST_BAR)):
        columns = _Columns(name, 0, interval, length)
        bar = (width - name - sum(map(columns.cells, lanes))) // len(lanes)
        if bar >= least:
            return _Columns(name, min(_MOST_BAR, bar), interval, length)
    return _Columns(name, _LEAST_BAR, interval=False, length=False)


def _table(
    turn: BenchTurn, lanes: Sequence[BenchLane], concurrency: int, faces: Faces, width: int, *, over: bool
) -> list[Row]:
    columns = _columns(turn, lanes, width)
    own = {(cell.lane, cell.category): cell for cell in turn.cells if cell.concurrency == concurrency}
    top = max((cell.tok_s for cell in own.values() if cell.tok_s is not None), default=0.0)
    heading = _counted(concurrency, "request") + " in flight" if len(turn.concurrencies) > 1 else ""
    rows: list[Row] = [*([((heading, "strong"),)] if heading else ()), *_table_head(lanes, columns, faces)]
    place = turn.place
    for category in (*((None,) if len(turn.categories) > 1 else ()), *turn.categories):
        here = place is not None and (place.concurrency, place.category) == (concurrency, category)
        known = [cell for lane in turn.lanes if (cell := own.get((lane.lane, category))) is not None]
        fastest = max((cell.tok_s or 0.0 for cell in known), default=0.0)
        row = _row_name(category, known, turn.repetitions, here, columns, width)
        for lane in lanes:
            face = faces.get(lane.lane, Face("text"))
            running = here and place is not None and place.lane == lane.lane
            row += _cell(own.get((lane.lane, category)), lane, face.style, columns, top, fastest, running, over)
        rows.append(row)
    return rows


def _table_head(lanes: Sequence[BenchLane], columns: _Columns, faces: Faces) -> list[Row]:
    names: Row = ((" " * columns.name, "text"),)
    units: Row = names
    for lane in lanes:
        face = faces.get(lane.lane, Face("text"))
        cells = columns.cells(lane) - _GAP
        titled = safe(lane_name(lane)) + (f" {UNLIKE}" if face.unlike else "")
        style = f"{face.style}.title" if face.style.startswith("lane.") else "strong"
        names += ((" " * _GAP, "text"), *fit(((clip(titled, cells), style),), cells))
        units += ((" " * _GAP, "text"), (f"{'tok/s':>{columns.bar + _RATE}}", "muted"))
        if not lane.plain:
            units += ((f"{'over AR':>{_RATIO}}", "muted"),)
            units += ((f"{'95 %':>{_INTERVAL}}" if columns.interval else "", "muted"),)
            units += ((f"{'length':>{_LENGTH}}" if columns.length else "", "muted"),)
    return [names, units]


def _row_name(
    category: str | None, known: Sequence[BenchCell], repetitions: int, here: bool, columns: _Columns, width: int
) -> Row:
    done = min((cell.repetitions for cell in known), default=0)
    partial = category is not None and 0 < done < repetitions
    style = "strong" if here or category is None else "muted" if partial else "text" if known else "faint"
    tail = f" {done}/{repetitions}" if partial else ""
    tail_cells = 4 if width >= ROOMY else 0
    name = clip(safe(category) if category is not None else "all", columns.name - 2 - tail_cells)
    sign: Row = ((f"{RUNNING} ", "accent") if here else ("  ", "text"),)
    return sign + fit(((name, style),), columns.name - 2 - tail_cells) + fit(((tail, "muted"),), tail_cells)


def _cell(
    cell: BenchCell | None,
    lane: BenchLane,
    style: str,
    columns: _Columns,
    top: float,
    fastest: float,
    running: bool,
    over: bool,
) -> Row:
    gap: Row = ((f" {RUNNING} " if running else " " * _GAP, "accent"),)
    if cell is None or cell.tok_s is None:
        said: Row = (("measuring" if running else "", "accent"),)
        empty = (*fit(said, columns.bar + _RATE - 1), (DASH if over else " " if running else "·", "faint"))
        return gap + fit(empty, columns.cells(lane) - _GAP)
    filled = cells_filled(cell.tok_s, top, columns.bar)
    filled = max(1, filled) if cell.tok_s > 0 else filled
    row: Row = (*gap, ("━" * filled, style), ("─" * (columns.bar - filled), "faint"))
    row += _figure(_rate(cell.tok_s), _RATE, "strong" if cell.tok_s >= fastest else "text")
    if lane.plain:
        return row
    row += _figure(ratio_text(cell.speed_up), _RATIO, _verdict_style(cell))
    if columns.interval:
        known = cell.low is not None and cell.high is not None
        row += _figure(f"{cell.low:.2f}{_TO}{cell.high:.2f}" if known else "", _INTERVAL, "muted")
    if columns.length:
        row += _figure(DASH if cell.length is None else f"{cell.length:.2f}", _LENGTH, "muted")
    return row


def _figure(text: str, cells: int, style: str) -> Row:
    """A figure at the right end of its cells."""
    return ((f" {text[: cells - 1]:>{cells - 1}}", style),)


def _rate(tok_s: float) -> str:
    return f"{tok_s:.1f}" if abs(tok_s) < 9_999 else f"{tok_s:.0f}"


def _verdict_style(cell: BenchCell) -> str:
    if cell.low is None or cell.high is None or cell.low <= 1 <= cell.high:
        return "text"
    return "good" if cell.low > 1 else "bad"


def _notes(turn: BenchTurn, faces: Faces, width: int) -> Iterator[Row]:
    compared = any(lane.plain for lane in turn.lanes)
    said = "every lane answers the same prompts in turn"
    if compared:
        said += "; over AR: geometric mean of the repetitions, and its 95 % interval"
    yield from _sentence(said, "muted", width)
    if turn.left_out:
        yield from _sentence(turn.left_out, "muted", width)
    for lane in turn.lanes:
        if unlike := faces.get(lane.lane, Face("")).unlike:
            yield from _sentence(f"{UNLIKE} {lane_name(lane)} {unlike}", "warn", width)
    held_up = max((cell.disturbed for cell in turn.cells if cell.category is None), default=0)
    if held_up:
        said = f"disturbed: other programs held up {_counted(held_up, 'repetition')}, and measuring again did not help"
        yield from _sentence(said, "warn", width)
