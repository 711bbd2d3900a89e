"""Every row that a screen can show of a run, without a screen."""

from __future__ import annotations

import random
from collections.abc import Iterator

from spectui.core.analysis.analyse import analyse
from spectui.core.analysis.columns import Columns
from spectui.core.attached.views import AttachedView
from spectui.core.beats import beats
from spectui.core.captions import beat_sentence, lane_sentence
from spectui.core.views import LaneView, RunView, Viewer
from spectui.ui.looking import ORDERS, Look, entries
from spectui.ui.paint.rows import Row, fit, plain, row_width
from spectui.ui.paint.wrapping import shortened, wrapped
from spectui.ui.screens.attached_message import attached_message
from spectui.ui.screens.bench import BenchReader
from spectui.ui.screens.costs import CostsReader
from spectui.ui.screens.inspect import InspectReader
from spectui.ui.screens.lines import MessageLine
from spectui.ui.screens.machine import MachineReader
from spectui.ui.screens.message import message
from spectui.ui.screens.presenter_strip import LaneStrip
from spectui.ui.screens.request_pane import request_lane
from spectui.ui.screens.tune import TuneReader
from spectui.ui.theme.palette import WRITTEN
from spectui.ui.widgets.acceptance_chart import acceptance_rows
from spectui.ui.widgets.acted_text import acted_log
from spectui.ui.widgets.analysis_rows import analysis_rows
from spectui.ui.widgets.counter_rows import endpoint_panel_rows
from spectui.ui.widgets.endpoint_table import endpoint_rows
from spectui.ui.widgets.heat_legend import legend_row
from spectui.ui.widgets.heat_text import heat_rows
from spectui.ui.widgets.histogram_chart import histogram_rows
from spectui.ui.widgets.ledger import ledger_rows
from spectui.ui.widgets.pane_head import PaneState, lane_message, pane_head_rows
from spectui.ui.widgets.request_head import request_head_rows
from spectui.ui.widgets.request_table import request_rows
from spectui.ui.widgets.served_words import help_paragraphs
from spectui.ui.widgets.status import status_rows
from spectui.ui.widgets.telemetry_strip import strip_rows
from spectui.ui.widgets.throughput_chart import throughput_rows
from spectui.ui.widgets.token_stream import stream_rows

SIZES = ((78, 20), (118, 34), (38, 7), (5, 2), (198, 48))
IDEOGRAPHIC_SPACE = "\u3000"


def shown(viewer: Viewer, dice: random.Random) -> None:
    """The rows of every screen at one size."""
    viewer.slot = dice.choice((0, 0, 1))
    view = viewer.read()
    width, height = dice.choice(SIZES)
    for row in every_row(view, width, height, dice):
        check(fit(row, width), width)


def check(fitted: Row, width: int) -> None:
    """The row fills its cells and holds nothing that a terminal obeys."""
    assert row_width(fitted) == width, fitted
    # What is printable is neither a control, a format character, half a character nor unassigned.
    text = plain(fitted).replace(IDEOGRAPHIC_SPACE, "")
    assert text.isprintable(), text


def analysis_shown(columns: Columns, dice: random.Random) -> None:
    """The rows of why drafts fail, at one size."""
    width, _ = dice.choice(SIZES)
    analysis = analyse(columns)
    for lane in analysis.lanes:
        for row in analysis_rows(analysis, lane, dice.randrange(9), {}, "go on", width).rows:
            check(fit(row, width), width)


def every_row(view: RunView, width: int, height: int, dice: random.Random) -> Iterator[Row]:
    """What the screens show of a run."""
    line, strip = MessageLine(), LaneStrip()
    line.show(message(view, dice.choice((None, 0.0, 10.0)), viewer_slot(view), slow=dice.random() < 0.2))
    strip.show(view.lanes, dice.randrange(3))
    yield from status_rows(view, width, 1)
    yield from line.rows(width, 1)
    yield from strip.rows(width, 1)
    yield from strip_rows(view, width)
    yield from CostsReader(view).content(width)
    yield from MachineReader(view).content(width)
    yield from BenchReader(view).content(width)
    tuning = TuneReader()
    tuning.view = view
    yield from tuning.content(width)
    if view.attached is not None:
        yield from attached_rows(view, view.attached, width, height, dice)
    if view.lanes:
        place = dice.randrange(len(view.lanes))
        yield from lane_rows(view.lanes[place], place + 1, width, height, dice)
        yield from step_rows(view, place, width, dice)
        if dice.random() < 0.2:
            yield from throughput_rows(view.lanes, width, height, place + 1)


def attached_rows(view: RunView, attached: AttachedView, width: int, height: int, dice: random.Random) -> Iterator[Row]:
    """The tables of servers, one of their requests, and what is said of them."""
    look = Look(order=dice.choice(ORDERS), opened=dice.random() < 0.2)
    look.turn(attached)
    focus = dice.randrange(len(attached.endpoints) or 1)
    yield from endpoint_rows(view, width, height, focus, {"e1": 4.0})
    yield from request_rows(attached, width, height, look, dice.randrange(3))
    yield from wrapped(attached_message(view, attached, look, {"e3": 4.0}, dice.choice((None, 9.0))), width)
    for entry in entries(attached):
        yield from request_head_rows(attached, entry, look.following, focus, width)
    for place, (row, lane) in enumerate(zip(attached.endpoints, view.lanes, strict=False)):
        yield from endpoint_panel_rows(row, place, help_paragraphs(row, lane.info.spec), width)
        yield from ledger_rows(request_lane(lane, height), width, height)


def viewer_slot(view: RunView) -> int:
    return view.lanes[0].slot if view.lanes else 0


def lane_rows(lane: LaneView, number: int, width: int, height: int, dice: random.Random) -> Iterator[Row]:
    """A lane's pane and charts."""
    pane = PaneState(number, focused=True, over=dice.random() < 0.5, elapsed_s=dice.choice((None, 1.0)))
    for rows in (height, 4, 7):
        yield from pane_head_rows(lane, pane, width, rows)
    yield from wrapped(lane_message(lane, pane), width)
    yield from (((line, "strong"),) for line in shortened(lane_sentence(lane), width, height))
    if lane.stream is not None:
        yield from stream_rows(
            lane.stream.log, width, dice.choice(("none", "first", "all")), dice.choice((WRITTEN, set()))
        )
        if lane.stream.heat is not None:
            yield from heat_rows(lane.stream, width)
            yield legend_row(lane.stream.heat.answers, width)
    yield from ledger_rows(lane, width, height)
    for windowed in (True, False):
        yield from acceptance_rows(lane, width, height, number, windowed)
        yield from histogram_rows(lane, width, height, number, windowed)


def step_rows(view: RunView, place: int, width: int, dice: random.Random) -> Iterator[Row]:
    """The inspector on some steps of a lane, and the newest one in slow motion."""
    reader, lane = InspectReader(view, place), view.lanes[place]
    if (told := view.inspected) is not None:
        reader.answers[told.lane, told.slot, told.index] = told
    yield from reader.content(width)
    if lane.history is None or lane.stream is None:
        return
    for index in (lane.history.next_rejection(0), lane.history.next_longest(0), told.index if told else None):
        reader.index = index
        yield from reader.content(width)
    if (past := lane.history.at(lane.history.last)) is not None:
        acted = beats(past.step)
        beat = dice.choice(acted)
        yield ((beat_sentence(past.step, beat.phase), "strong"),)
        yield from stream_rows(acted_log(lane.stream.log, past.logged, beat.tokens, width * 4, True), width, "all")
