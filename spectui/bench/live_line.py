"""What lines share that show on a terminal how far something has come: Rich's console on the real standard error, its
size, and durations as people say them."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from spectui.runtime.quiet import voice

if TYPE_CHECKING:
    from rich.console import Console

FRAME_S = 0.25
"""Least time between two drawings."""

WIDTH, HEIGHT = 80, 24
"""Of a terminal that does not know its size."""


def duration_text(seconds: float) -> str:
    """A duration as people say it: ``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def live_console() -> Console:
    """Rich's console on the real standard error. The cursor stays visible, so that no signal can end the program with
    it hidden."""
    from rich.console import Console

    class Voice(Console):
        def show_cursor(self, show: bool = True) -> bool:
            return False

    return Voice(file=voice(), highlight=False, markup=False)


def fit(console: Console) -> None:
    """Give a console the terminal's size: Rich would ask descriptors 0 to 2, which may be a pipe and the log."""
    with suppress(OSError, ValueError):
        found = os.get_terminal_size(console.file.fileno())
        console.size = console.size.__class__(found.columns or WIDTH, found.lines or HEIGHT)
