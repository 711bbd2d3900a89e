"""Every screen at every size, also those that are too small for it, and keys that come then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import pytest

from spectui.core.views import RunView
from spectui.protocol.samples import TelemetrySample, TelemetryStarted
from spectui.sources.synthetic.source import SyntheticSource
from spectui.ui.actions import ACTIONS
from spectui.ui.paint.rows import Row
from spectui.ui.screens.help import help_rows
from spectui.ui.screens.lines import KeysLine
from spectui.ui.screens.pane import LanePane
from spectui.ui.talk.caption_line import caption_rows
from spectui.ui.widgets.cost_rows import cost_rows
from spectui.ui.widgets.machine_rows import machine_rows
from spectui.ui.widgets.pane_head import PaneState, pane_head_rows
from spectui.ui.widgets.token_stream import stream_rows
from tests.support.making_machines import H100, HOST, MEMORIES
from tests.support.rig import FakeLog, Rig, running

WIDTHS = range(1, 131)
SIZES = [(1, 1), (26, 24), (12, 40), (130, 5), (39, 11), (5, 2), (130, 40), (30, 8), (40, 12), (2, 30)]
SCREENS = {
    "live": (),
    "help": ("question_mark",),
    "costs": ("s",),
    "analysis": ("d",),
    "machine": ("g",),
    "inspect": ("i",),
    "log": ("l",),
    "themes": ("t",),
    "palette": ("ctrl+p",),
    "prompt": ("slash",),
    "presenting": ("p",),
    "slow motion": ("p", "m"),
}
MOVES = ("up", "pageup", "down", "pagedown", "home", "end", "left", "right", "tab")


async def with_figures(rig: Rig) -> None:
    """Let every screen have something to show."""
    app = rig.app
    app.reduce(TelemetryStarted((20e9,), "probe", ()))
    for memory, lane in zip(MEMORIES, rig.view.lanes, strict=True):
        app.reduce(replace(memory, lane=lane.info.name))
    for turn in range(5):
        app.reduce(TelemetrySample(turn * 200_000_000, HOST, (H100,)))
    await rig.steps(30)


@pytest.mark.parametrize("screen", SCREENS)
async def test_no_size_ends_the_program(screen: str) -> None:
    async with running((120, 36), log=FakeLog(*["ERROR: a line of the log " * 4] * 30)) as rig:
        await with_figures(rig)
        await rig.press(*SCREENS[screen])
        for size in SIZES:
            await rig.pilot.resize_terminal(*size)
            rig.app.redraw_all()
            await rig.settle()
            await rig.pilot.press(*MOVES)
        await rig.pilot.resize_terminal(120, 36)
        await rig.settle()
        assert rig.app.is_running


@pytest.mark.parametrize(
    ("size", "key"),
    [((30, 8), key) for key in (*MOVES, "g", "s", "i", "t", "slash", "ctrl+p", "x", "p")]
    + [((1, 1), key) for key in ("end", "t", "ctrl+p")],
)
async def test_a_key_does_no_harm_before_there_ever_was_room(size: tuple[int, int], key: str) -> None:
    async with running(size) as rig:
        await rig.pilot.press(key, *MOVES[:2])
        await rig.pilot.resize_terminal(120, 36)
        await rig.settle()
        assert rig.app.is_running
        assert len(rig.app.query(LanePane)) in (0, 3)


async def test_rows_of_every_width_can_be_made() -> None:
    async with running((120, 36)) as rig:
        await with_figures(rig)
        view = rig.view
        keys = KeysLine(lambda action: None, ACTIONS)
    for width in WIDTHS:
        for rows in rows_of(view, width):
            assert all(isinstance(text, str) for row in rows for text, _ in row)
        assert keys.rows(width, 1)


def rows_of(view: RunView, width: int) -> Iterator[Sequence[Row]]:
    yield machine_rows(view, width)
    yield cost_rows(view.lanes, width)
    yield help_rows(width, ACTIONS, SyntheticSource.accepts)
    yield caption_rows("what the audience should look at now", "2/7", width)
    for lane, height in product(view.lanes, range(1, 9)):
        yield pane_head_rows(lane, PaneState(1), width, height)
        assert lane.stream is not None
        yield stream_rows(lane.stream.log, width)
