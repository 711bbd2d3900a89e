"""Runs the application without a terminal and with a clock that the caller advances: for pictures, casts and tests.

Owns that clock and the output that the screen would have sent to a terminal. Must not know traces or files.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count

from rich.color import ColorSystem
from textual.drivers.headless_driver import HeadlessDriver
from textual.pilot import Pilot

from spectui.protocol.source import Source
from spectui.ui.analyst import Analyst
from spectui.ui.app import SpecTUIApp
from spectui.ui.keymap import Keymap
from spectui.ui.paint.frames import CHARTS_S, FrameFigures
from spectui.ui.paint.picture import rows, svg
from spectui.ui.paint.textual_private import driver_of, set_colour_depth, settled, whole_screen
from spectui.ui.screens.message import NOTICE_S
from spectui.ui.theme.themed_app import DEFAULT_THEME

_MOST_TURNS = 50
"""A screen that changes more often than this without any new event would never stop changing."""


class HandClock:
    """A `Scheduler` whose time stands still until it is advanced; calls from other threads go through the loop."""

    def __init__(self) -> None:
        self.time = 1_000.0
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._order = count()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []

    def now(self) -> float:
        return self.time

    def cpu(self) -> float:
        return self.time

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.time + delay_s, next(self._order), callback))

    def call_threadsafe(self, callback: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(callback, context=self._context)

    def run_for(self, seconds: float) -> None:
        """Advance the time, and run the callbacks that fall due."""
        end = self.time + seconds
        while self._queue and self._queue[0][0] <= end:
            self.time, _, callback = heapq.heappop(self._queue)
            self._context.copy().run(callback)
        self.time = end


class Paper(HeadlessDriver):
    """A terminal that keeps what is sent to it."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.sent: list[str] = []

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        self.sent.append(data)

    def flush(self) -> None:
        """Do nothing, since nothing is buffered."""


class Offscreen:
    """A running app, as made by `offscreen`."""

    def __init__(self, app: SpecTUIApp, pilot: Pilot[None], clock: HandClock) -> None:
        self.app = app
        self._pilot = pilot
        self._clock = clock

    async def pass_time(self, seconds: float) -> None:
        """Draw what has happened, then advance the time and run what falls due."""
        self.app.frames.poke()
        self._clock.run_for(seconds)
        screen = self.app.screen
        if not settled(screen):
            # Textual does these by itself a little later; here they belong to this moment.
            await self._pilot.pause()

    async def settle(self) -> None:
        """Wait until nothing changes any more; notices disappear meanwhile."""
        await self._pilot.pause()
        self._clock.run_for(NOTICE_S + CHARTS_S)
        before: object = None
        for _ in range(_MOST_TURNS):
            await self._pilot.pause()
            self._clock.run_for(CHARTS_S)
            now = self.svg()
            if now == before and self.app.frames.idle:
                return
            before = now

    def sent(self) -> str:
        """Return what was sent to the terminal since the last call."""
        driver = driver_of(self.app)
        assert isinstance(driver, Paper)
        sent, driver.sent = driver.sent, []
        return "".join(sent)

    def full(self) -> str:
        """Return the whole screen, as it would be sent to a terminal that shows nothing yet."""
        return whole_screen(self.app.screen)

    def svg(self) -> str:
        return svg(self.app)

    def rows(self) -> list[str]:
        return rows(self.app)


@asynccontextmanager
async def offscreen(source: Source, size: tuple[int, int], theme: str | None = None) -> AsyncIterator[Offscreen]:
    """Run the app on ``source`` at ``size``, unaffected by ``NO_COLOR``, the user's keys and the machine's load."""
    clocks: list[HandClock] = []

    def scheduler() -> HandClock:
        clocks.append(HandClock())
        return clocks[0]

    with _in_colour():
        app = SpecTUIApp(
            source,
            theme=theme or DEFAULT_THEME,
            figures=FrameFigures(keep=0),
            scheduler=scheduler,
            own_keys=Keymap({}),
            analyst=Analyst(),
        )
    set_colour_depth(app, ColorSystem.TRUECOLOR)
    app.driver_class = Paper
    async with app.run_test(size=size, headless=False) as pilot:
        yield Offscreen(app, pilot, clocks[0])


@contextmanager
def _in_colour() -> Iterator[None]:
    """Enable colours within the block: Textual and rich read the environment once, when an app is made."""
    kept = {name: os.environ.pop(name) for name in ("NO_COLOR", "FORCE_COLOR") if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
