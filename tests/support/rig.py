"""A running app for tests: a synthetic source, a clock that the test moves, and `settle` instead of sleeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual.driver import Driver
from textual.pilot import Pilot

from spectui.core.views import LaneView, RunView
from spectui.protocol import commands as cmd
from spectui.protocol.events import Sampling
from spectui.sources.synthetic.source import Pace, SyntheticSource
from spectui.ui.app import SpecTUIApp
from spectui.ui.offscreen import HandClock
from spectui.ui.paint.frames import FRAME_S
from spectui.ui.talk.script import Script

FAILSAFE_S = 30.0
SIZES = [(80, 24), (120, 36), (200, 50)]


class RecordingSource(SyntheticSource):
    """Remembers what it was asked for."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.commands: list[cmd.Command] = []
        self.obeyed = 0

    def send(self, command: cmd.Command) -> None:
        self.commands.append(command)
        super().send(command)

    def _obey(self, command: cmd.Command) -> None:
        super()._obey(command)
        self.obeyed += 1


class FakeLog:
    """Hands out its lines once."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)

    def poll(self) -> list[str]:
        lines, self.lines = self.lines, []
        return lines


class Rig:
    """What a test holds on to: the app that it runs, and what the app runs on."""

    def __init__(self, app: SpecTUIApp, source: RecordingSource, pilot: Pilot[None], clock: HandClock) -> None:
        self.app = app
        self.source = source
        self.pilot = pilot
        self.clock = clock

    @property
    def view(self) -> RunView:
        return self.app.view

    def lane(self, name: str) -> LaneView:
        return next(lane for lane in self.view.lanes if lane.info.name == name)

    @property
    def text(self) -> str:
        """The whole screen as text, as Textual would draw it anew."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in strips)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Let time pass until ``holds``, while the race may go on."""
        end = time.monotonic() + FAILSAFE_S
        while not holds():
            assert time.monotonic() < end, f"never happened; the screen is\n{self.text}"
            # The source's thread and Textual's own callbacks need a turn between two frames.
            await asyncio.sleep(0.001)
            self.clock.run_for(FRAME_S)

    async def settle(self, until: Callable[[], bool] = lambda: True) -> None:
        """Let time pass until ``until`` holds and everything that happened is on the screen."""
        while True:
            await self.until(lambda: until() and self.app.frames.idle and not self.source.slot.busy)
            await self.pilot.pause()
            if until() and self.app.frames.idle:
                return

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.answered()

    async def answered(self) -> None:
        """Wait until the source has followed every command and what came of it is on the screen."""
        await self.settle(lambda: self.source.obeyed == len(self.source.commands))

    async def steps(self, number: int) -> None:
        """Take that many engine steps of a paused race."""
        for _ in range(number):
            self.source.send(cmd.StepOnce())
        await self.answered()


@asynccontextmanager
async def running(
    size: tuple[int, int] = (120, 36),
    *,
    log: FakeLog | None = None,
    theme: str | None = None,
    wait: bool = True,
    driver: type[Driver] | None = None,
    talk: Script | None = None,
    **source_options: Any,
) -> AsyncIterator[Rig]:
    """The app at ``size``, its race standing still before the first step unless told otherwise.

    ``wait`` until the first round has begun; ``driver`` draws somewhere; ``talk`` is given.
    """
    options = {"pace": Pace(), "paused": True, "sampling": Sampling(max_tokens=64), **source_options}
    source = RecordingSource(**options)
    clocks: list[HandClock] = []

    def scheduler() -> HandClock:
        clocks.append(HandClock())
        return clocks[0]

    app = SpecTUIApp(source, log_tail=log or FakeLog(), theme=theme, scheduler=scheduler, talk=talk)
    try:
        if driver is not None:
            app.driver_class = driver
        async with app.run_test(size=size, headless=driver is None) as pilot:
            rig = Rig(app, source, pilot, clocks[0])
            if wait:
                await rig.settle(lambda: app.view.round is not None)
            yield rig
    finally:
        assert source.stop(FAILSAFE_S)
