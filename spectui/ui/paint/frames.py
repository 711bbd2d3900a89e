"""Decides when the screen is drawn: up to 24 times a second, only if something changed, and between engine steps.

A tick asks the engine for a slot; the granted frame drains the mailbox, reduces, and lets the screen show and paint,
all in one go. While no engine is stepping, a frame is drawn at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from spectui.core.rates import percentile
from spectui.protocol.events import Event
from spectui.protocol.frame_slot import FrameSlot
from spectui.protocol.mailbox import Mailbox
from spectui.standstill import awake

FRAME_S = 1 / 24
SHARE = 0.05
"""Share of the engine's time that frames may take; expensive frames become rarer, down to one per `SLOWEST_FRAME_S`."""

SLOWEST_FRAME_S = 1 / 12
CHARTS_S = 0.5
"""Shortest time between two drawings of what changes slowly: charts, figures of the status line."""

BUDGET_S = 0.008
"""Time for reducing in one frame; with views and painting, a frame stays below 20 ms."""

SLOW_BUDGET_S = BUDGET_S / 2
"""The same in a frame that also draws charts, so that their cost does not make that frame late."""

PATIENCE_S = 1.0
"""A step that lasts longer than this (a long prompt, a compilation) must not freeze the screen."""

_CHUNK = 64
_MEAN_OVER = 8


class Scheduler(Protocol):
    """Provides time in seconds: ``now`` of a monotonic clock, ``cpu`` for this thread's computing."""

    def now(self) -> float: ...

    def cpu(self) -> float: ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None: ...

    def call_threadsafe(self, callback: Callable[[], None]) -> None: ...


class LoopScheduler:
    """The running asyncio loop as a `Scheduler`; callbacks run in the context in which it was created."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()

    def now(self) -> float:
        return awake()

    def cpu(self) -> float:
        return time.thread_time()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        self._loop.call_later(delay_s, callback, context=self._context)

    def call_threadsafe(self, callback: Callable[[], None]) -> None:
        # The engine may still grant a frame when the program ends and the loop is already closed.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, context=self._context)


class Presenter(Protocol):
    """Draws a frame."""

    def reduce(self, event: Event) -> None:
        """Fold one event into the state."""

    def present(self, slow: bool) -> None:
        """Show and paint what changed; what changes slowly only if ``slow``."""

    @property
    def clocked(self) -> bool:
        """Whether something on the screen changes with time alone, such as the elapsed loading time."""


class FrameFigures:
    """What drawing has cost over the last ``keep`` frames. Times are in seconds."""

    def __init__(self, keep: int | None = 512) -> None:
        self.frame_s: deque[float] = deque(maxlen=keep)
        """Duration of each frame, from the first event drained to the last line painted."""
        self.cpu_s: deque[float] = deque(maxlen=keep)
        """Processor time of each frame: its duration on an otherwise idle machine."""
        self.lag_s: deque[float] = deque(maxlen=keep)
        """How late the event loop came to each tick."""
        self.frames = 0
        self.skipped = 0
        """Ticks that had nothing to draw."""

    @property
    def frame_p50(self) -> float | None:
        return percentile(self.frame_s, 0.5)

    @property
    def frame_p99(self) -> float | None:
        return percentile(self.frame_s, 0.99)

    @property
    def lag_p50(self) -> float | None:
        return percentile(self.lag_s, 0.5)

    @property
    def lag_p99(self) -> float | None:
        return percentile(self.lag_s, 0.99)


class FrameTimer:
    """Asks for frames and draws them. All methods run on the screen's thread.

    An exception in a frame ends the drawing and goes to ``on_error``: asyncio would only log it.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        slot: FrameSlot,
        presenter: Presenter,
        scheduler: Scheduler,
        on_error: Callable[[Exception], None],
        figures: FrameFigures | None = None,
    ) -> None:
        self.figures = figures or FrameFigures()
        self._mailbox = mailbox
        self._slot = slot
        self._presenter = presenter
        self._scheduler = scheduler
        self._on_error = on_error
        self._running = False
        self._due = 0.0
        self._interval_s = FRAME_S
        self._mean_s = 0.0
        self._asked_at: float | None = None
        self._poked = False
        self._slow_at = float("-inf")
        self._slow_behind = False

    def start(self) -> None:
        """Start ticking; the first frame is due at once."""
        self._running = True
        self._poked = True
        self._due = self._scheduler.now()
        self._tick()

    def stop(self) -> None:
        """Draw no more frames, not even one that has already been granted."""
        self._running = False

    def poke(self, slow: bool = False) -> None:
        """Ask for a frame at once, because the user changed what is shown, without waiting for the next tick.

        With ``slow`` the next frame also draws what changes slowly.
        """
        self._poked = True
        if slow:
            self._slow_at = float("-inf")
        if self._running and self._asked_at is None:
            self._ask(self._scheduler.now())

    @property
    def idle(self) -> bool:
        """Whether everything that happened is on the screen."""
        return not (len(self._mailbox) or self._poked or self._asked_at is not None or self._slow_behind)

    def _tick(self) -> None:
        if not self._running:
            return
        now = self._scheduler.now()
        self.figures.lag_s.append(now - self._due)
        self._due += self._interval_s
        if self._due <= now:
            self._due = now + self._interval_s
        if self._asked_at is not None:
            if now - self._asked_at > PATIENCE_S:
                self._asked_at = now
                self._draw()
        elif self._pending(now):
            self._ask(now)
        else:
            self.figures.skipped += 1
        self._scheduler.call_later(self._due - now, self._tick)

    def _pending(self, now: float) -> bool:
        """Whether there is something to draw, or will be when the running engine step ends."""
        slow = (self._slow_behind or self._presenter.clocked) and now - self._slow_at >= CHARTS_S
        return bool(len(self._mailbox)) or self._poked or slow or self._slot.busy

    def _ask(self, now: float) -> None:
        if self._slot.request(lambda: self._scheduler.call_threadsafe(self._granted)):
            self._asked_at = now
        else:
            self._draw()

    def _granted(self) -> None:
        self._asked_at = None
        try:
            if self._running:
                self._draw()
        finally:
            self._slot.drawn()

    def _draw(self) -> None:
        try:
            self._frame()
        except Exception as error:
            self.stop()
            self._on_error(error)

    def _frame(self) -> None:
        began, cpu = self._scheduler.now(), self._scheduler.cpu()
        self._poked = False
        slow = began - self._slow_at >= CHARTS_S
        budget_s = SLOW_BUDGET_S if slow else BUDGET_S
        while events := self._mailbox.drain(_CHUNK):
            for event in events:
                self._presenter.reduce(event)
            self._slow_behind = True
            if self._scheduler.now() - began >= budget_s:
                break
        if slow:
            self._slow_at = began
            self._slow_behind = False
        self._presenter.present(slow)
        took = self._scheduler.now() - began
        self.figures.frames += 1
        self.figures.frame_s.append(took)
        self.figures.cpu_s.append(self._scheduler.cpu() - cpu)
        self._mean_s += (took - self._mean_s) / _MEAN_OVER
        # A mailbox that fills faster than it is emptied must not wait for rarer frames.
        spare = self._slot.busy and not len(self._mailbox)
        self._interval_s = min(max(FRAME_S, self._mean_s / SHARE), SLOWEST_FRAME_S) if spare else FRAME_S
