"""Formats the table of a benchmark: a row for each category, a column for each lane, bars up to the fastest cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from spectui.core.bench.table import disturbed, lane_name
from spectui.figures import DASH, ratio_text
from spectui.protocol.benching import BenchCell, BenchLane, BenchTurn
from spectui.ui.paint.cells import clip, safe
from spectui.ui.paint.rows import EMPTY, Row, cells_filled, fit
from spectui.ui.widgets.pane_head import UNLIKE

RUNNING = "▸"
DISTURBED = "†"
"""Marks speed-ups that are not those of the machine alone."""

ROOMY = 100
_GAP, _RATE, _RATIO, _INTERVAL, _LENGTH = 3, 7, 9, 10, 7
"""Cells of a column's parts, each with the blanks before it."""

_LEAST_BAR, _WIDE_BAR, _MOST_BAR = 4, 7, 30
_MOST_NAME = 20
_TO = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Face:
    """How a lane looks: its style, and how its engine differs from AR's; empty if it does not."""

    style: str
    unlike: str = ""


Faces: TypeAlias = Mapping[str, Face]


@dataclass(frozen=True, slots=True)
class _Columns:
    """How the lanes of one table share the width; ``compared`` is whether there is an AR lane."""

    name: int
    bar: int = _LEAST_BAR
    compared: bool = True
    interval: bool = False
    length: bool = False

    def shows(self, lane: BenchLane) -> dict[str, int]:
        """The figures behind a lane's throughput, each with its cells."""
        if lane.plain:
            return {}
        ratio = {"speed-up": _RATIO, **({"95 %": _INTERVAL} if self.interval else {})} if self.compared else {}
        return ratio | ({"length": _LENGTH} if self.length else {})

    def cells(self, lane: BenchLane) -> int:
        """Cells of a lane's column."""
        return _GAP + self.bar + _RATE + sum(self.shows(lane).values())


@dataclass(frozen=True, slots=True)
class _Line:
    """What the cells of a row have in common.

    Attributes:
        top: The throughput of a full bar.
        fastest: That of the fastest lane of the row.
        doubtful: Whether other programs disturbed it.
        over: Whether what is missing will not be measured any more.
    """

    top: float
    fastest: float
    doubtful: bool
    over: bool


def table_rows(turn: BenchTurn, concurrency: int, faces: Faces, width: int, *, over: bool) -> list[Row]:
    """Format the figures for so many requests in flight, each table after a blank row.

    Args:
        turn: The state of the benchmark.
        concurrency: Requests in flight.
        faces: How the lanes look, by name.
        width: Width in cells.
        over: Whether what is missing will not be measured any more.
    """
    rows: list[Row] = []
    for lanes in _tables(turn, width):
        rows += [EMPTY, *_table(turn, lanes, concurrency, faces, width, over=over)]
    return rows


def _tables(turn: BenchTurn, width: int) -> Iterator[Sequence[BenchLane]]:
    """The lanes that fit beside each other, as often as that takes."""
    least = _Columns(_name_cells(turn, width), compared=_compared(turn))
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
    name, compared = _name_cells(turn, width), _compared(turn)
    for interval, length, least in ((True, True, _WIDE_BAR), (True, False, _LEAST_BAR), (False, False, _LEAST_BAR)):
        columns = _Columns(name, 0, compared, interval, length)
        bar = (width - name - sum(map(columns.cells, lanes))) // len(lanes)
        if bar >= least:
            return replace(columns, bar=min(_MOST_BAR, bar))
    return _Columns(name, compared=compared)


def _compared(turn: BenchTurn) -> bool:
    return any(lane.plain for lane in turn.lanes)


def _table(
    turn: BenchTurn, lanes: Sequence[BenchLane], concurrency: int, faces: Faces, width: int, *, over: bool
) -> list[Row]:
    columns = _columns(turn, lanes, width)
    own = {(cell.lane, cell.category): cell for cell in turn.cells if cell.concurrency == concurrency}
    top = max((cell.tok_s for cell in own.values() if cell.tok_s is not None), default=0.0)
    several = len(turn.concurrencies) > 1
    heading = f"{concurrency} request{'' if concurrency == 1 else 's'} in flight" if several else ""
    rows: list[Row] = [*([((heading, "strong"),)] if heading else ()), *_table_head(lanes, columns, faces)]
    place = turn.place
    for category in (*((None,) if len(turn.categories) > 1 else ()), *turn.categories):
        here = place is not None and (place.concurrency, place.category) == (concurrency, category)
        known = [cell for lane in turn.lanes if (cell := own.get((lane.lane, category))) is not None]
        line = _Line(top, max((cell.tok_s or 0.0 for cell in known), default=0.0), disturbed(known), over)
        row = _row_name(category, known, turn.repetitions, here, columns, width)
        for lane in lanes:
            running = here and place is not None and place.lane == lane.lane
            row += ((f" {RUNNING} " if running else " " * _GAP, "accent"),)
            if (cell := own.get((lane.lane, category))) is None or cell.tok_s is None:
                row += _missing(columns.cells(lane) - _GAP, columns.bar + _RATE, running, over)
            else:
                row += _cell(cell, cell.tok_s, faces.get(lane.lane, Face("text")).style, columns, lane, line)
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
        units += tuple((f"{figure:>{room}}", "muted") for figure, room in columns.shows(lane).items())
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


def _missing(cells: int, to_rate: int, running: bool, over: bool) -> Row:
    """A cell without figures: it is being measured, will be, or will not."""
    said: Row = (("measuring" if running else "", "accent"),)
    return fit((*fit(said, to_rate - 1), (DASH if over else " " if running else "·", "faint")), cells)


def _cell(cell: BenchCell, tok_s: float, style: str, columns: _Columns, lane: BenchLane, line: _Line) -> Row:
    filled = max(int(tok_s > 0), cells_filled(tok_s, line.top, columns.bar))
    row: Row = (("━" * filled, style), ("─" * (columns.bar - filled), "faint"))
    row += _figure(_rate(tok_s), _RATE, "strong" if tok_s >= line.fastest else "text")
    for figure, room in columns.shows(lane).items():
        match figure:
            case "speed-up":
                mark = DISTURBED if line.doubtful else ""
                text = "" if cell.speed_up is None else f"{mark}{ratio_text(cell.speed_up)}"
                row += _figure(text, room, "muted" if line.doubtful else _verdict_style(cell))
            case "95 %":
                known = cell.low is not None and cell.high is not None
                row += _figure(f"{cell.low:.2f}{_TO}{cell.high:.2f}" if known else "", room, "muted")
            case _:
                row += _figure("" if cell.length is None else f"{cell.length:.2f}", room, "muted")
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
