"""Has a run analysed on a thread of its own: the figures of a long run take as long as many frames.

A live run is folded as its steps come, so that an analysis covers all of it whenever it is asked for. A replay's is
that of the whole trace, read from the file: what was played so far depends on where the user jumped.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spectui.protocol.events import AnyStep, ScreenEvent, TraceEvent
from spectui.trace.progress import read_into
from spectui.trace.reader import Trace, TraceError

if TYPE_CHECKING:
    from spectui.core.analysis.columns import Columns
    from spectui.core.analysis.results import Analysis
    from spectui.core.analysis.window import Window

logger = logging.getLogger(__name__)

_BURST = 256
"""Events of a trace that are read between two looks at whether a frame wants to be drawn."""


@dataclass(frozen=True, slots=True)
class Found:
    """An analysis, and what it covers.

    Attributes:
        analysis: The analysis.
        steps: Steps of all lanes, from the beginning on.
        dropped: Steps among them, the oldest ones, that were no longer in memory.
    """

    analysis: Analysis
    steps: int
    dropped: int = 0


class Analyst:
    """Makes one analysis at a time and keeps the last. All methods run on the screen's thread.

    Args:
        trace: The trace that is replayed; None if there is none to read.
        live: Whether to keep the steps of a live run.
        breathe: Called on the reading thread, every few milliseconds of its work.

    Attributes:
        whole: Whether it analyses a trace as a whole.
        steps: Steps of the live run so far.
        found: The last analysis; None before the first.
        working: Whether one is being made.
        share: Share of the trace that has been read for it; 1 in a live run.
        fault: Why the last one failed, in a sentence; empty if it did not.
    """

    def __init__(
        self, trace: Path | None = None, *, live: bool = False, breathe: Callable[[], None] = lambda: None
    ) -> None:
        self.whole = not live
        self.steps = 0
        self.found: Found | None = None
        self.working = False
        self.share = 1.0
        self.fault = ""
        self._trace = trace
        self._breathe = breathe
        self._window: Window | None = None
        self._waiting: list[TraceEvent] = []
        self._on_screen: Callable[[Callable[[], None]], None]
        self._redraw: Callable[[], None]

    def attach(self, on_screen: Callable[[Callable[[], None]], None], redraw: Callable[[], None]) -> None:
        """Say how the thread reaches the screen.

        Args:
            on_screen: Has a call made on the screen's thread; may be called on any.
            redraw: Draws the screen anew.
        """
        self._on_screen, self._redraw = on_screen, redraw

    def warm_up(self) -> None:
        """Load what folds a live run, NumPy among it: at start-up it would delay the first frame."""
        if not self.whole and self._window is None:
            from spectui.core.analysis.window import Window

            self._window = Window()
            for event in self._waiting:
                self._window.add(event)
            self._waiting.clear()

    def add(self, event: TraceEvent | ScreenEvent) -> None:
        """Fold an event of a live run."""
        if self.whole:
            return
        if isinstance(event, AnyStep):
            self.steps += 1
        elif isinstance(event, ScreenEvent):
            return
        if self._window is None:
            self._waiting.append(event)
        else:
            self._window.add(event)

    def begin(self, then: Callable[[], None] = lambda: None) -> None:
        """Begin an analysis unless one is being made; ``then`` is called when it has ended."""
        if self.working:
            then()
            return
        self.warm_up()
        self.working, self.fault = True, ""
        self.share = 0.0 if self.whole else 1.0
        work = threading.Thread(target=self._work, args=(then,), name="analysis", daemon=True)
        work.start()

    def _work(self, then: Callable[[], None]) -> None:
        found, fault = None, ""
        try:
            found = self._analysed()
        except TraceError as error:
            fault = str(error)
        except Exception as error:
            logger.exception("the analysis failed")
            fault = f"the analysis failed: {error}; the log has the details"
        # The program may have ended meanwhile.
        with suppress(RuntimeError):
            self._on_screen(lambda: self._end(found, fault, then))

    def _analysed(self) -> Found:
        from spectui.core.analysis.analyse import analyse

        if (window := self._window) is not None:
            columns, steps, dropped = window.columns, window.steps, window.dropped
        else:
            (columns, steps), dropped = self._read(), 0
        return Found(analyse(columns), steps, dropped)

    def _read(self) -> tuple[Columns, int]:
        """The columns of the trace, and its steps."""
        from spectui.core.analysis.columns import Columns

        if self._trace is None:
            raise TraceError("nothing was kept of this run that could be analysed")
        trace, columns, steps = Trace.open(self._trace), Columns(), 0

        def take(event: TraceEvent) -> None:
            nonlocal steps
            columns.add(event)
            steps += isinstance(event, AnyStep)

        def at(offset: int) -> None:
            self.share = offset / trace.size
            self._breathe()

        read_into(trace, take, at, _BURST)
        self.share = 1.0
        return columns, steps

    def _end(self, found: Found | None, fault: str, then: Callable[[], None]) -> None:
        self.working, self.fault = False, fault
        self.found = found or self.found
        then()
        self._redraw()
