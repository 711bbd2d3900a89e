"""Our painting against Textual's, on the same frames: ``python -m tests.load.painting``.

A race is drawn step by step, and the lines that change in each frame are noted. Then the same lines are painted again
and again, in turn by

* ``paint``: our lines, straight to their place;
* ``refresh(Region), drawn at once``: Textual's own way, made to draw inside the frame;
* ``refresh(Region)``: Textual's own way, which draws up to 16 ms later.

Each is given in processor time of the screen's thread: what a frame takes, and what comes of it in all, with messages
that Textual sends itself. Textual's own way is worth its comfort where it costs less than `WORTH_MS` more.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from textual.drivers.headless_driver import HeadlessDriver
from textual.geometry import Region
from textual.screen import Screen

from spectui.core.rates import percentile
from spectui.ui.paint import next_frame
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.next_frame import paint
from tests.support.rig import running

SIZES = [(120, 36), (200, 50)]
STEPS, TURNS = 40, 4
WORTH_MS = 0.5
LATER_S = 0.03
"""Textual repaints 60 times a second; by then everything has been drawn."""

Frame = list[tuple[Canvas, list[int]]]
Painter = Callable[[Screen[Any], Sequence[Canvas]], None]


class Terminal(HeadlessDriver):
    """A terminal that takes everything at once."""

    sent = 0

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        Terminal.sent += len(data)

    def flush(self) -> None:
        """Nothing is held back."""


def refresh(screen: Screen[Any], canvases: Sequence[Canvas]) -> None:
    """Textual's own way."""
    for canvas in canvases:
        canvas.refresh(*(Region(0, y, canvas.size.width, 1) for y in canvas.take_changed()))


def refresh_at_once(screen: Screen[Any], canvases: Sequence[Canvas]) -> None:
    """Textual's own way without its wait for an idle moment."""
    refresh(screen, canvases)
    screen._dirty_widgets.update(canvases)
    screen._on_timer_update()


@dataclass
class Cost:
    """Milliseconds of each frame: what it took, and with what came of it; and what was sent."""

    frame_ms: list[float] = field(default_factory=list)
    all_ms: list[float] = field(default_factory=list)
    sent: int = 0

    @property
    def p50(self) -> float:
        return percentile(self.frame_ms, 0.5) or 0.0

    @property
    def all_p50(self) -> float:
        return percentile(self.all_ms, 0.5) or 0.0


WAYS: dict[str, Painter] = {
    "paint": paint,
    "refresh(Region), drawn at once": refresh_at_once,
    "refresh(Region)": refresh,
}


async def measure(size: tuple[int, int], steps: int = STEPS, turns: int = TURNS) -> tuple[list[Frame], dict[str, Cost]]:
    """The frames of a race at ``size``, and what each way took for them."""
    frames: list[Frame] = []

    def note(screen: Screen[Any], canvases: Sequence[Canvas]) -> None:
        frames.append([(canvas, sorted(canvas.take_changed())) for canvas in canvases])
        _mark(frames[-1])
        paint(screen, canvases)

    costs = {name: Cost() for name in WAYS}
    async with running(size, driver=Terminal) as rig:
        next_frame.paint = note
        try:
            for _ in range(steps):
                await rig.steps(1)
        finally:
            next_frame.paint = paint
        # Frames of a status line alone, and those before the first step, are no race.
        race = [frame for frame in frames if len(frame) > 2]
        for _ in range(turns):
            for frame in race:
                for name, way in WAYS.items():
                    await _quiet()
                    _mark(frame)
                    Terminal.sent, began = 0, time.thread_time()
                    way(rig.app.screen, [canvas for canvas, _ in frame])
                    costs[name].frame_ms.append((time.thread_time() - began) * 1e3)
                    await _quiet()
                    costs[name].all_ms.append((time.thread_time() - began) * 1e3)
                    costs[name].sent += Terminal.sent
    return race, costs


def _mark(frame: Frame) -> None:
    """Let the lines of a frame be drawn again."""
    for canvas, lines in frame:
        canvas._changed.update(lines)
        for y in lines:
            canvas._strips[y] = None


async def _quiet() -> None:
    """Let the messages that are on their way arrive."""
    await asyncio.sleep(LATER_S)
    for _ in range(20):
        await asyncio.sleep(0)


def table(size: tuple[int, int], frames: list[Frame], costs: dict[str, Cost]) -> str:
    """The figures for people."""
    lines = sum(len(changed) for frame in frames for _, changed in frame) / len(frames)
    ours = costs["paint"]
    rows = [f"{size[0]}x{size[1]}: {len(frames)} frames of {lines:.1f} changed lines, p50 in ms of processor time"]
    for name, cost in costs.items():
        more = "" if cost is ours else f"   {cost.all_p50 - ours.all_p50:+.2f} ms a frame"
        rows.append(
            f"  {name:<32}frame {cost.p50:5.2f}   in all {cost.all_p50:5.2f}   "
            f"{cost.sent / len(cost.frame_ms):6,.0f} bytes{more}"
        )
    cheapest = min(cost.all_p50 for cost in costs.values() if cost is not ours) - ours.all_p50
    verdict = "Textual's own way will do" if cheapest < WORTH_MS else "our own is worth its code"
    rows.append(f"  {verdict}: Textual's costs {cheapest:.2f} ms more, the bar is {WORTH_MS:g} ms")
    return "\n".join(rows)


async def main() -> None:
    for size in SIZES:
        told = table(size, *await measure(size))
        print(told, file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
