"""What is sent straight to the terminal is what Textual's compositor would have drawn, cell by cell."""

from __future__ import annotations

import random
from typing import Any

import pytest
from textual.drivers.headless_driver import HeadlessDriver

from spectui.protocol import commands as cmd
from spectui.sources.synthetic.race import SyntheticLane, demo_lanes
from spectui.ui.paint.canvas import Canvas
from tests.support.emulator import Emulator
from tests.support.rig import SIZES, Rig, running

pytestmark = pytest.mark.slow


class TerminalDriver(HeadlessDriver):
    """Draws on an emulator instead of nowhere."""

    written: bytearray = bytearray()

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        self.written += data.encode()

    def flush(self) -> None:
        """Nothing is held back."""


class Terminal:
    """The emulator behind the app of a rig, fed with what was written so far."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._size = (0, 0)

    def check(self) -> None:
        """The terminal shows what a full repaint would show."""
        size = (self._rig.app.size.width, self._rig.app.size.height)
        if size != self._size:
            # A terminal that is resized keeps its cells in ways that differ; the app repaints all of it anyway.
            self._size = size
            self._shown = Emulator(*size)
            self._feed(self._shown, self._full())
            TerminalDriver.written.clear()
        self._shown.feed(bytes(TerminalDriver.written))
        TerminalDriver.written.clear()
        expected = Emulator(*size)
        self._feed(expected, self._full())
        assert self._shown.screen.display == expected.screen.display
        assert cells(self._shown) == cells(expected)

    def _full(self) -> str:
        app = self._rig.app
        update = app.screen._compositor.render_full_update()
        return update.render_segments(app.console)

    @staticmethod
    def _feed(emulator: Emulator, output: str) -> None:
        emulator.feed(output.encode())


def cells(emulator: Emulator) -> list[list[Any]]:
    screen = emulator.screen
    return [[screen.buffer[y][x] for x in range(screen.columns)] for y in range(screen.lines)]


@pytest.mark.parametrize("size", SIZES)
async def test_painted_lines_equal_a_full_repaint(size: tuple[int, int]) -> None:
    async with running(size, driver=TerminalDriver) as rig:
        terminal = Terminal(rig)
        for _ in range(12):
            await rig.steps(3)
            terminal.check()
        keys = ("tab", "x", "home", "w", "plus", "minus", "3", "end", "question_mark", "escape", "t", "down", "down")
        for key in (*keys, "t", "enter", "slash", "a"):
            await rig.press(key)
            rig.source.send(cmd.StepOnce())
            await rig.answered()
            terminal.check()


async def test_after_a_resize_and_a_failing_lane_too() -> None:
    ar, mtp, dflash = demo_lanes()
    lanes = (ar, SyntheticLane(mtp.info, mtp.accept, fails_after=8), dflash)
    rng = random.Random(3)
    async with running((120, 36), driver=TerminalDriver, lanes=lanes) as rig:
        terminal = Terminal(rig)
        for _ in range(12):
            await rig.pilot.resize_terminal(rng.randint(40, 200), rng.randint(10, 55))
            await rig.steps(3)
            terminal.check()
            await rig.steps(3)
            terminal.check()


async def test_a_frame_sends_the_changed_lines_only() -> None:
    async with running((200, 50), driver=TerminalDriver) as rig:
        await rig.steps(30)
        TerminalDriver.written.clear()
        rig.app.screen.query_one("KeysLine", Canvas).redraw()
        await rig.settle()
        assert len(TerminalDriver.written) < 400
        await rig.steps(1)
        assert 0 < len(TerminalDriver.written) < 20_000
